"""Fields that this controller does not support: reported to the user, never silently ignored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from controller.api.alert_provider import AlertProvider
from controller.api.analysis import Strategy
from controller.api.canary import Canary, CanarySpec
from controller.api.metric_template import MetricTemplate
from controller.api.references import DAEMON_SET, HPA, SCALED_OBJECT


class Unsupported(NamedTuple):
    """A field that is not supported.

    Attributes:
        path: the field; ``[]`` is every item of a list or every value of a mapping.
        reason: why, for the user.
        only: the values that are not supported, in lower case; if empty, every value that is not empty or false.
        unless: the values that are supported.
        beside: what else must be true of the Canary's spec; None: nothing.
        within: what must be true of the object that has the field; None: nothing.
    """

    path: str
    reason: str
    only: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    beside: Callable[[CanarySpec], bool] | None = None
    within: Callable[[Mapping[str, Any]], bool] | None = None


_NOT_ON_ISTIO = "not used with Istio"
_WEIGHTS_ONLY = "used with stepWeight and stepWeights only, not with iterations"
_HTTP_ONLY = "used with HTTP only, not with service.appProtocol: tcp"
_TCP_MATCH = frozenset({"gateways", "port", "sourceLabels", "sourceNamespace"})

_NOT_COMPARED = "compare does not use it; set thresholdRange too"


def _compares_only(metric: Mapping[str, Any]) -> bool:
    return "compare" in metric and "threshold" not in metric and "thresholdRange" not in metric


def _compares_requests(metric: Mapping[str, Any]) -> bool:
    """Only compares, and by Istio's counters: the queries of ``counters`` and ``value`` have placeholders."""
    return _compares_only(metric) and not {"counters", "value"} & metric["compare"].keys()


def _has_iterations(spec: CanarySpec) -> bool:
    return spec.analysis.iterations is not None


def _has_hpa(spec: CanarySpec) -> bool:
    return spec.autoscaler_ref is not None and spec.autoscaler_ref.kind == HPA


def _has_scaled_object(spec: CanarySpec) -> bool:
    return spec.autoscaler_ref is not None and spec.autoscaler_ref.kind == SCALED_OBJECT


def _has_daemon_set(spec: CanarySpec) -> bool:
    return spec.target_ref.kind == DAEMON_SET


def _is_ab_test(spec: CanarySpec) -> bool:
    return spec.analysis.strategy is Strategy.AB_TESTING


def _is_tcp(spec: CanarySpec) -> bool:
    return spec.service.is_tcp


def _matches_requests(service: Mapping[str, Any]) -> bool:
    return any(match.keys() - _TCP_MATCH for match in service["match"])


