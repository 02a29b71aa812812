"""What a stack gets that sets nothing: the workshop's two apps; and how its settings are laid over that.

These are plain mappings in the shape of the stack's configuration (stack/config.py validates the result), so that a
stack can change one threshold without repeating the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ISTIO_NAMESPACE = "istio-system"
LOAD_TESTER = "flagger-loadtester"
GATEWAY_RELEASE = "istio-gateway"

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
}

_ANY_APP: dict[str, Any] = {
    "analysis": {
        "interval": "15s",
        "threshold": 10,
        "metrics": {
            "error-rate": {
                "templateRef": {"name": "error-rate", "namespace": ISTIO_NAMESPACE},
                "thresholdRange": {"max": 1},
                "interval": "30s",
            },
            "latency": {
                "templateRef": {"name": "latency", "namespace": ISTIO_NAMESPACE},
                "thresholdRange": {"max": 500},
                "interval": "30s",
            },
        },
    },
}


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid on `base`: mappings merge key by key, anything else replaces, None takes the key away."""
    merged = dict(base)
    for key, value in over.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            below = merged.get(key)
            merged[key] = merge(below if isinstance(below, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged


def complete_apps(apps: Mapping[str, Any], *, namespace: str, gateway: str, load_tester: bool) -> dict[str, Any]:
    """Every app of the stack, each laid over its defaults.

    `frontend` and `backend` are the workshop's, there unless set to None; any other app starts from the workshop's
    analysis. `namespace` is that of the apps, `gateway` the name of the public Gateway. With `load_tester` a webhook
    that names no url goes to the load tester. What is not a mapping is left as it is, for the validation to refuse.
    """
    workshop = {"frontend": _frontend(namespace, gateway), "backend": _backend(namespace)}
    asked = {"frontend": {}, "backend": {}, **apps}
    hook_url = f"http://{LOAD_TESTER}.{namespace}/" if load_tester else None
    return {
        name: _complete_app(workshop.get(name, {"analysis": _WEIGHTS}), app, hook_url)
        if isinstance(app, Mapping)
        else app
        for name, app in asked.items()
        if app is not None
    }


def _complete_app(default: dict[str, Any], app: Mapping[str, Any], hook_url: str | None) -> dict[str, Any]:
    base = merge(_ANY_APP, default)
    asked = app.get("analysis")
    if isinstance(asked, Mapping) and _is_other_strategy(base["analysis"], asked):
        base["analysis"] = {k: v for k, v in base["analysis"].items() if k not in {*_STRATEGIES, "match", "maxWeight"}}
    merged = merge(base, app)
    analysis = merged.get("analysis")
    if isinstance(analysis, Mapping):
        merged["analysis"] = {
            key: _as_list(value, hook_url if key == "webhooks" else None) if key in _NAMED_LISTS else value
            for key, value in analysis.items()
        }
    return merged


def _is_other_strategy(default: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Whether `asked` names a strategy, and not the default one: that then gives way, rather than contradict it."""
    named = {key for key in _STRATEGIES if asked.get(key) is not None}
    return bool(named) and not named & default.keys()


def _as_list(entries: Any, url: str | None) -> Any:
    """A Canary has lists of named entries; a stack may key them by name, so that each can be changed alone."""
    if not isinstance(entries, Mapping):
        return entries
    filled = {"url": url} if url else {}
    return [{"name": name, **filled, **e} if isinstance(e, Mapping) else e for name, e in entries.items()]


def _frontend(namespace: str, gateway: str) -> dict[str, Any]:
    """A/B: Firefox users and those with the cookie `type=insider` get the canary."""
    return merge(
        _PODINFO,
        {
            "command": ["./podinfo", "--port=9898", "--level=info", "--backend-url=http://backend:9898/echo"],
            "env": {"PODINFO_UI_COLOR": "#34577c"},
            "progressDeadlineSeconds": 60,
            "service": {"gateways": [f"{ISTIO_NAMESPACE}/{gateway}"], "hosts": ["*"]},
            "analysis": {
                "iterations": 10,
                "match": [
                    {"headers": {"user-agent": {"regex": ".*Firefox.*"}}},
                    {"headers": {"cookie": {"regex": "^(.*?;)?(type=insider)(;.*)?$"}}},
                ],
                "webhooks": _webhooks(
                    f"http://frontend-canary.{namespace}:9898",
                    f"-H 'Cookie: type=insider' http://{GATEWAY_RELEASE}.{ISTIO_NAMESPACE}/",
                ),
            },
        },
    )


def _backend(namespace: str) -> dict[str, Any]:
    """Weights, 5 to 50 by 5."""
    canary = f"http://backend-canary.{namespace}:9898"
    return merge(
        _PODINFO,
        {
            "command": ["./podinfo", "--port=9898", "--level=info"],
            "progressDeadlineSeconds": 120,
            "analysis": {**_WEIGHTS, "webhooks": _webhooks(canary, f"{canary}/")},
        },
    )


def _webhooks(canary: str, load: str) -> dict[str, Any]:
    """`canary` is the address of the canary's Service, `load` what follows the rate in the arguments of hey."""
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
