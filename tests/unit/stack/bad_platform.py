"""Stacks of which something else is refused, with the lines of the error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.unit.stack.stack_parts import IMAGE, NEW_APP

PLATFORM: Mapping[str, tuple[dict[str, Any], list[str]]] = {
    "a section that does not exist": (
        {"isto": {}},
        [
            (
                'isto: unknown field; did you mean "istio"? (known: alerts, apps, blocked, controller, crds, gateway, '
                "gateways, istio, loadTester, namespace, namespaces, networkPolicies, observability, promotion, "
                "rollouts, secrets, targets)"
            )
        ],
    ),
    "a duration without unit": (
        {"controller": {**IMAGE, "minimumInterval": "10"}},
        [('controller.minimumInterval: Invalid value: "10": must be a duration such as "30s", "1m30s" or "500ms"')],
    ),
    "less than no controller": (
        {"controller": {**IMAGE, "replicas": -1}},
        ["controller.replicas: Invalid value: -1: must be 0 or more"],
    ),
    "a controller that does not control the stack's apps": (
        {"controller": {**IMAGE, "namespaces": ["shop"]}},
        [
            (
                'controller.namespaces: Invalid value: must include "prod", a namespace of apps or targets '
                "(namespace.name)"
            )
        ],
    ),
    "a controller without an image": (
        {"controller": {}},
        [
            (
                "controller.image: Required value: Published image, which has no default; with `build.enabled` the "
                "repository only, tagged by a digest of the sources."
            )
        ],
    ),
    "a tag on an image that is built": (
        {"controller": {**IMAGE, "build": {"enabled": True}}},
        [
            (
                'controller: Invalid value: "object": image registry.example/canary-controller:1.0 must have no '
                "tag with build.enabled: the tag is the sources' digest"
            )
        ],
    ),
    "an external Prometheus beside an installed one": (
        {"observability": {"prometheus": {"url": "http://p:9090"}}},
        [
            (
                'observability.prometheus: Invalid value: "object": set either enabled: true, or enabled: false '
                "together with url"
            )
        ],
    ),
    "no Prometheus at all": (
        {"observability": {"prometheus": {"enabled": False}}},
        [
            (
                'observability.prometheus: Invalid value: "object": set either enabled: true, or enabled: false '
                "together with url"
            )
        ],
    ),
    "an interval of zero": (
        {"controller": {**IMAGE, "minimumInterval": "0s"}},
        ['controller.minimumInterval: Invalid value: "0s": must be a duration above 0, as in 10s or 1m30s'],
    ),
    "an argument that the program sets": (
        {"controller": {**IMAGE, "args": ["-port", "--namespace=a", "--event-webhook=http://a"]}},
        [
            'controller.args: Forbidden: "-port": this program sets it; use the key for it',
            'controller.args: Forbidden: "--namespace=a": this program sets it; use the key for it',
        ],
    ),
    "a pattern with a blank": (
        {"controller": {**IMAGE, "trust": {"hosts": ["a, b"]}}},
        [
            (
                'controller.trust.hosts[0]: Invalid value: "a, b": must be a pattern without blanks and commas, '
                "as in *.{namespace}.svc"
            )
        ],
    ),
    "a controller named like Prometheus": (
        {"controller": {**IMAGE, "name": "prometheus"}},
        ['controller.name: Invalid value: "prometheus": used in istio-system already'],
    ),
    "a namespace that the controller does not control": (
        {
            "controller": {**IMAGE, "namespaces": ["prod"]},
            "namespaces": {"team-1": {"apps": {"cart": NEW_APP}}, "team-2": {}},
        },
        ['controller.namespaces: Invalid value: must include "team-1", a namespace of apps or targets (namespaces)'],
    ),
    "keys of a controller that is not installed": (
        {"controller": {"enabled": False, "name": "flagger", "minimumInterval": "1s", **IMAGE, "replicas": 2}},
        [
            f"controller.{key}: Forbidden: with controller.enabled: false nothing uses it"
            for key in ("image", "replicas")
        ],
    ),
    "keys of other parts that are not installed": (
        {
            "observability": {
                "prometheus": {"enabled": False, "url": "http://p:9090", "retention": "1d"},
                "grafana": {"enabled": False, "version": "1"},
            },
            "loadTester": {"enabled": False, "image": "a:1"},
            "apps": {"frontend": None, "backend": None},
        },
        [
            (
                "observability.prometheus.retention: Forbidden: with observability.prometheus.enabled: false nothing "
                "uses it"
            ),
            "observability.grafana.version: Forbidden: with observability.grafana.enabled: false nothing uses it",
            "loadTester.image: Forbidden: with loadTester.enabled: false nothing uses it",
        ],
    ),
    "metric templates without a query, and with one that nobody uses": (
        {"observability": {"metricTemplates": {"queue": {}, "latency": {"create": False, "query": "1"}}}},
        [
            (
                "observability.metricTemplates.queue.query: Required value: a query; or set create: false for a "
                "template that is there already"
            ),
            ("observability.metricTemplates.latency.query: Forbidden: with create: false the template stays as it is"),
        ],
    ),
    "metric providers that cannot answer": (
        {
            "observability": {
                "metricTemplates": {
                    "queue": {"query": "1", "provider": {"type": "prometheus", "address": "prometheus:9090"}},
                    "sales": {"query": "q", "provider": {"type": "graphite", "region": "eu-west-1"}},
                    "latency": {"create": False, "provider": {"type": "datadog"}},
                }
            }
        },
        [
            (
                'observability.metricTemplates.queue: Invalid value: "object": provider.address must start with '
                "http:// or https:// for provider.type prometheus"
            ),
            "observability.metricTemplates.sales.provider.region: Forbidden: used with cloudwatch only",
            (
                "observability.metricTemplates.latency.provider: Forbidden: with create: false the template stays as"
                " it is"
            ),
        ],
    ),
    "freezes at times that are none": (
        {
            "promotion": {
                "freeze": [
                    {"from": "2026-12-23T00:00", "to": "2027-01-02T06:00+01:00", "reason": "holidays"},
                    {"from": "2026-12-23", "to": "tomorrow", "reason": "sale"},
                    {"from": None, "to": "2026-13-01T00:00Z", "reason": "audit"},
                ]
            }
        },
        [
            f"promotion.freeze[{at}: Invalid value: {value}: must be a time with its zone, as in 2026-12-23T00:00+01:00"
            for at, value in (
                ("0].from", '"2026-12-23T00:00"'),
                ("1].from", '"2026-12-23"'),
                ("1].to", '"tomorrow"'),
                ("2].from", "null"),
                ("2].to", '"2026-13-01T00:00Z"'),
            )
        ],
    ),
    "credentials in plain text": (
        {
            "observability": {
                "prometheus": {
                    "enabled": False,
                    "url": "https://me:pass@prometheus.example",
                    "headers": {"Authorization": ["Bearer x"]},
                },
                "metricTemplates": {
                    "queue": {"query": "q", "provider": {"type": "graphite", "address": "http://me@graphite.example/"}}
                },
            }
        },
        [
            (
                "observability.metricTemplates.queue.provider.address: Forbidden: a user would be plain in the state: "
                "set secrets.NAME, and NAME in secretRef"
            ),
            (
                "observability.prometheus.headers.Authorization: Forbidden: it would be plain in the state: set "
                "secrets.NAME, and NAME in secretRef"
            ),
            (
                "observability.prometheus.url: Forbidden: a user would be plain in the state: set secrets.NAME, and "
                "NAME in secretRef"
            ),
        ],
    ),
    "a Secret for the Prometheus of the stack": (
        {"observability": {"prometheus": {"headers": {"A": ["b"]}, "secretRef": {"name": "monitoring"}}}},
        [
            "observability.prometheus.headers: Forbidden: the Prometheus of this stack asks for none",
            "observability.prometheus.secretRef: Forbidden: the Prometheus of this stack asks for none",
        ],
    ),
    "scrape jobs that Prometheus or the state would not bear": (
        {
            "observability": {
                "prometheus": {
                    "scrapeConfigs": [
                        {"static_configs": [{"targets": ["a:1"]}]},
                        {"job_name": "envoy"},
                        {"job_name": "a", "basic_auth": {"username": "u", "password": "p"}},
                        {"job_name": "a", "consul_sd_configs": [{"authorization": {"credentials": "x"}}]},
                    ]
                }
            }
        },
        [
            "observability.prometheus.scrapeConfigs[0].job_name: Required value: a name of the job",
            ('observability.prometheus.scrapeConfigs[1].job_name: Duplicate value: "envoy": another job has this name'),
            ("observability.prometheus.scrapeConfigs[2].basic_auth.password: Forbidden: jobs are in a plain ConfigMap"),
            'observability.prometheus.scrapeConfigs[3].job_name: Duplicate value: "a": another job has this name',
            (
                "observability.prometheus.scrapeConfigs[3].consul_sd_configs[0].authorization.credentials: Forbidden:"
                " jobs are in a plain ConfigMap"
            ),
        ],
    ),
    "an alert of a chat whose address is plain, and one for nobody": (
        {
            "alerts": {
                "team": {
                    "provider": {"type": "slack", "address": "https://hooks.slack.example/T0"},
                    "canaries": ["prod/*", "shop/*"],
                }
            }
        },
        [
            ('alerts.team.canaries: Not found: "shop/*": no such app or target (known: prod/frontend, prod/backend)'),
            (
                "alerts.team.provider.address: Forbidden: whoever knows it can post to slack: set "
                "secrets.NAME.address, and NAME in secretRef"
            ),
        ],
    ),
    "an alert without an address": (
        {"alerts": {"nowhere": {"provider": {"type": "gchat"}}}},
        [
            ('alerts.nowhere.provider: Invalid value: "object": exactly one of address, secretRef must be set'),
        ],
    ),
    "Secrets without the key that is needed, and without use": (
        {
            "alerts": {"team": {"provider": {"type": "msteams", "secretRef": {"name": "chat"}}}},
            "secrets": {"chat": {"token": "x"}, "other": {"token": "x"}},
        },
        [
            "alerts.team.provider.secretRef: Invalid value: secrets.chat must have the key address",
            (
                "secrets.other: Forbidden: nothing names it: an app, the secretRef of a provider, the "
                "credentialName of a gateway, or a repositorySecret"
            ),
        ],
    ),
    "servers that the controller would not ask": (
        {
            "controller": {**IMAGE, "trust": {"addresses": ["*.{namespace}"]}},
            "secrets": {"chat": {"address": "https://hidden.example/hunter2"}, "near": {"address": "http://chat.prod"}},
            "alerts": {
                "team": {"provider": {"type": "slack", "secretRef": {"name": "chat"}}},
                "neighbours": {"provider": {"type": "rocket", "secretRef": {"name": "near"}}},
                "events": {
                    "provider": {"type": "webhook", "address": "https://events.example/", "proxy": "http://p.prod"}
                },
            },
            "observability": {
                "metricTemplates": {
                    "sales": {"query": "q", "provider": {"type": "graphite", "address": "https://graphite.example"}},
                    "queue": {"query": "q", "provider": {"type": "prometheus", "address": "http://prometheus.prod"}},
                }
            },
        },
        [
            (
                "observability.metricTemplates.sales.provider.address: Forbidden: controller.trust.addresses has no "
                'pattern for "graphite.example"'
            ),
            (
                "alerts.team.provider.secretRef: Forbidden: controller.trust.addresses has no pattern for the host of "
                "secrets.chat.address"
            ),
            (
                "alerts.events.provider.address: Forbidden: controller.trust.addresses has no pattern for "
                '"events.example"'
            ),
        ],
    ),
}
