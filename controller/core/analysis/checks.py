"""All metrics of an analysis, measured and judged: by thresholds, and against the primary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from controller.api.canary import Canary
from controller.api.compare import Compare
from controller.api.durations import parse_duration
from controller.api.metric import Metric
from controller.core.analysis.comparisons import Compared, plan_comparison
from controller.core.analysis.sides import missing_traffic
from controller.core.analysis.thresholds import judge, plan_query
from controller.core.analysis.traffic import follows_weights, plan_traffic, split_of
from controller.core.decision import Measure
from controller.core.evidence.comparison import Comparison
from controller.core.evidence.question import Verdict
from controller.core.evidence.readings import Reading
from controller.core.evidence.split import Split
from controller.core.model import Check, Evidence, State
from controller.core.probes import MetricProbe, NoValues, Probe, QueryFailed
from controller.core.tick import Tick


@dataclass(frozen=True, slots=True)
class Measured:
    """What one analysis measured.

    Attributes:
        checks: every metric's verdict; a metric with both a threshold and ``compare`` has two.
        evidence: what ``compare`` has gathered, by metric.
        harm: the comparisons that found the canary harmful; each is reason enough to roll back.
        idle: those that could count nothing so far since a side had no requests.
        split: how the requests were shared out so far.
        awaited: failures of queries that cannot have a value yet: the canary took its first step less than the range
            of the query ago.
        rehearsed: dry runs that failed, to be told and no more; a comparison's FAIL, which stands, only when it is new.
    """

    checks: tuple[Check, ...] = ()
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    harm: tuple[Check, ...] = ()
    idle: tuple[Check, ...] = ()
    split: Split | None = None
    awaited: tuple[Check, ...] = ()
    rehearsed: tuple[Check, ...] = ()

    @property
    def failures(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.passed and not check.dry_run)


def measure(tick: Tick) -> Measure | Measured:
    """Every metric's verdict; a Measure, of all queries at once, while an answer is missing."""
    thresholds = [
        (metric, plan_query(tick.canary, metric, tick.facts.templates))
        for metric in tick.analysis.metrics
        if metric.bounds
    ]
    compared = _compared(tick)
    probes: list[Probe] = [plan for _, plan in thresholds if isinstance(plan, MetricProbe)]
    probes += [probe for each in compared for probe in each.probes]
    probes += _weighing(tick)
    results = tick.observation.results
    if missing := tuple(probe for probe in probes if probe.key not in results):
        return Measure(missing)
    checks = [
        replace(
            judge(tick.canary, metric, results[plan.key] if isinstance(plan, MetricProbe) else plan),
            dry_run=metric.dry_run,
        )
        for metric, plan in thresholds
    ]
    awaited = tuple(
        check
        for check, (metric, plan) in zip(checks, thresholds, strict=True)
        if isinstance(plan, MetricProbe) and isinstance(results[plan.key], NoValues) and _is_early(tick, metric)
    )
    evidence, harm, idle, known = dict(tick.state.evidence), list[Check](), list[Check](), list[Check]()
    for each in compared:
        metric, compare = each.metric, each.compare
        reading = each.read(tick.canary, results)
        if isinstance(reading, QueryFailed):
            checks.append(_unread(metric, f"Prometheus query failed for {metric.name}: {reading.reason}"))
            continue
        before, now = evidence.get(metric.name), tick.facts.now
        after = before.look(compare, reading, now) if before else each.begin(tick.canary, reading, now)
        evidence[metric.name] = after
        check = check_of(metric, compare, after)
        if problem := _missing_traffic(tick, metric, after, reading):
            check = replace(check, detail=f"{metric.name}: {problem}")
            idle.append(check)
        if not check.passed:
            harm.append(check)
            known += [check] if before and not check_of(metric, compare, before).passed else []
        elif reading.problem:
            check = _unread(metric, f"counters of {metric.name} cannot be compared: {reading.problem}")
        checks.append(check)
    harm += _harm_together(tick, evidence) if not _deciding(harm) else []
    told = (*awaited, *known)
    return Measured(
        checks=tuple(checks),
        evidence=evidence,
        harm=_deciding(harm),
        idle=_deciding(idle),
        split=split_of(tick),
        awaited=awaited,
        rehearsed=tuple(check for check in checks if check.dry_run and not check.passed and check not in told),
    )


