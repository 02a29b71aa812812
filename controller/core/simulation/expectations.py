"""Where a comparison can be expected to have a verdict.

What a verdict needs is from `planning`, the middle of what happens; a step brings it forward by the part of its own
need that its requests are, since weights differ by step, and by no more than one look can.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from controller.api.analysis import Analysis, Strategy
from controller.api.compare import Compare
from controller.api.metric import Metric
from controller.core.evidence.e_values import MOST_OF_A_LOOK, RATE_LEAST, RATE_MOST
from controller.core.evidence.planning import requests_to_fail, requests_to_pass
from controller.core.evidence.question import Question, Verdict
from controller.core.model import Routes
from controller.core.simulation.steps import Plan, looks_before

BREAKAGE_RATIO = 10.0
"""Plain breakage: so many times the primary's errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What the workload serves.

    Attributes:
        requests_per_second: of all users.
        bad_rates: by metric with ``compare`` the part (0-1) of the primary's requests that is bad; for latency one
            for each edge.
        dispersion: by metric how much its bad requests clump (`evidence.dispersion`), for latency at each edge; 1 where
            it is not known.
        events_per_second: of metrics that count other events than requests.
    """

    requests_per_second: float
    bad_rates: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    dispersion: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
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


def expect_verdicts(analysis: Analysis, plan: Plan, traffic: Traffic | None) -> Iterator[Expectation]:
    """For every metric whose traffic is known: FAIL at the harm that was named, FAIL at plain breakage, PASS."""
    for metric in analysis.metrics:
        outlook = Outlook.of(analysis, plan, traffic, metric)
        if outlook:
            yield from map(outlook.fail, dict.fromkeys((outlook.compare.limits.harmful_ratio, BREAKAGE_RATIO)))
            yield outlook.succeed()


@dataclass(frozen=True, slots=True)
class _Look:
    """Requests that one look counts."""

    number: int
    canary: float
    primary: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What one metric with ``compare`` can expect of a plan and of its traffic.

    Attributes:
        metric: its name.
        compare: what it asks.
        dry_run: its verdicts decide nothing.
        sharing: how many metrics share the risk.
        clumped: by rate the part (0-1) of the primary's requests that is bad, and its dispersion.
        looks: those that count.
        interval: seconds from one look to the next.
    """

    metric: str
    compare: Compare
    dry_run: bool
    sharing: int
    clumped: tuple[tuple[float, float], ...]
    looks: tuple[_Look, ...]
    interval: float

    @classmethod
    def of(cls, analysis: Analysis, plan: Plan, traffic: Traffic | None, metric: Metric) -> Outlook | None:
        """None where nothing can be expected: what a metric counts is not known, nor how many requests match."""
        rates = traffic.bad_rates.get(metric.name, ()) if traffic else ()
        if traffic is None or metric.compare is None or not rates or analysis.strategy is Strategy.AB_TESTING:
            return None
        deciding = [each for each in analysis.metrics if each.compare and not each.dry_run]
        events = traffic.events_per_second.get(metric.name, traffic.requests_per_second) * plan.interval
        clumped = zip(
            (min(max(rate, RATE_LEAST), RATE_MOST) for rate in rates),
            traffic.dispersion.get(metric.name, (1.0,) * len(rates)),
            strict=True,
        )
        return cls(
            metric=metric.name,
            compare=metric.compare,
            dry_run=metric.dry_run,
            sharing=max(1, len(deciding)),
            clumped=tuple(clumped),
            looks=tuple(_counted(analysis, plan, metric.compare, events)),
            interval=plan.interval,
        )

    def fail(self, ratio: float) -> Expectation:
        """When a canary that is ``ratio`` times as bad as the primary FAILs.

        At the edge where it comes first; the mean over the edges asks so many times the evidence of one.
        """
        question = Question.of(self.compare, self.sharing * len(self.clumped))

        def need(share: float) -> float:
            return min(
                clumps
                * requests_to_fail(question, primary_rate=rate, ratio=min(ratio, (1 - 1e-9) / rate), canary_share=share)
                for rate, clumps in self.clumped
            )

        return self._expect(Verdict.FAIL, ratio, need, Question.of(self.compare, self.sharing).log_fail)

    def succeed(self) -> Expectation:
        """When a canary as good as the primary PASSes: at the edge where it comes last, since all of them have to."""
        question = Question.of(self.compare)

        def need(share: float) -> float:
            return max(
                clumps * requests_to_pass(question, primary_rate=rate, canary_share=share)
                for rate, clumps in self.clumped
            )

        return self._expect(Verdict.PASS, 1.0, need, question.log_pass)

    def _expect(self, verdict: Verdict, ratio: float, need: Callable[[float], float], bound: float) -> Expectation:
        """``need``: canary requests until the verdict, from the canary's share of the requests."""
        most, least = MOST_OF_A_LOOK / bound, self.compare.min_requests
        needs, progress, canary, primary = math.inf, 0.0, 0.0, 0.0
        found: int | None = None
        for look in self.looks:
            canary, primary = canary + look.canary, primary + look.primary
            if found is None:
                needs = need(look.canary / (look.canary + look.primary))
                progress += min(look.canary / needs, most)
                found = look.number if progress >= 1 and min(canary, primary) >= least else None
        return Expectation(
            metric=self.metric,
            verdict=verdict,
            ratio=ratio,
            needs=max(needs, least),
            gets=canary,
            look=found,
            seconds=None if found is None else found * self.interval,
            dry_run=self.dry_run,
        )


def _counted(analysis: Analysis, plan: Plan, compare: Compare, requests: float) -> Iterator[_Look]:
    """The looks that count: after the warm-up, with traffic on both sides; ``requests`` of all users in a look."""
    before = looks_before(compare.warmup_seconds, plan.interval)
    for look in plan.looks:
        canary, primary = _parts(analysis, look.routes)
        if look.number > before and min(canary, primary) * requests > 0:
            yield _Look(look.number, canary * requests, primary * requests)


def _parts(analysis: Analysis, routes: Routes) -> tuple[float, float]:
    """How many requests canary and primary get for one request of a user; a copy comes on top."""
    if routes.mirrored:
        return (analysis.mirror_weight or 100) / 100, 1.0
    return routes.canary_weight / 100, routes.primary_weight / 100
