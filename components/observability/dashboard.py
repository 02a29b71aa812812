"""The Grafana dashboard of a canary's analysis: what the controller decides on, primary beside canary.

Its uid and variables are those of Flagger's own dashboard, so existing links keep working:
``/d/flagger-istio/istio-canary?var-namespace=prod&var-primary=backend-primary&var-canary=backend``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from components.observability.panels import WINDOW, Dashboard, Panel, Row, variable
from controller.api import promql

_CANARY = 'namespace="$namespace", name="$canary"'
_PODS = {"primary": "$primary-.+", "canary": "$canary-[0-9a-f]+-[a-z0-9]{5}"}
"""The pods of each side; the canary's name is the beginning of the primary's."""


def canary_dashboard() -> Dashboard:
    """One Canary: its rollout, its traffic, its pods."""
    workloads = f'label_values({promql.REQUESTS}{{destination_workload_namespace="$namespace"}}, destination_workload)'
    return Dashboard(
        "flagger-istio",
        "Istio Canary",
        [Row("Rollout", _rollout()), Row("Requests", _requests()), Row("Pods", _pods())],
        [
            variable("namespace", f"label_values({promql.REQUESTS}, destination_workload_namespace)"),
            variable("primary", workloads, "/.*-primary$/"),
            variable("canary", workloads, "/^(?!.*-primary$).*$/"),
        ],
        {"Rollout": f'canary_state{{{_CANARY}, phase!~"|Initialized|Succeeded"}}'},
    )


def _rollout() -> list[Panel]:
    sides = 'flagger_canary_weight{namespace="$namespace", workload=~"$primary|$canary"}'
    seen = {side: promql.request_rate(promql.destination('"$namespace"', f'"${side}"'), WINDOW) for side in _PODS}
    share = f"100 * {seen['canary']} / ({seen['canary']} + ({seen['primary']} or on() vector(0)))"
    limits = f"canary_metric_limit{{{_CANARY}, bound=~"
    evidence = f"canary_comparison_evidence{{{_CANARY}}}"
    return [
        Panel("Traffic weight", "percent", {"{{ workload }}": sides, "requests that the canary had": share}),
        Panel(
            "Metric checks, last value",
            "none",
            {
                "{{ metric }}": f"flagger_canary_metric_analysis{{{_CANARY}}}",
                "limit: {{ metric }} {{ bound }}": f'{limits}"min|max"}}',
            },
            dashed="limit: .*",
        ),
        Panel(
            "Comparison: how many times the primary's",
            "none",
            {
                "{{ metric }}": f"canary_comparison_ratio{{{_CANARY}}}",
                "limit: {{ metric }} {{ bound }}": f'{limits}"harmless|harmful"}}',
            },
            dashed="limit: .*",
        ),
        Panel(
            "Comparison: evidence",
            "none",
            {"{{ metric }} {{ direction }}": evidence},
            logarithmic=True,
            about="fail: that the canary is worse, it fails from metrics/risk; pass: that it is no harm, from 1/risk.",
        ),
        Panel(
            "Comparison: requests that counted",
            "none",
            {"{{ metric }} {{ side }} {{ result }}": f"canary_comparison_requests{{{_CANARY}}}"},
        ),
        Panel("State", "none", {"{{ phase }}: {{ reason }}": f"canary_state{{{_CANARY}}}"}, kind="state-timeline"),
    ]


def _requests() -> list[Panel]:
    return [
        Panel("Requests", "reqps", _both(promql.request_rate)),
        Panel("Success rate (not 5xx)", "percent", _both(promql.success_rate)),
        Panel("Error rate (5xx)", "percent", _both(promql.error_rate)),
        *(
            Panel(f"Latency, {quantile:.0%} of requests", "ms", _both(partial(promql.latency, quantile=quantile)))
            for quantile in (0.5, 0.9, 0.99)
        ),
        *(
            Panel(f"Network, bytes {way}", "Bps", _both(query), width=12)
            for way, query in (("received", promql.received), ("sent", promql.sent))
        ),
        *(
            Panel(f"Requests by {what}", "reqps", _both(partial(_by, label), f" {{{{ {label} }}}}"), width=12)
            for what, label in (("code", "response_code"), ("caller", "source_workload"))
        ),
    ]


def _pods() -> list[Panel]:
    """CPU and memory are of the kubelets; empty without `observability.prometheus.containerMetrics`."""
    return [
        Panel("CPU by pod", "short", _of_pods('container_cpu_usage_seconds_total{container!=""', rate=True), width=12),
        Panel(
            "Memory by pod",
            "bytes",
            _of_pods('container_memory_working_set_bytes{container!=""', rate=False),
            width=12,
        ),
    ]


def _of_pods(series: str, *, rate: bool) -> Mapping[str, str]:
    selected = {side: f'{series}, namespace="$namespace", pod=~"{pods}"}}' for side, pods in _PODS.items()}
    return {
        f"{side} {{{{ pod }}}}": f"sum by (pod) ({f'rate({found}[{WINDOW}])' if rate else found})"
        for side, found in selected.items()
    }


def _by(label: str, series: str, window: str) -> str:
    return f"sum by ({label}) (rate({promql.REQUESTS}{{{series}}}[{window}]))"


def _both(query: Callable[[str, str], str], more: str = "") -> dict[str, str]:
    """`query` for the primary and for the canary."""
    return {
        f"{side}{more}": query(promql.destination('"$namespace"', f'"${side}"'), WINDOW)
        for side in ("primary", "canary")
    }
