"""A rollout before it starts: its steps, how long it takes, and where a comparison can be expected to have a verdict.

Times are seconds after the canary's first traffic. What a comparison needs is from `planning`, the middle of what
happens; a step brings it forward by the part of its own need that its requests are, since weights differ by step, and
by no more than one look can.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from controller.api.analysis import Analysis, Strategy
from controller.api.durations import DEFAULT_INTERVAL_FLOOR_SECONDS
from controller.api.metric import Compare, Metric
from controller.api.webhook import HookType
from controller.core.evidence.e_values import MOST_OF_A_LOOK, RATE_LEAST, RATE_MOST
from controller.core.evidence.planning import requests_to_fail, requests_to_pass
from controller.core.evidence.question import Question, Verdict
from controller.core.model import Routes
from controller.core.rollout.strategies import walk_steps

BREAKAGE_RATIO = 10.0
"""Plain breakage: so many times the primary's errors."""

_GATES = (HookType.CONFIRM_TRAFFIC_INCREASE, HookType.CONFIRM_PROMOTION)


@dataclass(frozen=True, slots=True)
class Step:
    """What a look finds: the routes set one interval before it.

    Attributes:
        number: from 1; the look at its end has the same number.
        begins_at: when its routes are set, seconds after the canary's first traffic.
        routes: the canary's weight; for A/B the share of the matched requests.
    """

    number: int
    begins_at: float
    routes: Routes


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What the workload serves.

    Attributes:
        requests_per_second: of all users.
        bad_rates: by metric with ``compare`` the part (0-1) of the primary's requests that is bad; for latency one
            for each edge.
        events_per_second: of metrics that count other events than requests.
    """

    requests_per_second: float
    bad_rates: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    events_per_second: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """When one verdict of one metric can be expected.

    Attributes:
        metric: its name.
        verdict: FAIL or PASS.
        ratio: how many times the primary's bad rate the canary's is taken to be.
        needs: canary requests that the verdict takes, at the share of the step where it comes; infinite where no
            number is enough.
        gets: canary requests that count until the last look that the analysis can have.
        look: number of the look at which the verdict comes; None: not within the plan.
        seconds: when that is, after the canary's first traffic.
        dry_run: the verdict decides nothing.
    """

    metric: str
    verdict: Verdict
    ratio: float
    needs: float
    gets: float
    look: int | None
    seconds: float | None
    dry_run: bool = False


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
    interval = analysis.tick_seconds(floor)
    steps = plan_steps(analysis, floor=floor)
    proven = _first_proven_look(analysis, interval)
    quickest = plan_steps(analysis, floor=floor, proven_from=proven) if analysis.compares else steps
    last = _last_look(analysis, len(steps), interval)
    shortest = max(len(quickest), proven)
    gated = any(webhook.hook_type in _GATES for webhook in analysis.webhooks)
    expectations = tuple(_expectations(analysis, plan_looks(analysis, floor=floor), traffic, interval))
    return Schedule(
        interval=interval,
        steps=steps,
        shortest=(shortest if analysis.on_inconclusive == "rollback" else min(shortest, last)) * interval,
        longest=None if gated else (last + analysis.failure_threshold - 1) * interval,
        expectations=expectations,
        healthy=_healthy(analysis, expectations, floor),
    )


def plan_steps(
    analysis: Analysis, *, floor: float = DEFAULT_INTERVAL_FLOOR_SECONDS, proven_from: int | None = None
) -> tuple[Step, ...]:
    """The steps while no check fails; every comparison passes from look ``proven_from`` on (None: at the end only)."""
    interval = analysis.tick_seconds(floor)

    def proven(look: int) -> bool:
        return proven_from is not None and look >= proven_from

    return tuple(
        Step(number, (number - 1) * interval, step.routes)
        for number, step in enumerate(walk_steps(analysis, proven), start=1)
    )


def plan_looks(analysis: Analysis, *, floor: float = DEFAULT_INTERVAL_FLOOR_SECONDS) -> tuple[Step, ...]:
    """The steps, and the last one again while a comparison without a verdict is given time."""
    steps, interval = plan_steps(analysis, floor=floor), analysis.tick_seconds(floor)
    looks = _last_look(analysis, len(steps), interval)
    if analysis.on_inconclusive == "rollback":
        looks += analysis.failure_threshold - 1
    more = range(len(steps) + 1, looks + 1) if steps else ()
    return (*steps, *(Step(number, (number - 1) * interval, steps[-1].routes) for number in more))


def _looks_before(warmup_seconds: float, interval: float) -> int:
    """Looks that do not count. One counts what came since the look before, which has to be after the warm-up."""
    return math.ceil(warmup_seconds / interval)


def _first_proven_look(analysis: Analysis, interval: float) -> int:
    """Number of the first look at which every comparison can have passed; 0 without any. No look decides alone."""
    deciding = (metric.compare for metric in analysis.metrics if metric.compare and not metric.dry_run)
    return max(
        (
            _looks_before(compare.warmup_seconds, interval) + math.ceil(Question.of(compare).log_pass / MOST_OF_A_LOOK)
            for compare in deciding
        ),
        default=0,
    )


def _last_look(analysis: Analysis, steps: int, interval: float) -> int:
    """Number of the look that can promote without a verdict: after the last step, and the second that counts."""
    return max(steps, _looks_before(analysis.warmup_seconds, interval) + 2) if analysis.compares else steps


def _healthy(analysis: Analysis, expectations: tuple[Expectation, ...], floor: float) -> float | None:
    passes = [each.look for each in expectations if each.verdict is Verdict.PASS and not each.dry_run]
    if None in passes and analysis.on_inconclusive not in ("rollback", "gate"):
        return len(plan_looks(analysis, floor=floor)) * analysis.tick_seconds(floor)
    if None in passes or len(passes) < sum(1 for metric in analysis.metrics if metric.compare and not metric.dry_run):
        return None
    proven_from = max((look for look in passes if look is not None), default=None)
    steps = plan_steps(analysis, floor=floor, proven_from=proven_from)
    return max(len(steps), proven_from or 0) * analysis.tick_seconds(floor)


def _expectations(
    analysis: Analysis, looks: tuple[Step, ...], traffic: Traffic | None, interval: float
) -> Iterator[Expectation]:
    """For every metric whose traffic is known: FAIL at the harm that was named, FAIL at plain breakage, PASS."""
    if traffic is None or analysis.strategy is Strategy.AB_TESTING:  # nobody knows how many requests match
        return
    compared = [metric for metric in analysis.metrics if metric.compare]
    sharing = max(1, sum(1 for metric in compared if not metric.dry_run))
    for metric in compared:
        rates = tuple(min(max(rate, RATE_LEAST), RATE_MOST) for rate in traffic.bad_rates.get(metric.name, ()))
        if not rates or metric.compare is None:
            continue
        events = traffic.events_per_second.get(metric.name, traffic.requests_per_second) * interval
        counted = tuple(_counted(analysis, looks, metric.compare, events, interval))
        question = Question.of(metric.compare, sharing)
        for ratio in dict.fromkeys((metric.compare.harmful_ratio, BREAKAGE_RATIO)):
            need = _need_to_fail(metric.compare, sharing, rates, ratio)
            yield _expect(metric, Verdict.FAIL, ratio, question, need=need, looks=counted, interval=interval)
        need = _need_to_pass(metric.compare, rates)
        yield _expect(metric, Verdict.PASS, 1.0, question, need=need, looks=counted, interval=interval)


@dataclass(frozen=True, slots=True)
class _Look:
    """Requests that one look counts."""

    number: int
    canary: float
    primary: float


def _counted(
    analysis: Analysis, looks: tuple[Step, ...], compare: Compare, requests: float, interval: float
) -> Iterator[_Look]:
    """The looks that count: after the warm-up, with traffic on both sides; ``requests`` of all users in a look."""
    for look in looks:
        canary, primary = _parts(analysis, look.routes)
        if look.number > _looks_before(compare.warmup_seconds, interval) and min(canary, primary) * requests > 0:
            yield _Look(look.number, canary * requests, primary * requests)


def _parts(analysis: Analysis, routes: Routes) -> tuple[float, float]:
    """How many requests canary and primary get for one request of a user; a copy comes on top."""
    if routes.mirrored:
        return (analysis.mirror_weight or 100) / 100, 1.0
    return routes.canary_weight / 100, routes.primary_weight / 100


Need = Callable[[float], float]
"""Canary requests until a verdict, from the canary's share of the requests."""