def _harm_together(tick: Tick, evidence: Mapping[str, Evidence]) -> list[Check]:
    """The mean of the evidence of all comparisons, each by its risk: it may be enough where none is alone.

    An average of e-values is one, however they depend on each other (Vovk and Wang, arXiv 1912.06116).
    """
    deciding = [each for each in _compared(tick) if each.metric.name in evidence and not each.metric.dry_run]
    found = [(each, gathered) for each in deciding if (gathered := evidence[each.metric.name]).may_judge(each.compare)]
    together = sum(each.compare.risk * gathered.evidence for each, gathered in found)
    if not found or together < found[0][1].question.metrics:
        return []
    each, strongest = max(found, key=lambda one: one[1].log_evidence)
    check = check_of(each.metric, each.compare, strongest)
    return [replace(check, passed=False, detail=f"{check.detail}; with the other comparisons enough for harm")]


def _missing_traffic(tick: Tick, metric: Metric, after: Evidence, reading: Reading) -> str | None:
    """Why nothing could be counted so far. One look without requests among others is nothing to act on."""
    before = tick.state.evidence.get(metric.name)
    if not isinstance(before, Comparison) or reading.problem or after.counted:
        return None
    return missing_traffic(tick.canary, tick.state.routes, before.reading, reading)


def _unread(metric: Metric, detail: str) -> Check:
    """The failed check of a comparison that could not look."""
    return Check(metric.name, passed=False, value=None, detail=detail, dry_run=metric.dry_run)


def _deciding(checks: Iterable[Check]) -> tuple[Check, ...]:
    return tuple(check for check in checks if not check.dry_run)


def _is_early(tick: Tick, metric: Metric) -> bool:
    """Whether the query reaches back to before the first step: Prometheus needs two scrapes for a rate."""
    begun = tick.state.begun_at
    return begun is not None and (tick.facts.now - begun).total_seconds() < parse_duration(metric.interval)


def baseline(tick: Tick) -> Measure | Measured:
    """The counters just before the canary's first traffic, so that the first look after it counts.

    With them comes the primary's past, from which a comparison learns how errors clump. Where the counters cannot be
    read the first look becomes the baseline; where the past cannot, it is learnt on the way. Evidence that the
    revision has already stays, and may be enough to give it no traffic again.
    """
    compared, results = _compared(tick), tick.observation.results
    evidence, harm = dict(tick.state.evidence), list[Check]()
    begun = {name for name, before in evidence.items() if before.counted}
    pasts = {each.metric.name: each.past(tick.canary, tick.interval) for each in compared}
    histories = [past for name, past in pasts.items() if past and name not in begun]
    probes: list[Probe] = [probe for each in compared for probe in each.probes]
    probes += [*histories, *_weighing(tick)]
    if missing := tuple(probe for probe in probes if probe.key not in results):
        return Measure(missing)
    for each in compared:
        metric, before, reading = each.metric, evidence.get(each.metric.name), each.read(tick.canary, results)
        if not isinstance(reading, QueryFailed):
            before = (
                before.resume(each.compare, reading, tick.facts.now)
                if before and metric.name in begun
                else each.begin(tick.canary, reading, tick.facts.now, results)
            )
            evidence[metric.name] = before
        if before and not (check := check_of(metric, each.compare, before)).passed:
            harm.append(check)
    return Measured((), evidence, _deciding(harm), split=split_of(tick))


def _weighing(tick: Tick) -> tuple[Probe, ...]:
    """What shows whether the weights have reached the callers."""
    return (plan_traffic(tick.canary),) if follows_weights(tick.canary) else ()


def inconclusive(canary: Canary, state: State) -> tuple[str, ...]:
    """The comparisons that decide and have not passed, in the words of the last look."""
    said = {check.name: check.detail for check in state.checks}  # of a metric with a threshold too the later one
    return tuple(
        said.get(metric.name) or f"{metric.name}: nothing counted yet"
        for metric in canary.spec.analysis.metrics
        if metric.compare and not metric.dry_run and not _has_passed(state.evidence.get(metric.name), metric.compare)
    )


def wants_a_look(tick: Tick) -> bool:
    """Whether a comparison that decides could come to a verdict of harm soon, which takes two looks that count."""
    return any(
        gathered.wants_a_look
        for each in _compared(tick)
        if not each.metric.dry_run and isinstance(gathered := tick.state.evidence.get(each.metric.name), Comparison)
    )


def _has_passed(evidence: Evidence | None, compare: Compare) -> bool:
    return evidence is not None and evidence.verdict(compare) is Verdict.PASS


def check_of(metric: Metric, compare: Compare, evidence: Evidence) -> Check:
    """The verdict of a comparison as the check of its metric. Only FAIL fails it."""
    passed, detail = evidence.verdict(compare) is not Verdict.FAIL, f"{metric.name}: {evidence.describe(compare)}"
    return Check(metric.name, passed, evidence.p_value, detail, metric.dry_run)


def _compared(tick: Tick) -> tuple[Compared, ...]:
    return tuple(
        Compared(metric, metric.compare, plan_comparison(tick.canary, metric, tick.facts.templates))
        for metric in tick.analysis.metrics
        if metric.compare
    )
