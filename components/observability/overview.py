"""Two more Grafana dashboards: all rollouts, and how the controller does."""

from __future__ import annotations

from components.observability.panels import WINDOW, Dashboard, Panel, Row

_FAILED = "flagger_canary_status == 2"
_BAD = 'outcome=~"rolled_back|promotion_failed"'


def rollouts_dashboard() -> Dashboard:
    """All Canaries and their rollouts, since the controller has started."""
    name = "{{ namespace }}/{{ name }}"
    durations = "sum by (le, outcome) (canary_rollout_duration_seconds_bucket)"
    return Dashboard(
        "canary-rollouts",
        "Canary rollouts",
        [
            Row(
                "Now",
                [
                    Panel("Canaries by phase", "none", {"{{ phase }}": "count by (phase) (canary_state)"}, kind="stat"),
                    Panel(
                        "Last rollout failed", "none", {name: "flagger_canary_status == 2 or vector(0)"}, kind="stat"
                    ),
                    Panel(
                        "Traffic of canaries",
                        "percent",
                        {"{{ namespace }}/{{ workload }}": 'flagger_canary_weight{workload!~".+-primary"}'},
                    ),
                    Panel("All Canaries", "none", {"": "canary_state"}, kind="table", width=24),
                ],
            ),
            Row(
                "Rollouts that have ended",
                [
                    Panel("By outcome", "none", {"{{ outcome }}": "sum by (outcome) (canary_rollouts_total)"}),
                    Panel(
                        "Failures by reason",
                        "none",
                        {"{{ reason }}": f"sum by (reason) (canary_rollouts_total{{{_BAD}}}) or vector(0)"},
                    ),
                    Panel(
                        "Duration by outcome: half, and 90%",
                        "s",
                        {
                            f"{{{{ outcome }}}} {quantile:.0%}": f"histogram_quantile({quantile:g}, {durations})"
                            for quantile in (0.5, 0.9)
                        },
                    ),
                ],
            ),
        ],
        annotations={"Failed": _FAILED},
    )


def controller_dashboard(controller: str) -> Dashboard:
    """The controller, whose pods have `controller` as their app label."""
    late = f"sum by (le) (rate(canary_tick_lateness_seconds_bucket[{WINDOW}]))"
    ticks = f"sum by (le) (rate(flagger_canary_duration_seconds_bucket[{WINDOW}]))"
    pods = f'namespace="istio-system", pod=~"{controller}-.+", container!=""'
    cpu, memory = f"container_cpu_usage_seconds_total{{{pods}}}", f"container_memory_working_set_bytes{{{pods}}}"
    age = "time() - max(canary_last_reconcile_timestamp_seconds)"
    return Dashboard(
        "canary-controller",
        "Canary controller",
        [
            Row(
                "Work",
                [
                    Panel(
                        "Replicas that are up, and that lead",
                        "none",
                        {"up": f"sum({_UP})", "lead": "sum(canary_leader)"},
                    ),
                    Panel(
                        "Since the last reconciliation",
                        "s",
                        {"": age},
                    ),
                    Panel("Reconciliations by result", "ops", {"{{ result }}": _rate("result", "canary_ticks_total")}),
                    Panel("A reconciliation takes: 99%", "s", {"": f"histogram_quantile(0.99, {ticks})"}),
                    Panel("A reconciliation is late: 99%", "s", {"": f"histogram_quantile(0.99, {late})"}),
                    Panel(
                        "Requests to the API server",
                        "ops",
                        {"{{ verb }} {{ kind }}": _rate("verb, kind", "canary_api_requests_total")},
                    ),
                ],
            ),
            Row(
                "Pods",
                [
                    Panel("CPU", "short", {"{{ pod }}": _rate("pod", cpu)}),
                    Panel("Memory", "bytes", {"{{ pod }}": f"sum by (pod) ({memory})"}),
                    Panel("Canaries", "none", {"{{ namespace }}": "sum by (namespace) (flagger_canary_total)"}),
                ],
            ),
        ],
    )


_UP = 'up{job="canary-controller"}'


def _rate(labels: str, series: str) -> str:
    return f"sum by ({labels}) (rate({series}[{WINDOW}]))"
