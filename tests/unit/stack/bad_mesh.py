"""Stacks whose Istio, gateways or page are refused, with the lines of the error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.unit.stack.stack_parts import EXISTING, IMAGE, JWT, KEYS, NEW_APP, SIGN_IN, TARGET, TRACES, behind_gateway

MESH: Mapping[str, tuple[dict[str, Any], list[str]]] = {
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
    "callers of policies that are not made": (
        {"networkPolicies": {"enabled": False, "monitoring": ["kiali"]}},
        ["networkPolicies.monitoring: Forbidden: with networkPolicies.enabled: false nothing uses it"],
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
    "pods of a gateway without a chart": (
        {"istio": EXISTING, "gateways": {"admin": {"ownPods": True}}},
        [
            (
                "gateways.admin.ownPods: Forbidden: their chart comes with istio.enabled: true; name pods that are "
                "there in selector"
            )
        ],
    ),
}
