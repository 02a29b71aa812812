"""What an app starts from, those of the workshop above all; and how a stack's own settings are merged over it.

These are plain mappings in the shape of the stack's configuration, validated after the merge (stack/load.py), so that
a stack can change one threshold without repeating the rest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from stack.config import LoadTesterConfig
from stack.gateway import GatewayConfig
from stack.merge import merge, without_nulls
from stack.names import ISTIO_NAMESPACE, LOAD_TESTER
from stack.observability import AlertConfig, alerts_of
from stack.values import REPOSITORY

_STRATEGIES = frozenset({"iterations", "stepWeight", "stepWeights"})
"""A Canary has exactly one of these, and it decides what else may stand beside it."""
_WEIGHTS = {"stepWeight": 5, "maxWeight": 50}
_NAMED_LISTS = ("metrics", "webhooks", "alerts")

_PODINFO = {
    "image": "ghcr.io/stefanprodan/podinfo",
    "tag": "6.1.0",
    "readinessPath": "/readyz",
    "livenessPath": "/healthz",
    "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "512Mi"}},
    "service": {"port": 9898},
    # Its image names its user, and Kubernetes knows only of a number that it is not root's.
    "podSpec": {"securityContext": {"runAsUser": 100}},
}


def complete(
    entries: Mapping[str, Any],
    *,
    namespace: str,
    load_tester: LoadTesterConfig,
    templates: str,
    alerts: Mapping[str, AlertConfig],
    workshop: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """The apps, or the targets, of a namespace, each merged over its defaults.

    An app that has a name of `workshop` starts from that one; any other from the analysis of `backend` without its
    webhooks. What is None is left out; what else is no mapping stays as it is, for the validation to refuse.

    Args:
        entries: what the stack sets, by name.
        namespace: that of the entries.
        load_tester: gets the webhooks without `url`, where it is enabled.
        templates: namespace of the metric templates and alert providers.
        alerts: whom the stack tells of its rollouts, by name.
        workshop: the workshop's apps, by name.
    """
    workshop = workshop or {}
    hook_url = f"http://{LOAD_TESTER}.{namespace}/" if load_tester.enabled else None

    def base(name: str) -> dict[str, Any]:
        told = alerts_of(namespace, name, alerts, templates)
        analysis = {"analysis": {"alerts": told}} if told else {}
        return merge(_any_app(templates), analysis, workshop.get(name, {"analysis": _WEIGHTS}))

    return {
        name: _complete_app(base(name), entry, hook_url) if isinstance(entry, Mapping) else entry
        for name, entry in entries.items()
        if entry is not None
    }


def workshop_apps(namespace: str, gateway: GatewayConfig, gateway_service: str) -> dict[str, dict[str, Any]]:
    """`frontend` and `backend`; users reach the frontend through the public Gateway, if there is one."""
    public = gateway.enabled
    frontend = _frontend(
        namespace, _through(gateway, gateway_service) if public else f"http://frontend.{namespace}:9898/"
    )
    if public:
        frontend["service"] |= {"gateways": [f"{ISTIO_NAMESPACE}/{gateway.name}"], "hosts": gateway.host_names}
    return {"frontend": frontend, "backend": _backend(namespace)}


def _complete_app(base: dict[str, Any], app: Mapping[str, Any], hook_url: str | None) -> dict[str, Any]:
    asked = app.get("analysis")
    if isinstance(asked, Mapping) and _is_other_strategy(base["analysis"], asked):
        base["analysis"] = {k: v for k, v in base["analysis"].items() if k not in {*_STRATEGIES, "match", "maxWeight"}}
    if _is_complete(app.get("image")):
        base.pop("tag", None)
    merged = without_nulls(merge(base, app))
    analysis = merged.get("analysis")
    if isinstance(analysis, Mapping):
        merged["analysis"] = {
            key: _as_list(value, {"url": hook_url} if key == "webhooks" and hook_url else {})
            if key in _NAMED_LISTS
            else value
            for key, value in analysis.items()
        }
    return merged


def _is_complete(image: Any) -> bool:
    """Whether an image has a tag or a digest, in place of the default tag."""
    return isinstance(image, str) and re.fullmatch(REPOSITORY, image) is None


def _is_other_strategy(default: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Whether `asked` names a strategy other than the default one, which is then dropped: a Canary has exactly one."""
    named = {key for key in _STRATEGIES if asked.get(key) is not None}
    return bool(named) and not named & default.keys()


