"""A rollout before it starts: its steps, how long it takes, and the verdicts to expect.

Times are seconds after the canary's first traffic.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.api.analysis import Analysis
from controller.api.durations import DEFAULT_INTERVAL_FLOOR_SECONDS
from controller.api.webhook import HookType
from controller.core.evidence.question import Verdict
from controller.core.simulation.expectations import Expectation, Traffic, expect_verdicts
from controller.core.simulation.steps import Plan, Step, first_proven_look, last_look, plan_looks, plan_steps

_GATES = (HookType.CONFIRM_TRAFFIC_INCREASE, HookType.CONFIRM_PROMOTION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A rollout before it starts.

    Attributes:
        interval: seconds from one look to the next.
        steps: while no look holds them up, and without ``advance: onEvidence``.
        shortest: seconds until the analysis can end with a promotion.
        longest: seconds until it has ended at the latest; None where a gate may hold it without end.
        expectations: the verdicts of the metrics with ``compare`` whose traffic is known.
        healthy: seconds in which a canary as good as the primary can be expected to be promoted; None: it cannot, or
            the traffic is not known.
    """

    interval: float
    steps: tuple[Step, ...]
    shortest: float
    longest: float | None
    expectations: tuple[Expectation, ...] = ()
    healthy: float | None = None


def plan_schedule(
    analysis: Analysis, traffic: Traffic | None = None, *, floor: float = DEFAULT_INTERVAL_FLOOR_SECONDS
) -> Schedule:
    """The schedule of an analysis; ``floor`` is the controller's least interval, seconds."""
    plan, steps = plan_looks(analysis, floor=floor), plan_steps(analysis, floor=floor)
    interval = plan.interval
    proven = first_proven_look(analysis, interval)
    quickest = plan_steps(analysis, floor=floor, proven_from=proven) if analysis.compares else steps
    last = last_look(analysis, len(steps), interval)
    shortest = max(len(quickest), proven)
    gated = any(webhook.hook_type in _GATES for webhook in analysis.webhooks)
    expectations = tuple(expect_verdicts(analysis, plan, traffic))
    return Schedule(
        interval=interval,
        steps=steps,
        shortest=(shortest if analysis.on_inconclusive == "rollback" else min(shortest, last)) * interval,
        longest=None if gated else (last + analysis.failure_threshold - 1) * interval,
        expectations=expectations,
        healthy=_healthy(analysis, expectations, plan, floor),
    )


def _healthy(analysis: Analysis, expectations: tuple[Expectation, ...], plan: Plan, floor: float) -> float | None:
    passes = [each.look for each in expectations if each.verdict is Verdict.PASS and not each.dry_run]
    if None in passes and analysis.on_inconclusive not in ("rollback", "gate"):
        return len(plan.looks) * plan.interval
    if None in passes or len(passes) < sum(1 for metric in analysis.metrics if metric.compare and not metric.dry_run):
        return None
    proven_from = max((look for look in passes if look is not None), default=None)
    steps = plan_steps(analysis, floor=floor, proven_from=proven_from)
    return max(len(steps), proven_from or 0) * plan.interval
