"""Stacks whose apps, targets or namespaces are refused, with the lines of the error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.unit.stack.stack_parts import HOOKED, IMAGE, NEW_APP, ROUTED, SCALED, TARGET

WORKLOADS: Mapping[str, tuple[dict[str, Any], list[str]]] = {
    "apps that are a list": ({"apps": ["a"]}, ['apps: Invalid value: "array": must be of type object: "array"']),
    "an app that is a number": (
        {"apps": {"cart": 3}},
        ['apps.cart: Invalid value: 3: must be of type object: "integer"'],
    ),
    "those who ask for a next version that there is not": (
        {
            "istio": {"gatewayRevision": "next"},
            "namespace": {"revision": "next"},
            "namespaces": {"team": {"revision": "next"}},
        },
        [
            'namespace.revision: Invalid value: "next": istio.revisions.next must say which version that is',
            'namespaces.team.revision: Invalid value: "next": istio.revisions.next must say which version that is',
            'istio.gatewayRevision: Invalid value: "next": istio.revisions.next must say which version that is',
        ],
    ),
    "a mode of mTLS that Istio does not have": (
        {"namespace": {"mtls": "ON"}},
        ['namespace.mtls: Unsupported value: "ON": supported values: "STRICT", "PERMISSIVE", "DISABLE"'],
    ),
    "bounds of the replicas in the wrong order": (
        {"apps": {"backend": {"hpa": {"minReplicas": 9}}}},
        ['apps.backend.hpa: Invalid value: "object": minReplicas (9) must not be above maxReplicas (4)'],
    ),
    "an app without service": (
        {"apps": {"cart": {}}},
        ["apps.cart.service: Required value: `spec.service` of the Canary."],
    ),
    "a name that Kubernetes would not take": (
        {"apps": {"Cart": NEW_APP}},
        [
            (
                'apps.Cart: Invalid value: "Cart": must be a name of at most 63 characters from a-z, 0-9 and -, '
                "not a digit first"
            )
        ],
    ),
    "a weight out of range": (
        {"apps": {"backend": {"analysis": {"stepWeight": 500}}}},
        ["apps.backend.analysis.stepWeight: Invalid value: 500: must be 1 to 100 (percent)"],
    ),
    "a misspelt key of a metric, which is named, not counted": (
        {"apps": {"backend": {"analysis": {"metrics": {"latency": {"thresholdRange": {"mx": 3}}}}}}},
        [
            (
                'apps.backend.analysis.metrics.latency.thresholdRange.mx: unknown field; did you mean "max"? '
                "(known: max, min)"
            )
        ],
    ),
    "a webhook of no known type": (
        {"apps": {"backend": {"analysis": {"webhooks": {"gate": {"type": "confirm"}}}}}},
        [
            (
                'apps.backend.analysis.webhooks.gate.type: Unsupported value: "confirm": supported values: "", '
                '"confirm-rollout", "pre-rollout", "rollout", "confirm-traffic-increase", "confirm-promotion", '
                '"post-rollout", "rollback", "event"'
            )
        ],
    ),
    "a metric template that does not exist": (
        {"apps": {"backend": {"analysis": {"metrics": {"latency": {"templateRef": {"name": "latncy"}}}}}}},
        [
            (
                'apps.backend.analysis.metrics.latency.templateRef.name: Not found: "latncy": no such metric '
                "template (known: error-rate, latency; add others to observability.metricTemplates)"
            )
        ],
    ),
    "an interval below the controller's floor": (
        {"apps": {"backend": {"analysis": {"interval": "5s"}}}},
        [('apps.backend.analysis.interval: Invalid value: "5s": must not be below controller.minimumInterval, 10s')],
    ),
    "an app that needs the load tester, which is off": (
        {"loadTester": {"enabled": False}, "apps": {"frontend": None}},
        [
            f'apps.backend.analysis.webhooks.{name}: Invalid value: "object": url is required unless the type is'
            " confirm-rollout, confirm-traffic-increase or confirm-promotion"
            for name in ("conformance-test", "load-test")
        ],
    ),
    "a secret name with an underscore": (
        {"apps": {"cart": {**NEW_APP, "secrets": ["a_b"]}}},
        [
            (
                'apps.cart.secrets[0]: Invalid value: "a_b": must be a name of at most 253 characters from a-z, '
                "0-9, - and ."
            )
        ],
    ),
    "an app of the workshop, misspelt": (
        {"apps": {"bakend": {"tag": "6.1.1"}}},
        [
            (
                "apps.bakend.service: Required value: `spec.service` of the Canary. Or did you mean apps.backend, "
                "which has all it needs?"
            )
        ],
    ),
    "a tag that YAML reads as a fraction": (
        {"apps": {"backend": {"tag": 1.10}}},
        ['apps.backend.tag: Invalid value: 1.1: must be a text: put it in quotes, as in "1.10"'],
    ),
    "an invalid digest": (
        {"apps": {"backend": {"tag": "6.1.0@sha256:abc"}}},
        [
            (
                'apps.backend.tag: Invalid value: "6.1.0@sha256:abc": must be an image tag, a digest or '
                "both, as in 6.1.0 or 6.1.0@sha256:<digest>"
            )
        ],
    ),
    "requests above limits": (
        {"apps": {"backend": {"resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "512Mi"}}}}},
        [
            (
                'apps.backend.resources: Invalid value: "object": requests.memory (1Gi) must not be above '
                "limits.memory (512Mi)"
            )
        ],
    ),
    "an autoscaler without a CPU request": (
        {"apps": {"backend": {"resources": {"requests": {"cpu": None}}}}},
        ["apps.backend.resources.requests.cpu: Required value: hpa.cpuUtilization is a percentage of it"],
    ),
    "a deadline that no pod can meet": (
        {"apps": {"backend": {"minReadySeconds": 120}}},
        [('apps.backend: Invalid value: "object": minReadySeconds (120) must be below progressDeadlineSeconds (120)')],
    ),
    "an environment variable that would be skipped": (
        {"apps": {"backend": {"config": {"a b": "1"}}}},
        [
            (
                'apps.backend.config.a b: Invalid value: "a b": must be the name of an environment variable, as '
                "in LOG_LEVEL"
            )
        ],
    ),
    "a name that is too long for the generated Services": (
        {"apps": {"a" * 60: NEW_APP}},
        [
            (
                'apps.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: Invalid value: "object": '
                "service.name, else targetRef.name, must have at most 55 characters: the Service NAME-primary at"
                " most 63"
            )
        ],
    ),
    "fields without effect on Istio": (
        {"apps": {"backend": {"service": {"meshName": "other", "backends": ["a"]}}}},
        [
            "apps.backend.service.meshName: Forbidden: not used with Istio",
            "apps.backend.service.backends: Forbidden: not used with Istio",
        ],
    ),
    "apps whose generated names are those of another": (
        {"apps": {"shop": NEW_APP, "shop-canary": NEW_APP}},
        ['apps.shop-canary: Duplicate value: apps.shop has a Service "shop-canary" as well; rename one'],
    ),
    "an app named like the primary of another": (
        {"apps": {"backend-primary": NEW_APP}},
        [
            (
                'apps.backend-primary: Duplicate value: apps.backend has a Deployment "backend-primary" as well;'
                " rename one"
            ),
        ],
    ),
    "a Secret with the name of another one's copy": (
        {"apps": {"cart": {**NEW_APP, "secrets": ["db"]}, "pay": {**NEW_APP, "secrets": ["db-primary"]}}},
        ['apps.cart.secrets: Invalid value: "db": its copy for the primary, db-primary, is in use'],
    ),
    "two apps with one service name": (
        {"apps": {"cart": {**NEW_APP, "service": {"port": 80, "name": "backend"}}}},
        [
            'apps.cart: Duplicate value: apps.backend has a Service "backend" as well; rename one',
            (
                'apps.cart.service.hosts: Duplicate value: "backend": apps.backend has it in the mesh as well; '
                "set gateways or rename one"
            ),
        ],
    ),
    "an app named like the load tester": (
        {"apps": {"flagger-loadtester": NEW_APP}},
        [
            (
                'apps.flagger-loadtester: Duplicate value: loadTester has a Deployment "flagger-loadtester" as '
                "well; rename one"
            ),
        ],
    ),
    "two apps with one host on one gateway": (
        {"apps": {"cart": {**NEW_APP, "service": {"port": 80, **ROUTED, "hosts": ["*"]}}}},
        [
            (
                'apps.cart.service.hosts: Duplicate value: "*": apps.frontend has it on istio-system/public-'
                "gateway as well; give each a service.match"
            )
        ],
    ),
    "two apps with one host in the mesh": (
        {"apps": {"cart": {**NEW_APP, "service": {"port": 80, "hosts": ["backend"], "match": [{}]}}}},
        [
            (
                'apps.cart.service.hosts: Duplicate value: "backend": apps.backend has it in the mesh as well; '
                "set gateways or rename one"
            )
        ],
    ),
    "a host that the gateway serves for another namespace": (
        {
            "gateway": {"hosts": ["team-2/cart.example", "./*"]},
            "namespace": {"name": "team-1"},
            "apps": {
                "frontend": None,
                "cart": {**NEW_APP, "service": {"port": 80, **ROUTED, "hosts": ["cart.example"]}},
            },
        },
        [
            (
                'apps.cart.service.hosts: Invalid value: "cart.example": the Gateway serves team-2/cart.example,'
                " ./* only (gateway.hosts)"
            )
        ],
    ),
    "a host that the gateway does not serve": (
        {
            "gateway": {"hosts": ["shop.example", "*.store.example"]},
            "apps": {
                "cart": {**NEW_APP, "service": {"port": 80, **ROUTED, "hosts": ["a.store.example", "cart.example"]}}
            },
        },
        [
            (
                'apps.cart.service.hosts: Invalid value: "cart.example": the Gateway serves shop.example, '
                "*.store.example only (gateway.hosts)"
            )
        ],
    ),
    "routes on the gateway without a host": (
        {"apps": {"cart": {**NEW_APP, "service": {"port": 80, **ROUTED}}}},
        ["apps.cart.service.hosts: Required value: the Gateway routes by host"],
    ),
    "the gateway without its namespace": (
        {
            "apps": {
                "cart": {**NEW_APP, "service": {"port": 80, "gateways": ["public-gateway"], "hosts": ["a.example"]}}
            }
        },
        [
            (
                'apps.cart.service.gateways: Invalid value: "public-gateway": the Gateway is in istio-system: '
                "istio-system/public-gateway"
            )
        ],
    ),
    "a namespace that exists already": (
        {"namespace": {"name": "istio-system"}},
        ['namespace.name: Invalid value: "istio-system": it is there already'],
    ),
    "the injection label set by hand": (
        {"namespace": {"labels": {"istio-injection": "disabled"}}},
        ["namespace.labels.istio-injection: Forbidden: set namespace.injection or namespace.revision"],
    ),
    "an invalid label value": (
        {"namespace": {"labels": {"team": "a b"}}},
        [
            (
                'namespace.labels.team: Invalid value: "a b": must be a label value of at most 63 characters '
                "from A-Z, a-z, 0-9, -, _ and ."
            )
        ],
    ),
    "mTLS without proxies": (
        {"namespace": {"mtls": "STRICT", "injection": False}},
        ["namespace.mtls: Forbidden: without injection no proxy applies it"],
    ),
    "callers without sidecars": (
        {"namespace": {"callers": [], "injection": False}},
        ["namespace.callers: Forbidden: without injection no proxy applies it"],
    ),
    "callers without identities": (
        {"namespaces": {"team-1": {"callers": ["prod"], "mtls": "DISABLE"}}},
        ["namespaces.team-1.callers: Forbidden: callers are known by mTLS: set mtls: STRICT or PERMISSIVE"],
    ),
    "a caller that is no namespace": (
        {"namespace": {"callers": ["team 1"]}},
        [
            (
                'namespace.callers[0]: Invalid value: "team 1": must be a name of at most 63 characters from a-z, 0-9 '
                "and -, as in team-1"
            )
        ],
    ),
    "a webhook, a host and a gateway that the controller would not allow": (
        {
            "controller": {
                **IMAGE,
                "trust": {"hosts": ["a.example"], "gateways": ["mine/*"], "addresses": ["b.example"]},
            },
            "apps": {"backend": None},
        },
        [
            'apps.frontend.service.hosts: Forbidden: controller.trust.hosts has no pattern for "*"',
            (
                'apps.frontend.service.gateways: Forbidden: controller.trust.gateways has no pattern for "istio-'
                'system/public-gateway"'
            ),
            (
                "apps.frontend.analysis.webhooks: Forbidden: controller.trust.addresses has no pattern for "
                '"flagger-loadtester.prod"'
            ),
            (
                "apps.frontend.analysis.webhooks: Forbidden: controller.trust.addresses has no pattern for "
                '"flagger-loadtester.prod"'
            ),
        ],
    ),
    "a template of another namespace where that is not allowed": (
        {
            "controller": {**IMAGE, "trust": {"crossNamespaceReferences": False}},
            "apps": {
                "backend": {
                    "analysis": {
                        "metrics": {
                            "latency": {"templateRef": {"namespace": "istio-system"}},
                            "cpu": {
                                "compare": {
                                    "value": {"templateRef": {"name": "a", "namespace": "b"}, "better": "lower"}
                                }
                            },
                        }
                    }
                }
            },
        },
        [
            (
                "apps.backend.analysis.metrics.latency.templateRef.namespace: Forbidden: "
                "controller.trust.crossNamespaceReferences is false"
            ),
            (
                "apps.backend.analysis.metrics.cpu.compare.value.templateRef.namespace: Forbidden: "
                "controller.trust.crossNamespaceReferences is false"
            ),
        ],
    ),
    "a target without a port": (
        {"targets": {"cart": {}}},
        ["targets.cart.service: Required value: `spec.service` of the Canary."],
    ),
    "a key of an app in a target": (
        {"targets": {"cart": {**TARGET, "tag": "1"}}},
        [
            (
                "targets.cart.tag: unknown field (known: analysis, canary, hpa, kind, lostRoutes, "
                "progressDeadlineSeconds, service, skipAnalysis, suspend)"
            )
        ],
    ),
    "a route that the app still has": (
        {"apps": {"frontend": {"lostRoutes": {"*": "moved", "old.example": "moved"}}}},
        ["apps.frontend.lostRoutes.*: Forbidden: it is not lost, service has it"],
    ),
    "a target that is no workload of pods": (
        {"targets": {"cart": {**TARGET, "kind": "StatefulSet"}}},
        ['targets.cart.kind: Unsupported value: "StatefulSet": supported values: "Deployment", "DaemonSet"'],
    ),
    "a target with what other keys say": (
        {"targets": {"cart": {**TARGET, "canary": {"targetRef": {}, "suspend": True}}}},
        [
            "targets.cart.canary.targetRef: Forbidden: it is the workload of this name",
            "targets.cart.canary.suspend: Forbidden: set suspend beside canary",
        ],
    ),
    "a target whose analysis is not valid": (
        {"targets": {"cart": {**TARGET, "analysis": {"interval": "1s"}}}},
        ['targets.cart.analysis.interval: Invalid value: "1s": must not be below controller.minimumInterval, 10s'],
    ),
    "an autoscaler for a DaemonSet": (
        {"targets": {"cart": {**TARGET, "kind": "DaemonSet", "hpa": {}}}},
        ["targets.cart.hpa: Forbidden: a DaemonSet has a pod on every node"],
    ),
    "two autoscalers for one target, and for one app": (
        {
            "targets": {"cart": {**TARGET, "hpa": {}, "canary": {"autoscalerRef": SCALED}}},
            "apps": {"pay": {**NEW_APP, "canary": {"autoscalerRef": SCALED}}},
        },
        [
            (
                "apps.pay.canary.autoscalerRef: Forbidden: the autoscaler is the one that the stack makes; to name "
                "another, set hpa.enabled: false"
            ),
            (
                "targets.cart.canary.autoscalerRef: Forbidden: the autoscaler is the one that the stack makes; to name "
                "another, remove hpa"
            ),
        ],
    ),
    "a metric of no shape in a target's autoscaler": (
        {"targets": {"cart": {**TARGET, "hpa": {"behavior": {"scaleUpp": {}}}}}},
        ['targets.cart.hpa.behavior.scaleUpp: unknown field; did you mean "scaleUp"? (known: scaleDown, scaleUp)'],
    ),
    "an app and a target of one name": (
        {"targets": {"backend": TARGET}},
        [
            'targets.backend: Duplicate value: apps.backend has a Canary "backend" as well; rename one',
            (
                'targets.backend.service.hosts: Duplicate value: "backend": apps.backend has it in the mesh as well; '
                "set gateways or rename one"
            ),
        ],
    ),
    "a target named like what is generated for an app": (
        {"targets": {"backend-canary": TARGET}},
        [
            'targets.backend-canary: Duplicate value: apps.backend has a Service "backend-canary" as well; rename one',
        ],
    ),
    "the first namespace once more": (
        {"namespaces": {"prod": {}}},
        ["namespaces.prod: Duplicate value: it is namespace.name: set namespace, apps and targets"],
    ),
    "a namespace that no namespace is called": (
        {"namespaces": {"Team": {}}},
        [
            (
                'namespaces.Team: Invalid value: "Team": must be a name of at most 63 characters from a-z, 0-9 and -, '
                "as in team-1"
            )
        ],
    ),
    "a misspelt key of a namespace": (
        {"namespaces": {"team-1": {"inject": True}}},
        [
            (
                'namespaces.team-1.inject: unknown field; did you mean "injection"? (known: apps, callers, create, '
                "injection, labels, mtls, revision, targets)"
            )
        ],
    ),
    "what is wrong in another namespace": (
        {
            "namespaces": {
                "team-1": {
                    "mtls": "STRICT",
                    "injection": False,
                    "labels": {"istio.io/rev": "a"},
                    "apps": {"cart": {**NEW_APP, "analysis": {"interval": "1s"}}, "cart-primary": NEW_APP},
                }
            }
        },
        [
            (
                "namespaces.team-1.labels.istio.io/rev: Forbidden: set namespaces.team-1.injection or "
                "namespaces.team-1.revision"
            ),
            "namespaces.team-1.mtls: Forbidden: without injection no proxy applies it",
            (
                'namespaces.team-1.apps.cart.analysis.interval: Invalid value: "1s": must not be below '
                "controller.minimumInterval, 10s"
            ),
            (
                "namespaces.team-1.apps.cart-primary: Duplicate value: namespaces.team-1.apps.cart has a Deployment "
                '"cart-primary" as well; rename one'
            ),
        ],
    ),
    "an app of another namespace named like its load tester": (
        {"namespaces": {"team-1": {"apps": {"flagger-loadtester": {**NEW_APP, "analysis": HOOKED}}}}},
        [
            (
                "namespaces.team-1.apps.flagger-loadtester: Duplicate value: loadTester has a Deployment "
                '"flagger-loadtester" as well; rename one'
            )
        ],
    ),
    "one host on one gateway, from two namespaces": (
        {
            "apps": {"frontend": None, "cart": {**NEW_APP, "service": {"port": 80, **ROUTED, "hosts": ["a.example"]}}},
            "namespaces": {
                "team-1": {"targets": {"cart": {"service": {"port": 80, **ROUTED, "hosts": ["A.example"]}}}}
            },
        },
        [
            (
                'namespaces.team-1.targets.cart.service.hosts: Duplicate value: "A.example": apps.cart has it on '
                "istio-system/public-gateway as well; give each a service.match"
            )
        ],
    ),
    "the Service of another namespace, in the mesh": (
        {
            "namespaces": {
                "team-1": {"targets": {"cart": {"service": {"port": 80, "hosts": ["backend.prod.svc.cluster.local"]}}}}
            }
        },
        [
            (
                'namespaces.team-1.targets.cart.service.hosts: Duplicate value: "backend.prod.svc.cluster.local": '
                "apps.backend has it in the mesh as well; set gateways or rename one"
            )
        ],
    ),
    "a webhook of another namespace, where those are not allowed": (
        {
            "controller": {**IMAGE, "trust": {"addresses": ["*.{namespace}"]}},
            "namespaces": {
                "team-1": {
                    "targets": {
                        "cart": {
                            **TARGET,
                            "analysis": {
                                "webhooks": {
                                    "own": {"type": "rollout"},
                                    "of-prod": {"type": "rollout", "url": "http://flagger-loadtester.prod/"},
                                }
                            },
                        }
                    }
                }
            },
        },
        [
            (
                "namespaces.team-1.targets.cart.analysis.webhooks: Forbidden: controller.trust.addresses has no "
                'pattern for "flagger-loadtester.prod"'
            )
        ],
    ),
    "default, which every cluster has": (
        {"namespaces": {"default": {"targets": {"cart": TARGET}}}},
        ['namespaces.default: Invalid value: "default": set namespaces.default.create: false for it'],
    ),
    "settings of a namespace that is made elsewhere": (
        {"namespace": {"create": False, "labels": {"a": "b"}, "injection": True, "mtls": "STRICT", "callers": []}},
        [
            f"namespace.{key}: Forbidden: with create: false the namespace stays as it is"
            for key in ("callers", "injection", "labels", "mtls")
        ],
    ),
    "an existing namespace without sidecars": (
        {"namespaces": {"kube-system": {"create": False, "targets": {"dns": TARGET}}}},
        [
            'namespaces.kube-system: Invalid value: "kube-system": no place for apps: Istio injects no sidecars there',
        ],
    ),
    "an existing namespace with nothing to make": (
        {"namespaces": {"team-1": {"create": False}}},
        ["namespaces.team-1: Required value: apps or targets; with create: false there is nothing else to make"],
    ),
    "an interval below the floor of the controller that is there": (
        {
            "controller": {"enabled": False, "minimumInterval": "1m"},
            "apps": {"frontend": None, "backend": {"analysis": {"interval": "30s"}}},
        },
        ['apps.backend.analysis.interval: Invalid value: "30s": must not be below controller.minimumInterval, 1m'],
    ),
    "apps on a gateway that does not serve them": (
        {
            "gateways": {"admin": {"namespace": "edge", "hosts": ["admin.example"]}},
            "apps": {
                "cart": {**NEW_APP, "service": {"port": 80, "gateways": ["admin"], "hosts": ["admin.example"]}},
                "pay": {**NEW_APP, "service": {"port": 80, "gateways": ["edge/admin"], "hosts": ["pay.example"]}},
            },
        },
        [
            'apps.cart.service.gateways: Invalid value: "admin": the Gateway is in edge: edge/admin',
            (
                'apps.pay.service.hosts: Invalid value: "pay.example": the Gateway serves admin.example only '
                "(gateways.admin.hosts)"
            ),
        ],
    ),
    "an alert provider of another namespace, which may not be used": (
        {
            "controller": {**IMAGE, "trust": {"crossNamespaceReferences": False}},
            "apps": {"backend": {"analysis": {"alerts": {"team": {"providerRef": {"name": "a", "namespace": "b"}}}}}},
        },
        [
            (
                "apps.backend.analysis.alerts.team.providerRef.namespace: Forbidden: "
                "controller.trust.crossNamespaceReferences is false"
            )
        ],
    ),
    "two strategies at once": (
        {"apps": {"cart": {**NEW_APP, "analysis": {"iterations": 3, "stepWeight": 5, "metrics": None}}}},
        [
            (
                'apps.cart.analysis: Invalid value: "object": exactly one of iterations, stepWeight, stepWeights'
                " must be set"
            )
        ],
    ),
}