def _as_list(entries: Any, defaults: Mapping[str, str]) -> Any:
    """The list of a Canary; in a stack it may be a mapping by name, so that one entry can be changed alone."""
    if isinstance(entries, Mapping):
        return [{"name": name, **defaults, **e} if isinstance(e, Mapping) else e for name, e in entries.items()]
    if isinstance(entries, list):
        return [{**defaults, **entry} if isinstance(entry, Mapping) else entry for entry in entries]
    return entries


def _any_app(templates: str) -> dict[str, Any]:
    """What every app starts from: at most 1% of errors, and 99% of the requests within 500 ms."""

    def metric(name: str, highest: int) -> dict[str, Any]:
        reference = {"name": name, "namespace": templates}
        return {"templateRef": reference, "thresholdRange": {"max": highest}, "interval": "30s"}

    metrics = {"error-rate": metric("error-rate", 1), "latency": metric("latency", 500)}
    return {"analysis": {"interval": "15s", "threshold": 10, "metrics": metrics}}


def _frontend(namespace: str, address: str) -> dict[str, Any]:
    """A/B: Firefox users and those with the cookie `type=insider` get the canary; `address` ends the load's command."""
    return merge(
        _PODINFO,
        {
            "command": ["./podinfo", "--port=9898", "--level=info", "--backend-url=http://backend:9898/echo"],
            "env": {"PODINFO_UI_COLOR": "#34577c"},
            "progressDeadlineSeconds": 60,
            "analysis": {
                "iterations": 10,
                "match": [
                    {"headers": {"user-agent": {"regex": ".*Firefox.*"}}},
                    {"headers": {"cookie": {"regex": "^(.*?;)?(type=insider)(;.*)?$"}}},
                ],
                "webhooks": _webhooks(
                    f"http://frontend-canary.{namespace}:9898",
                    f"-H 'Cookie: type=insider' {address}",
                ),
            },
        },
    )


def _through(gateway: GatewayConfig, service: str) -> str:
    """The arguments of `hey` for a request from inside the cluster through the gateway, to a host that it serves."""
    scheme, port, usual = (
        ("https", gateway.https_port, 443) if gateway.credential_name else ("http", gateway.http_port, 80)
    )
    address = f"{scheme}://{service}" + ("" if port == usual else f":{port}") + "/"
    host = next((name for name in gateway.host_names if "*" not in name), gateway.host_names[0])
    return address if host == "*" else f"-host {host.replace('*', 'load-test')} {address}"


def _backend(namespace: str) -> dict[str, Any]:
    """Weighted, from 5% to 50% in steps of 5. The load test calls it as users do, so both sides can be compared."""
    return merge(
        _PODINFO,
        {
            "command": ["./podinfo", "--port=9898", "--level=info"],
            "progressDeadlineSeconds": 120,
            "analysis": {
                **_WEIGHTS,
                "webhooks": _webhooks(f"http://backend-canary.{namespace}:9898", f"http://backend.{namespace}:9898/"),
            },
        },
    )


def _webhooks(canary: str, load: str) -> dict[str, Any]:
    """`canary` is the address of the canary's Service, `load` the last arguments of `hey`."""
    return {
        "conformance-test": {
            "type": "pre-rollout",
            "timeout": "15s",
            "metadata": {"type": "bash", "cmd": f"curl -sd 'test' {canary}/token | grep token"},
        },
        "load-test": {
            "type": "rollout",
            "timeout": "15s",
            "metadata": {"type": "cmd", "cmd": f"hey -z 1m -q 10 -c 2 {load}"},
        },
    }
