"""Every object the program makes, compared whole with tests/golden/program. UPDATE_GOLDEN=1 rewrites them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.components.recording import IMAGE, Recording, run_program
from tests.golden_files import FOLDER, assert_golden

COMPONENTS = [
    "istio",
    "observability",
    "public-gateway",
    "apps",
    "canary-controller",
    "load-tester",
    "network-policies",
    "frontend",
    "backend",
]

PAGE = {"host": "rollouts.example.com"}
JWT = {
    "issuer": "https://login.example.com",
    "audiences": ["rollouts"],
    "jwks": '{"keys": [{"kty": "RSA", "n": "x", "e": "AQAB"}]}',
    "header": "X-Token",
}
SIGN_IN = {"name": "sign-in", "envoyExtAuthzHttp": {"service": "oauth2-proxy.login.svc.cluster.local", "port": 4180}}
EXTERNAL = {"enabled": False, "url": "https://prometheus.example"}

VARIANTS: Mapping[str, tuple[str, dict[str, Any]]] = {
    # golden file -> (component, configuration of the stack)
    "istio-from-a-registry": ("istio", {"istio": {"repository": "oci://registry.example/charts/"}}),
    "istio-with-a-revision": ("istio", {"istio": {"values": {"istiod": {"revision": "1-31"}}}}),
    "istio-during-an-upgrade": (
        "istio",
        {"istio": {"version": "1.30.4", "revisions": {"next": "1.31.1"}, "gatewayRevision": "next"}},
    ),
    "istio-with-its-network-plugin": (
        "istio",
        {
            "istio": {
                "version": "1.30.4",
                "revisions": {"next": "1.31.1"},
                "cni": {"enabled": True, "namespace": "kube-system", "values": {"cniBinDir": "/home/kubernetes/bin"}},
            },
            "namespace": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        },
    ),
    "istio-by-revision": ("istio", {"istio": {"revisions": {"stable": "1.31.1"}}}),
    "apps-with-a-revision": ("apps", {"istio": {"values": {"istiod": {"revision": "1-31"}}}}),
    "canary-controller-of-namespaces": (
        "canary-controller",
        {"controller": {"image": IMAGE, "namespaces": ["prod", "team-2"], "replicas": 2}},
    ),
    "observability-of-strict-canaries": (
        "observability",
        {
            "controller": {"image": IMAGE, "trust": {"crossNamespaceReferences": False}},
            "observability": {"grafana": {"enabled": False}, "prometheus": EXTERNAL},
        },
    ),
    "page-gateway": (
        "page-gateway",
        {"controller": {"image": IMAGE, "page": {"gateway": {**PAGE, "auth": {"jwt": JWT}}}}},
    ),
    "page-gateway-with-an-authorizer-at-two-gateways": (
        "page-gateway",
        {
            "controller": {
                "image": IMAGE,
                "name": "flagger",
                "page": {"gateway": {**PAGE, "auth": {"provider": "sign-in"}}},
            },
            "istio": {"values": {"istiod": {"meshConfig": {"extensionProviders": [SIGN_IN]}}}},
            "gateways": {
                "edge": {"hosts": ["*.example.com"], "selector": {"istio": "edge"}, "podsNamespace": "edge"},
                "shop": {"hosts": ["shop.example.com"]},
            },
        },
    ),
    "gateway-with-other-labels": ("public-gateway", {"istio": {"values": {"gateway": {"labels": {"istio": "edge"}}}}}),
    "gateway-with-tls": (
        "public-gateway",
        {"gateway": {"hosts": ["shop.example"], "credentialName": "shop.example-tls"}},
    ),
    "gateway-with-pods-of-its-own": (
        "gateway-internal",
        {
            "istio": {"revisions": {"stable": "1.30.4", "next": "1.31.1"}},
            "namespaces": {"edge": {"revision": "next"}},
            "gateways": {
                "internal": {
                    "namespace": "edge",
                    "hosts": ["*.internal.example"],
                    "credentialName": "internal-tls",
                    "httpsPort": 8443,
                    "ownPods": True,
                    "values": {"service": {"type": "ClusterIP"}, "podAnnotations": {"example.com/team": "edge"}},
                }
            },
        },
    ),
    "apps-with-strict-mtls": (
        "apps",
        {"namespace": {"mtls": "STRICT", "labels": {"team": "shop"}, "callers": ["team-1"]}},
    ),
    "load-tester-with-strict-mtls": ("load-tester", {"namespace": {"mtls": "STRICT"}}),
    "observability-with-an-external-prometheus": (
        "observability",
        {
            "observability": {
                "prometheus": EXTERNAL,
                "grafana": {"enabled": False},
                "metricTemplates": {"queue": {"query": 'queue_length{namespace="{{ namespace }}"}'}},
            }
        },
    ),
    "observability-with-storage-and-app-metrics": (
        "observability",
        {
            "observability": {
                "prometheus": {
                    "storage": {"size": "10Gi", "storageClass": "fast"},
                    "retention": "15d",
                    "appMetrics": True,
                    "scrapeConfigs": [{"job_name": "broker", "static_configs": [{"targets": ["broker.prod:9308"]}]}],
                },
                "grafana": {"enabled": False},
            }
        },
    ),
    "istio-with-values": (
        "istio",
        {
            "istio": {
                "version": "1.31.5",
                "repository": "https://mirror.example/charts",
                "values": {
                    "istiod": {"resources": {"requests": {"cpu": "1"}}, "autoscaleEnabled": True},
                    "gateway": {"labels": {"istio": "edge"}, "service": {"type": "ClusterIP"}},
                },
                "timeoutSeconds": 600,
                "awaitGateway": False,
            },
            "gateway": {"httpPort": 8080},
        },
    ),
    "app-with-everything": (
        "cart",
        {
            "apps": {
                "cart": {
                    "image": "registry.example/cart",
                    "tag": "v2",
                    "command": ["cart"],
                    "env": {"REGION": "north"},
                    "config": {"LIMIT": "5"},
                    "secrets": ["cart-database"],
                    "readinessPath": "/ready",
                    "hpa": {"enabled": False},
                    "suspend": True,
                    "service": {"port": 80, "targetPort": 8080, "retries": {"attempts": 3}},
                    "analysis": {
                        "interval": "30s",
                        "stepWeights": [1, 10, 50],
                        "metrics": {
                            "latency": None,
                            "request-success-rate": {"thresholdRange": {"min": 99}},
                        },
                        "webhooks": {"gate": {"type": "confirm-promotion", "url": "https://gate.example/"}},
                    },
                }
            }
        },
    ),
}


def objects_of(recording: Recording, component: str) -> list[dict[str, Any]]:
    """The objects of a component, each under what it is registered as, sorted."""
    owner = next(r for r in recording.resources if r.name == component and r.type.startswith("canary:mesh:"))
    objects = sorted(recording.inside(owner), key=lambda r: (r.kind, r.name))
    return [{"resource": f"{r.type} {r.name}", "inputs": _readable(r.inputs)} for r in objects]


def _readable(value: Any) -> Any:
    """Protobuf has no whole numbers, so 9898.0 is 9898; and a text of several lines becomes the list of them."""
    if isinstance(value, Mapping):
        return {key: _readable(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_readable(inner) for inner in value]
    if isinstance(value, str) and "\n" in value:
        return value.split("\n")
    return int(value) if isinstance(value, float) and value.is_integer() else value


@pytest.mark.parametrize("component", COMPONENTS)
def test_objects_are_as_in_the_golden_file(program: Recording, component: str) -> None:
    assert_golden(f"program/{component}", *objects_of(program, component))


@pytest.mark.parametrize("name", VARIANTS)
def test_objects_of_a_configured_stack_are_as_in_the_golden_file(name: str) -> None:
    component, config = VARIANTS[name]
    assert_golden(f"program/{name}", *objects_of(run_program(config), component))


def test_every_golden_file_is_used() -> None:
    assert sorted(path.stem for path in (FOLDER / "program").glob("*.yaml")) == sorted([*COMPONENTS, *VARIANTS])
