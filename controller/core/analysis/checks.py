"""All metrics of an analysis, measured and judged: thresholds by `analysis`, against the primary by `comparison`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.api.metric import Metric
from controller.core.analysis.comparison import Comparison, plan_counters
from controller.core.analysis.counters import read_samples
from controller.core.analysis.thresholds import judge, plan_query
from controller.core.evidence.question import EvidenceError
from controller.core.evidence.sequential import Verdict
from controller.core.model import Check, Measure, MetricProbe, Probe, ProbeResult, QueryFailed, Samples
from controller.core.tick import Tick


@dataclass(frozen=True, slots=True)
class Measured:
    """What one analysis measured.

    Attributes:
        checks: every metric's verdict; a metric with both a threshold and ``compare`` has two.
        evidence: what ``compare`` has gathered, for the status, by metric.
        harm: the comparisons that found the canary harmful; each is reason enough to roll back.
    """

    checks: tuple[Check, ...] = ()
    evidence: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    harm: tuple[Check, ...] = ()

    @property
    def failures(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.passed)


def measure(tick: Tick) -> Measure | Measured:
    """Every metric's verdict; a Measure, of all queries at once, while an answer is missing."""
    metrics = tick.analysis.metrics
    thresholds = [
        (metric, plan_query(tick.canary, metric, tick.facts.templates)) for metric in metrics if metric.bounds
    ]
    compared = [(metric, plan_counters(tick.canary, metric)) for metric in metrics if metric.compare]
    probes: list[Probe] = [plan for _, plan in thresholds if isinstance(plan, MetricProbe)]
    probes += [plan for _, plan in compared]
    results = tick.observation.results
    if missing := tuple(probe for probe in probes if probe.key not in results):
        return Measure(missing)
    checks = [
        judge(tick.canary, metric, results[plan.key] if isinstance(plan, MetricProbe) else plan)
        for metric, plan in thresholds
    ]
    evidence, harm = dict[str, Mapping[str, Any]](), list[Check]()
    for metric, plan in compared:
        check, comparison = _compare(tick, metric, results[plan.key])
        checks.append(check)
        if comparison is not None:
            evidence[metric.name] = comparison.to_status()
            if not check.passed and isinstance(results[plan.key], Samples):
                harm.append(check)
    return Measured(tuple(checks), evidence, tuple(harm))


def baseline(tick: Tick) -> Measure | Measured:
    """The counters just before the canary's first traffic, so that the first look after it counts.

    Where they cannot be read the first look becomes the baseline. Evidence that the revision has already stays, and may
    be enough to give it no traffic again.
    """
    compared = [(metric, plan_counters(tick.canary, metric)) for metric in tick.analysis.metrics if metric.compare]
    results = tick.observation.results
    if missing := tuple(plan for _, plan in compared if plan.key not in results):
        return Measure(missing)
    evidence, harm = dict[str, Mapping[str, Any]](), list[Check]()
    for metric, plan in compared:
        comparison = _begin(tick, metric, results[plan.key])
        if comparison is not None:
            evidence[metric.name], check = comparison.to_status(), comparison.check(metric)
            harm += [] if check.passed else [check]
    return Measured((), evidence, tuple(harm))


def inconclusive(tick: Tick) -> tuple[str, ...]:
    """The comparisons that have not passed, in words."""
    compared = [metric for metric in tick.analysis.metrics if metric.compare]
    found = [(metric, _remembered(tick, metric)) for metric in compared]
    return tuple(
        f"{metric.name}: {comparison.describe(metric.compare) if comparison else 'nothing counted yet'}"
        for metric, comparison in found
        if metric.compare and (comparison is None or comparison.verdict(metric.compare) is not Verdict.PASS)
    )


def _begin(tick: Tick, metric: Metric, answer: ProbeResult) -> Comparison | None:
    assert metric.compare is not None  # noqa: S101  # only such metrics are compared
    before = _remembered(tick, metric)
    if not isinstance(answer, Samples):
        return before
    if before is None or not before.counts["canaryTotal"]:
        return _start(tick, metric, answer)
    return before.resume(metric.compare, read_samples(tick.canary, answer.samples), tick.facts.now)


def _compare(tick: Tick, metric: Metric, answer: ProbeResult) -> tuple[Check, Comparison | None]:
    assert metric.compare is not None  # noqa: S101  # only such metrics are compared
    before = _remembered(tick, metric)
    match answer:
        case Samples(samples):
            reading = read_samples(tick.canary, samples)
            comparison = (
                before.look(metric.compare, reading, tick.facts.now) if before else _start(tick, metric, answer)
            )
            return comparison.check(metric), comparison
        case QueryFailed(reason):
            detail = f"Prometheus query failed for {metric.name}: {reason}"
            return Check(metric.name, passed=False, value=None, detail=detail), before
        case _:
            raise TypeError(f"counters are answered by Samples or QueryFailed, not by {answer!r}")


def _remembered(tick: Tick, metric: Metric) -> Comparison | None:
    """The evidence so far; None where there is none that can be read, or the question has changed since."""
    saved = tick.state.evidence.get(metric.name)
    try:
        comparison = Comparison.from_status(saved) if saved else None
    except EvidenceError:
        return None
    return comparison if comparison and comparison.answers(_start(tick, metric, Samples(()))) else None


def _start(tick: Tick, metric: Metric, answer: Samples) -> Comparison:
    return Comparison.start(tick.canary, metric, read_samples(tick.canary, answer.samples), tick.facts.now)
