"""Stacks that are refused, with the lines of the error, and what they are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

IMAGE = {"image": "registry.example/canary-controller:1.0"}
KEYS = '{"keys": [{"kty": "RSA", "n": "x", "e": "AQAB"}]}'
JWT = {"issuer": "https://login.example.com", "audiences": ["rollouts"], "jwks": KEYS, "header": "X-Token"}
TRACES = {"name": "login", "zipkin": {"service": "zipkin", "port": 9411}}
SIGN_IN = {"name": "sign-in", "envoyExtAuthzHttp": {"service": "oauth2-proxy.login.svc.cluster.local", "port": 4180}}


def behind_gateway(**settings: Any) -> dict[str, Any]:
    """A stack whose page is behind the gateway; ``gateway`` are that section's keys, all others the page's."""
    given = {"host": "rollouts.example.com", "auth": {"jwt": JWT}, **settings}
    gateway = given.pop("gateway", {})
    return {"controller": IMAGE | {"page": {"gateway": given}}, "gateway": gateway}


ROUTED = {"gateways": ["istio-system/public-gateway"]}
NEW_APP = {"image": "registry.example/cart", "tag": "1", "service": {"port": 80}}
TARGET: dict[str, Any] = {"service": {"port": 80}}
SCALED = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "cart"}
HOOKED = {"webhooks": {"load": {"type": "rollout"}}}
EXISTING: dict[str, Any] = {
    "enabled": False,
    "existing": {"gatewaySelector": {"istio": "ingressgateway"}, "gatewayService": "istio-ingressgateway.istio-system"},
}

REFUSED: Mapping[str, tuple[dict[str, Any], list[str]]] = {
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
    "a misspelt key": (
        {"istio": {"verison": "1"}},
        [
            (
                'istio.verison: unknown field; did you mean "version"? (known: awaitGateway, chartPath, cni, '
                "createNamespace, enabled, existing, gatewayRevision, repository, repositorySecret, revisions, "
                "timeoutSeconds, values, version)"
            )
        ],
    ),
    "a key like no other": (
        {"istio": {"zzz": 1}},
        [
            (
                "istio.zzz: unknown field (known: awaitGateway, chartPath, cni, createNamespace, enabled, existing, "
                "gatewayRevision, repository, repositorySecret, revisions, timeoutSeconds, values, version)"
            )
        ],
    ),
    "a section that is a text": (
        {"istio": "1.31.4"},
        ['istio: Invalid value: "1.31.4": must be of type object: "string"'],
    ),
    "apps that are a list": ({"apps": ["a"]}, ['apps: Invalid value: "array": must be of type object: "array"']),
    "an app that is a number": (
        {"apps": {"cart": 3}},
        ['apps.cart: Invalid value: 3: must be of type object: "integer"'],
    ),
    "an invalid version": (
        {"istio": {"version": "latest"}},
        ['istio.version: Invalid value: "latest": must be a release of Istio, as in 1.31.1'],
    ),
    "a next version that is of the same minor version": (
        {"istio": {"revisions": {"stable": "1.31.0", "next": "1.31.1"}}},
        [
            (
                'istio.revisions.next: Invalid value: "1.31.1": 1.31.0 is of the same minor version: upgrade in place, '
                "by the version of that one"
            )
        ],
    ),
    "a next version that is older than the one in place": (
        {"istio": {"version": "1.31.0", "revisions": {"next": "1.30.1"}}},
        [
            (
                'istio.revisions.next: Invalid value: "1.30.1": must be newer than 1.31.0; to go back, move the '
                "namespaces to stable"
            )
        ],
    ),
    "a next version that leaps": (
        {"istio": {"revisions": {"stable": "1.28.3", "next": "1.31.1"}}},
        [
            (
                'istio.revisions.next: Invalid value: "1.31.1": must be at most two minor versions after 1.28.3: '
                "take 1.30 first"
            )
        ],
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
    "an istiod in place, and one by revision instead": (
        {"istio": {"version": "1.30.1", "revisions": {"stable": "1.30.2"}, "values": {"istiod": {"revision": "a"}}}},
        [
            "istio.version: Forbidden: with istio.revisions.stable nothing uses it",
            "istio.values.istiod.revision: Forbidden: with istio.revisions each istiod has its own",
        ],
    ),
    "a revision of an Istio that is there already": (
        {"istio": {**EXISTING, "revisions": {"next": "1.31.1"}}, "namespace": {"create": False, "revision": "next"}},
        [
            "istio.revisions: Forbidden: with istio.enabled: false nothing uses it",
            "namespace.revision: Forbidden: with create: false the namespace stays as it is",
        ],
    ),
    "a chart folder without charts": (
        {"istio": {"chartPath": "/nowhere"}},
        [
            (
                'istio: Invalid value: "object": chartPath /nowhere must hold the charts; no Chart.yaml in base,'
                " istiod, gateway"
            )
        ],
    ),
    "a port out of range": (
        {"gateway": {"httpPort": 70000}},
        ["gateway.httpPort: Invalid value: 70000: must be 1 to 65535"],
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
    "where people open a page that there is not": (
        {"controller": IMAGE | {"page": {"enabled": False, "url": "https://rollouts.example.com"}}},
        ["controller.page.url: Forbidden: needs page.enabled: true"],
    ),
    "a page behind the gateway without an auth": (
        {"controller": IMAGE | {"page": {"gateway": {"host": "rollouts.example.com"}}}},
        [
            (
                "controller.page.gateway.auth: Required value: provider or jwt, which say who may read: the page itself"
                " asks nobody, and its host is public."
            )
        ],
    ),
    "a page behind the gateway with an auth that says nothing": (
        behind_gateway(auth={}),
        ['controller.page.gateway.auth: Invalid value: "object": set one of provider and jwt'],
    ),
    "a page behind the gateway under every host": (
        behind_gateway(host="*"),
        [
            (
                'controller.page.gateway.host: Invalid value: "*": must be one host name with its domain, as in'
                " rollouts.example.com"
            )
        ],
    ),
    "a page behind a gateway that serves other hosts, and apps have its host": (
        behind_gateway(auth={"jwt": JWT}, gateway={"hosts": ["*.shop.example"]})
        | {"apps": {"cart": {**NEW_APP, "service": {"port": 80, "hosts": ["Rollouts.example.com"]}}}},
        [
            (
                'controller.page.gateway.host: Invalid value: "rollouts.example.com": no Gateway of this stack'
                " serves it (gateway.hosts)"
            ),
            (
                'apps.cart.service.hosts: Duplicate value: "rollouts.example.com": controller.page.gateway.host is the'
                " page's; give one of them another host"
            ),
        ],
    ),
    "a page behind the gateway that people look for elsewhere": (
        {
            "controller": IMAGE
            | {
                "page": {
                    "url": "https://other.example.com",
                    "gateway": {"host": "rollouts.example.com", "auth": {"jwt": JWT}},
                }
            }
        },
        [
            (
                'controller.page.url: Invalid value: "https://other.example.com": people would not come to'
                " rollouts.example.com, where its gateway is; leave it out"
            )
        ],
    ),
    "a page that is off behind the gateway": (
        {
            "controller": IMAGE
            | {"page": {"enabled": False, "gateway": {"host": "rollouts.example.com", "auth": {"jwt": JWT}}}}
        },
        ["controller.page.gateway: Forbidden: needs page.enabled: true"],
    ),
    "an authorizer of the page that the mesh does not have": (
        behind_gateway(auth={"provider": "login"})
        | {"istio": {"values": {"istiod": {"meshConfig": {"extensionProviders": [TRACES, SIGN_IN]}}}}},
        [
            (
                'controller.page.gateway.auth.provider: Invalid value: "login":'
                " istio.values.istiod.meshConfig.extensionProviders has no such authorizer; it has sign-in"
            )
        ],
    ),
    "a token of the page that is where actions have theirs": (
        behind_gateway(auth={"jwt": {**JWT, "header": "authorization"}}),
        [
            (
                'controller.page.gateway.auth.jwt: Invalid value: "object": header must not be Authorization: actions'
                " send a Kubernetes token in it, and apps theirs"
            )
        ],
    ),
    "a token of the page that nobody can check": (
        behind_gateway(auth={"jwt": {"issuer": "i", "audiences": ["a"], "header": "X-Token"}}),
        ['controller.page.gateway.auth.jwt: Invalid value: "object": set one of jwksUri and jwks'],
    ),
    "a token of the page that is nowhere": (
        behind_gateway(auth={"jwt": {"issuer": "i", "audiences": ["a"], "jwks": KEYS}}),
        ['controller.page.gateway.auth.jwt: Invalid value: "object": set one of header and cookie'],
    ),
    **{
        f"keys of the page that are {name}": (
            behind_gateway(auth={"jwt": {**JWT, "jwks": keys}}),
            [
                (
                    'controller.page.gateway.auth.jwt: Invalid value: "object": jwks must be JSON with public keys, as'
                    ' in {"keys": [{"kty": "RSA", "n": …}]}'
                )
            ],
        )
        for name, keys in {
            "no JSON": "keys",
            "none": '{"keys": []}',
            "a list": "[1]",
            "private": '{"keys": [{"kty": "EC", "d": "x"}]}',
            "known to both sides": '{"keys": [{"kty": "oct", "k": "x"}]}',
        }.items()
    },
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
    "an interval of zero": (
        {"controller": {**IMAGE, "minimumInterval": "0s"}},
        ['controller.minimumInterval: Invalid value: "0s": must be a duration above 0, as in 10s or 1m30s'],
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
    "a host name with a scheme": (
        {"gateway": {"hosts": ["https://shop.example"]}},
        [
            (
                'gateway.hosts[0]: Invalid value: "https://shop.example": must be a host name, as in '
                "shop.example.com, *.example.com or *, with namespace/ before it if only that may route it"
            )
        ],
    ),
    "a port for HTTPS without a certificate": (
        {"gateway": {"httpsPort": 8443}},
        ["gateway.httpsPort: Forbidden: HTTPS is served with credentialName only"],
    ),
    "one port for both": (
        {"gateway": {"httpPort": 443, "credentialName": "tls"}},
        ["gateway.httpsPort: Duplicate value: 443: it is httpPort as well"],
    ),
    "a port of the proxy itself": (
        {"gateway": {"httpPort": 15021}},
        ["gateway.httpPort: Invalid value: 15021: ports 15000 to 15099 belong to Istio's proxy"],
    ),
    "a Service without the gateway's port": (
        {"istio": {"values": {"gateway": {"service": {"ports": [{"name": "http2", "port": 8080}]}}}}},
        ["istio.values.gateway.service.ports: Invalid value: must have port 80, which is gateway.httpPort"],
    ),
    "a null for Helm": (
        {
            "istio": {"values": {"gateway": {"service": {"ports": [{"name": None}]}}, "istiod": {"pilot": None}}},
            "observability": {"grafana": {"values": {"securityContext": None}}},
        },
        [
            (
                "istio.values.istiod.pilot: Invalid value: null: Pulumi does not pass null to Helm; set the "
                "value that you want"
            ),
            (
                "istio.values.gateway.service.ports[0].name: Invalid value: null: Pulumi does not pass null to "
                "Helm; set the value that you want"
            ),
            (
                "observability.grafana.values.securityContext: Invalid value: null: Pulumi does not pass null to"
                " Helm; set the value that you want"
            ),
            "istio.values.gateway.service.ports: Invalid value: must have port 80, which is gateway.httpPort",
        ],
    ),
    "another name for the gateway's pods": (
        {"istio": {"values": {"gateway": {"name": "edge"}}}},
        [("istio.values.gateway.name: Forbidden: the load test and the exported address use the name istio-gateway")],
    ),
    "labels that are a list": (
        {"istio": {"values": {"gateway": {"labels": ["a"]}}}},
        ["istio.values.gateway.labels: Invalid value: must be of type object"],
    ),
    "another namespace for istiod": (
        {"istio": {"values": {"istiod": {"global": {"istioNamespace": "mesh"}}}}},
        ["istio.values.istiod.global.istioNamespace: Forbidden: Istio is installed in istio-system"],
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
    "callers of policies that are not made": (
        {"networkPolicies": {"enabled": False, "monitoring": ["kiali"]}},
        ["networkPolicies.monitoring: Forbidden: with networkPolicies.enabled: false nothing uses it"],
    ),
    "an argument that the program sets": (
        {"controller": {**IMAGE, "args": ["-port", "--namespace=a", "--event-webhook=http://a"]}},
        [
            'controller.args: Forbidden: "-port": this program sets it; use the key for it',
            'controller.args: Forbidden: "--namespace=a": this program sets it; use the key for it',
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
    "a namespace that the controller does not control": (
        {
            "controller": {**IMAGE, "namespaces": ["prod"]},
            "namespaces": {"team-1": {"apps": {"cart": NEW_APP}}, "team-2": {}},
        },
        ['controller.namespaces: Invalid value: must include "team-1", a namespace of apps or targets (namespaces)'],
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
    "keys of an Istio that is not installed": (
        {
            "istio": {
                **EXISTING,
                "version": "1.31.1",
                "values": {"istiod": {"revision": "a"}},
                "createNamespace": True,
            }
        },
        [
            f"istio.{key}: Forbidden: with istio.enabled: false nothing uses it"
            for key in ("createNamespace", "version", "values")
        ],
    ),
    "what is said of an existing Istio, beside one that is installed": (
        {"istio": {"existing": {"revision": "stable"}}},
        ["istio.existing: Forbidden: with istio.enabled: true, Istio is as the other keys say"],
    ),
    "an existing Istio whose gateway nobody knows": (
        {"istio": {"enabled": False}},
        [
            (
                "istio.existing.gatewaySelector: Required value: labels of the pods that serve the Gateway; or set "
                "gateway.enabled: false"
            ),
            (
                "istio.existing.gatewayService: Required value: the Service of the pods that serve the Gateway; or set "
                "gateway.enabled: false"
            ),
        ],
    ),
    "a Service without its namespace": (
        {"istio": {"enabled": False, "existing": {"gatewayService": "istio-ingressgateway"}}},
        [('istio.existing.gatewayService: Invalid value: "istio-ingressgateway": must be a Service as name.namespace')],
    ),
    "keys of a gateway that is not made": (
        {
            "gateway": {"enabled": False, "hosts": ["shop.example"]},
            "istio": {"awaitGateway": False, "values": {"gateway": {"replicaCount": 2}}},
        },
        [
            "gateway.hosts: Forbidden: with gateway.enabled: false nothing uses it",
            "istio.awaitGateway: Forbidden: with gateway.enabled: false nothing uses it",
            "istio.values.gateway: Forbidden: with gateway.enabled: false nothing uses it",
        ],
    ),
    "pods of a gateway that is not made": (
        {"gateway": {"enabled": False}, "istio": EXISTING},
        [
            f"istio.existing.{key}: Forbidden: with gateway.enabled: false nothing uses it"
            for key in ("gatewaySelector", "gatewayService")
        ],
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
    "an interval below the floor of the controller that is there": (
        {
            "controller": {"enabled": False, "minimumInterval": "1m"},
            "apps": {"frontend": None, "backend": {"analysis": {"interval": "30s"}}},
        },
        ['apps.backend.analysis.interval: Invalid value: "30s": must not be below controller.minimumInterval, 1m'],
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
    "gateways that want the same of the same pods": (
        {
            "gateway": {"hosts": ["shop.example"], "credentialName": "shop-tls"},
            "gateways": {
                "public-gateway": {"hosts": ["a.example"]},
                "second": {"hosts": ["prod/shop.example", "b.example"]},
                "swapped": {"hosts": ["c.example"], "httpPort": 443, "httpsPort": 80, "credentialName": "c-tls"},
                "free": {"hosts": ["shop.example"], "selector": {"istio": "edge"}},
            },
            "apps": {"frontend": None},
        },
        [
            (
                "gateways.public-gateway: Duplicate value: gateway is the Gateway istio-system/public-gateway as well;"
                " rename one"
            ),
            (
                'gateways.second.hosts: Duplicate value: "prod/shop.example": gateway serves it on the same pods and '
                "port"
            ),
            "gateways.swapped.httpPort: Duplicate value: 443: it is gateway.httpsPort on the same pods",
            "gateways.swapped.httpsPort: Duplicate value: 80: it is gateway.httpPort on the same pods",
            "gateways.swapped.httpsPort: Duplicate value: 80: it is gateways.public-gateway.httpPort on the same pods",
            "gateways.swapped.httpsPort: Duplicate value: 80: it is gateways.second.httpPort on the same pods",
        ],
    ),
    "gateways on ports that their pods do not have, or that are Istio's": (
        {
            "gateways": {
                "admin": {"hosts": ["a.example"], "httpPort": 8080, "podsNamespace": "edge"},
                "metrics": {
                    "hosts": ["b.example"],
                    "httpPort": 15090,
                    "httpsPort": 15090,
                    "selector": {"istio": "edge"},
                },
            },
        },
        [
            "gateways.metrics.httpsPort: Forbidden: HTTPS is served with credentialName only",
            "gateways.metrics.httpsPort: Duplicate value: 15090: it is httpPort as well",
            "gateways.metrics.httpPort: Invalid value: 15090: ports 15000 to 15099 belong to Istio's proxy",
            "gateways.admin.podsNamespace: Forbidden: used with selector only",
            (
                "gateways.admin.httpPort: Invalid value: 8080: the pods of `gateway` have the ports 80 and 443; set "
                "ownPods or selector"
            ),
        ],
    ),
    "a gateway without pods": (
        {"gateway": {"enabled": False}, "gateways": {"admin": {}}},
        [
            (
                "gateways.admin.selector: Required value: labels of the pods that serve it, or ownPods: true: "
                "gateway.enabled is false"
            )
        ],
    ),
    "gateways whose pods cannot be": (
        {
            "gateway": {"enabled": False},
            "namespaces": {"edge": {"callers": [], "apps": {"shop": {**NEW_APP}}}, "quiet": {"injection": False}},
            "gateways": {
                "a.b": {"ownPods": True, "selector": {"istio": "a"}},
                "prometheus": {"ownPods": True, "values": {"labels": {"istio": "shop"}, "service": {"ports": []}}},
                "shop": {"namespace": "edge", "ownPods": True, "values": {"replicaCount": None, "name": "b"}},
                "quiet": {"namespace": "quiet", "ownPods": True, "values": {"labels": []}},
                "theirs": {"selector": {"istio": "door"}, "values": {"replicaCount": 2}},
                "nodes": {"namespace": "kube-system", "ownPods": True},
            },
            "apps": {"frontend": None},
        },
        [
            (
                "gateways.shop.values.replicaCount: Invalid value: null: Pulumi does not pass null to Helm; set the "
                "value that you want"
            ),
            "gateways.shop.values.name: Forbidden: the load test and the exported address use the name shop",
            "gateways.quiet.values.labels: Invalid value: must be of type object",
            (
                "gateways.prometheus.values.service.ports: Invalid value: must have port 80, which is "
                "gateways.prometheus.httpPort"
            ),
            "gateways.a.b.selector: Forbidden: with ownPods: true its own pods serve it",
            "gateways.theirs.values: Forbidden: used with ownPods: true only",
            (
                "gateways.a.b: Invalid value: with ownPods it names a Service: at most 53 characters from a-z, 0-9 and "
                "-, not a digit first"
            ),
            "gateways.prometheus: Duplicate value: istio-system has a prometheus already; rename one",
            (
                "namespaces.edge.callers: Forbidden: the pods of gateways.shop are there, and users have no identity "
                "that it could allow"
            ),
            (
                "namespaces.quiet.injection: Forbidden: the pods of gateways.quiet are there, and get their proxy by "
                "injection"
            ),
            'gateways.nodes.namespace: Invalid value: "kube-system": Istio gives no pod a proxy there',
            (
                "gateways.shop: Duplicate value: the pods of gateways.prometheus have the label istio: shop as well; "
                "rename one"
            ),
            'namespaces.edge.apps.shop: Duplicate value: gateways.shop has a Deployment "shop" as well; rename one',
        ],
    ),
    "logins of repositories that nothing would use": (
        {
            "istio": {"repository": "oci://registry.example/charts", "repositorySecret": "charts"},
            "observability": {"grafana": {"repositorySecret": "charts"}},
            "secrets": {"charts": {"username": "a", "password": "b"}},
        },
        [
            (
                "istio.repositorySecret: Forbidden: of an OCI registry the login of `helm registry login` counts, "
                "where Pulumi runs"
            ),
            (
                "observability.grafana.repositorySecret: Forbidden: https://grafana-community.github.io/helm-charts "
                "asks for none; set observability.grafana.repository to yours"
            ),
        ],
    ),
    "a password in the address of a repository": (
        {
            "istio": {"repository": "https://alice:hunter2@charts.example"},
            "observability": {"grafana": {"enabled": False}},
        },
        [
            (
                "istio.repository: Forbidden: a user would be plain in the state: set secrets.NAME, and NAME in "
                "repositorySecret"
            )
        ],
    ),
    "a login of a repository without a password": (
        {
            "istio": {"repository": "https://charts.example", "repositorySecret": "charts"},
            "secrets": {"charts": {"username": "a"}},
        },
        ['istio.repositorySecret: Invalid value: "charts": secrets.charts must have the keys username and password'],
    ),
    "namespaces that refuse every pod with a sidecar": (
        {
            "namespace": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
            "namespaces": {
                "team-1": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}, "targets": {"pay": TARGET}},
                "edge": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
                "team-2": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}, "injection": False},
                "team-3": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}},
            },
            "istio": {"cni": {"values": {"a": None}}},
        },
        [
            "istio.cni.values: Forbidden: with istio.cni.enabled: false nothing uses it",
            ("istio.cni.values.a: Invalid value: null: Pulumi does not pass null to Helm; set the value that you want"),
            (
                'namespace.labels.pod-security.kubernetes.io/enforce: Invalid value: "restricted": it refuses the init '
                "container of sidecars; set istio.cni.enabled: true"
            ),
            (
                'namespaces.team-1.labels.pod-security.kubernetes.io/enforce: Invalid value: "baseline": it refuses '
                "the init container of sidecars; set istio.cni.enabled: true"
            ),
        ],
    ),
    "an Istio too new for its network plugin": (
        {"istio": {"version": "1.29.2", "revisions": {"next": "1.31.1"}, "cni": {"enabled": True}}},
        [
            (
                'istio.revisions.next: Invalid value: "1.31.1": must be at most one minor version after 1.29.2, with '
                "istio.cni: take 1.30 first"
            )
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
    "pods of a gateway without a chart": (
        {"istio": EXISTING, "gateways": {"admin": {"ownPods": True}}},
        [
            (
                "gateways.admin.ownPods: Forbidden: their chart comes with istio.enabled: true; name pods that are "
                "there in selector"
            )
        ],
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

HOOKED_BY_NAMESPACE: dict[str, Any] = {
    "controller": {**IMAGE, "trust": {"addresses": ["*.{namespace}"]}},
    "alerts": {"team": {"provider": {"type": "webhook", "address": "http://hook.prod"}}},
    "namespace": {"create": False},
    "namespaces": {"shop": {}},
}
ALONE: Mapping[str, dict[str, Any]] = {
    "apps": {"apps": {"frontend": None, "backend": None, "cart": NEW_APP}},
    "targets": {"apps": {"frontend": None, "backend": None}, "targets": {"ledger": TARGET}},
}
RIGHT_TOGETHER: Mapping[str, dict[str, Any]] = {
    # each would be refused if one of its sections were the default one
    "neither Istio nor a gateway": {"istio": {"enabled": False}, "gateway": {"enabled": False}},
    "a second revision, and who has it": {
        "istio": {"version": "1.30.1", "revisions": {"next": "1.31.1"}},
        "namespace": {"revision": "next"},
    },
    "ports of the gateway's Service": {
        "gateway": {"httpPort": 8080},
        "istio": {"values": {"gateway": {"service": {"ports": [{"name": "http", "port": 8080}]}}}},
    },
    "a gateway on the port of the first": {
        "gateway": {"httpPort": 8080, "hosts": ["shop.example"]},
        "gateways": {"internal": {"httpPort": 8080, "hosts": ["internal.example"]}},
    },
    "a gateway without the first": {
        "gateway": {"enabled": False},
        "gateways": {"public-gateway": {"hosts": ["*"], "selector": {"istio": "mine"}}},
    },
    "a controller of one namespace": {"namespace": {"name": "shop"}, "controller": {**IMAGE, "namespaces": ["shop"]}},
    "another namespace that has the usual name": {"namespace": {"name": "shop"}, "namespaces": {"prod": {}}},
    "an alert about one app": {
        "apps": {"cart": NEW_APP},
        "alerts": {"team": {"canaries": ["prod/cart"], "provider": {"type": "webhook", "address": "http://hook"}}},
    },
    "an alert about an app elsewhere": {
        "namespaces": {"shop": {"apps": {"cart": NEW_APP}}},
        "alerts": {"team": {"canaries": ["shop/cart"], "provider": {"type": "webhook", "address": "http://hook"}}},
    },
    "an alert about a target in another namespace than usual": {
        "namespace": {"name": "shop"},
        "targets": {"ledger": TARGET},
        "alerts": {"team": {"canaries": ["shop/ledger"], "provider": {"type": "webhook", "address": "http://hook"}}},
    },
    "addresses by namespace": {
        "namespace": {"name": "shop"},
        "controller": {**IMAGE, "trust": {"addresses": ["*.{namespace}"]}},
        "alerts": {"team": {"provider": {"type": "webhook", "address": "http://hook.shop"}}},
    },
    **{
        f"addresses by a namespace that has {what} and is there already": {**HOOKED_BY_NAMESPACE, **has}
        for what, has in ALONE.items()
    },
    "addresses by another namespace": {
        "controller": {**IMAGE, "trust": {"addresses": ["*.{namespace}"]}},
        "alerts": {"team": {"provider": {"type": "webhook", "address": "http://hook.shop"}}},
        "namespaces": {"shop": {}},
    },
    "a Prometheus elsewhere that a hook leads to as well": {
        "controller": {**IMAGE, "trust": {"addresses": ["*.prod"]}},
        "observability": {"prometheus": {"enabled": False, "url": "http://p.example"}},
        "alerts": {"team": {"provider": {"type": "webhook", "address": "http://p.example/hook"}}},
    },
    "Secrets that each are named somewhere": {
        "secrets": {
            name: {"address": "http://hook"}
            for name in ("app", "alert", "elsewhere", "gateway", "internal", "controller", "load-tester", "prometheus")
        },
        "apps": {"cart": {**NEW_APP, "secrets": ["app"]}},
        "alerts": {"team": {"provider": {"type": "webhook", "secretRef": {"name": "alert"}}}},
        "namespaces": {"shop": {"apps": {"cart": {**NEW_APP, "secrets": ["elsewhere"]}}}},
        "gateway": {"credentialName": "gateway", "hosts": ["shop.example"]},
        "gateways": {
            "internal": {"credentialName": "internal", "hosts": ["in.example"], "selector": {"istio": "internal"}}
        },
        "controller": {**IMAGE, "pullSecrets": ["controller"]},
        "loadTester": {"pullSecrets": ["load-tester"]},
        "observability": {"prometheus": {"pullSecrets": ["prometheus"]}},
    },
    "a faster analysis than usual": {
        "controller": {**IMAGE, "minimumInterval": "1s"},
        "apps": {"backend": {"analysis": {"interval": "2s"}}},
    },
    "a template of the stack": {
        "observability": {"metricTemplates": {"own": {"query": "1"}}},
        "apps": {
            "cart": {
                **NEW_APP,
                "analysis": {"metrics": [{"name": "own", "templateRef": {"name": "own", "namespace": "istio-system"}}]},
            }
        },
    },
    "a template of the app's own namespace": {
        "namespace": {"name": "shop"},
        "controller": {**IMAGE, "trust": {"crossNamespaceReferences": False}},
        "apps": {
            "cart": {
                **NEW_APP,
                "analysis": {"metrics": [{"name": "own", "templateRef": {"name": "own", "namespace": "shop"}}]},
            }
        },
    },
    "an app with the load tester's name": {
        "loadTester": {"enabled": False},
        "apps": {"flagger-loadtester": NEW_APP, "frontend": None, "backend": None},
    },
    "an app on a gateway of its own": {
        "gateway": {"name": "front", "hosts": ["shop.example"]},
        "apps": {
            "cart": {**NEW_APP, "service": {"port": 80, "gateways": ["public-gateway"], "hosts": ["cart.example"]}}
        },
    },
    "a version without proof": {
        "apps": {"cart": NEW_APP},
        "promotion": {"override": {"cart": {"version": "1", "by": "me", "why": "urgent"}}},
    },
}