def _need_to_fail(compare: Compare, metrics: int, rates: tuple[float, ...], ratio: float) -> Need:
    """At the edge where it comes first; the mean over the edges asks so many times the evidence of one."""
    question = Question.of(compare, metrics * len(rates))

    def need(share: float) -> float:
        return min(
            requests_to_fail(question, primary_rate=rate, ratio=min(ratio, (1 - 1e-9) / rate), canary_share=share)
            for rate in rates
        )

    return need


def _need_to_pass(compare: Compare, rates: tuple[float, ...]) -> Need:
    """At the edge where it comes last: all of them have to pass."""
    question = Question.of(compare, 1)

    def need(share: float) -> float:
        return max(requests_to_pass(question, primary_rate=rate, canary_share=share) for rate in rates)

    return need


def _expect(
    metric: Metric,
    verdict: Verdict,
    ratio: float,
    question: Question,
    *,
    need: Need,
    looks: tuple[_Look, ...],
    interval: float,
) -> Expectation:
    assert metric.compare is not None  # noqa: S101  # only such metrics are expected to have a verdict
    most = MOST_OF_A_LOOK / (question.log_fail if verdict is Verdict.FAIL else question.log_pass)
    least, needs, progress, canary, primary = metric.compare.min_requests, math.inf, 0.0, 0.0, 0.0
    found: int | None = None
    for look in looks:
        canary, primary = canary + look.canary, primary + look.primary
        if found is None:
            needs = need(look.canary / (look.canary + look.primary))
            progress += min(look.canary / needs, most)
            found = look.number if progress >= 1 and min(canary, primary) >= least else None
    return Expectation(
        metric=metric.name,
        verdict=verdict,
        ratio=ratio,
        needs=max(needs, least),
        gets=canary,
        look=found,
        seconds=None if found is None else found * interval,
        dry_run=metric.dry_run,
    )
