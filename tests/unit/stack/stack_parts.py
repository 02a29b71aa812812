"""What the stacks of the tables are made of."""

from __future__ import annotations

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