UNSUPPORTED: Mapping[str, tuple[Unsupported, ...]] = {
    "Canary": (
        Unsupported("spec.provider", "only istio is supported", unless=("istio",)),
        Unsupported(
            "spec.targetRef.kind",
            "clients outside the mesh follow it at once; name the workload behind it",
            only=("service",),
        ),
        Unsupported("spec.targetRef.apiVersion", "only apps/v1 is supported", unless=("apps/v1",)),
        Unsupported(
            "spec.autoscalerRef", "a DaemonSet has a pod on each node, whatever its load", beside=_has_daemon_set
        ),
        Unsupported(
            "spec.autoscalerRef.apiVersion",
            "only autoscaling/v2 is supported",
            unless=("autoscaling/v2", "autoscaling/v2beta2"),
            beside=_has_hpa,
        ),
        Unsupported(
            "spec.autoscalerRef.apiVersion",
            "only keda.sh/v1alpha1 is supported",
            unless=("keda.sh/v1alpha1",),
            beside=_has_scaled_object,
        ),
        Unsupported("spec.autoscalerRef.primaryScalerQueries", "used with a ScaledObject only", beside=_has_hpa),
        Unsupported("spec.ingressRef", _NOT_ON_ISTIO),
        Unsupported("spec.routeRef", _NOT_ON_ISTIO),
        Unsupported("spec.upstreamRef", _NOT_ON_ISTIO),
        Unsupported("spec.service.rewrite.type", _NOT_ON_ISTIO),
        Unsupported("spec.service.backendTimeout", _NOT_ON_ISTIO),
        Unsupported("spec.service.gatewayRefs", _NOT_ON_ISTIO),
        Unsupported("spec.service.mirror", _NOT_ON_ISTIO),
        Unsupported("spec.service.meshName", _NOT_ON_ISTIO),
        Unsupported("spec.service.backends", _NOT_ON_ISTIO),
        *(
            Unsupported(f"spec.{field}", _HTTP_ONLY, beside=_is_tcp)
            for field in (
                "groupHeader",
                *(
                    f"service.{name}"
                    for name in ("delegation", "timeout", "rewrite", "retries", "headers", "corsPolicy")
                ),
                *(f"analysis.{name}" for name in ("match", "mirror", "sessionAffinity")),
            )
        ),
        Unsupported(
            "spec.service.match",
            f"with appProtocol: tcp only {', '.join(sorted(_TCP_MATCH))}",
            beside=_is_tcp,
            within=_matches_requests,
        ),
        Unsupported("spec.analysis.match[].headers[].suffix", "Istio cannot match by suffix; use regex"),
        Unsupported("spec.analysis.maxWeight", _WEIGHTS_ONLY, beside=_has_iterations),
        Unsupported(
            "spec.analysis.mirror",
            "an A/B test does not mirror: the matched requests go to the canary",
            beside=_is_ab_test,
        ),
        Unsupported("spec.analysis.mirrorWeight", "needs mirror: true", beside=lambda spec: not spec.analysis.mirror),
        *(
            Unsupported(f"spec.analysis.metrics[].{field}", _NOT_COMPARED, within=_compares_only)
            for field in ("query", "templateRef")
        ),
        *(
            Unsupported(f"spec.analysis.metrics[].{field}", _NOT_COMPARED, within=_compares_requests)
            for field in ("interval", "templateVariables")
        ),
        Unsupported(
            "spec.analysis.webhooks[].type", _WEIGHTS_ONLY, only=("confirm-traffic-increase",), beside=_has_iterations
        ),
        Unsupported(
            "spec.analysis.sessionAffinity",
            "an A/B test needs no cookie: a user's requests match or do not",
            beside=_is_ab_test,
        ),
    ),
    "MetricTemplate": (
        Unsupported("spec.provider.type", "Keptn is no longer developed; query its data source", only=("keptn",)),
        Unsupported("spec.provider.region", "used with cloudwatch only", within=lambda it: it["type"] != "cloudwatch"),
        Unsupported(
            "spec.provider.address",
            "not used with stackdriver: the controller's token is sent to Google only",
            within=lambda it: it["type"] == "stackdriver",
        ),
    ),
    "AlertProvider": (),
}


def unsupported_fields(obj: Canary | MetricTemplate | AlertProvider) -> tuple[str, ...]:
    """The fields set in ``obj`` that this controller does not support, each as ``path: reason``."""
    manifest, spec = obj.to_dict(), obj.spec if isinstance(obj, Canary) else None
    return tuple(
        f"{path}: {entry.reason}"
        for entry in UNSUPPORTED[obj.kind]
        if entry.beside is None or (spec is not None and entry.beside(spec))
        for path, value, holder in _find(manifest, entry.path.replace("[]", ".[]").split("."))
        if _is_unsupported(entry, value) and (entry.within is None or entry.within(holder))
    )


def _is_unsupported(entry: Unsupported, value: Any) -> bool:
    text = str(value).lower()
    return bool(value) and text not in entry.unless and (not entry.only or text in entry.only)


def _find(value: Any, parts: list[str], path: str = "", holder: Any = None) -> Iterator[tuple[str, Any, Any]]:
    """Every value in ``value`` at the path ``parts``, with its own path, and what holds it."""
    if not parts:
        yield path, value, holder
    elif parts[0] == "[]":
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, item in items:
            yield from _find(item, parts[1:], f"{path}[{key}]", value)
    elif parts[0] in value:
        yield from _find(value[parts[0]], parts[1:], f"{path}.{parts[0]}" if path else parts[0], value)
