"""The evidence of one metric with ``compare``: counters in, a sequential test, its verdict in a sentence.

It lives in the Canary's status, so a restart of the controller loses nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from controller.api.compare import Compare
from controller.core.evidence.e_values import Counts
from controller.core.evidence.planning import requests_left_to_pass
from controller.core.evidence.question import EvidenceError, Question, Verdict
from controller.core.evidence.readings import Reading, SeriesCounts, is_pod, latest, since, totals
from controller.core.evidence.sequential import RateTest, SequentialTest

LOG_SUSPICION = math.log(2)
"""From this evidence on harm is likelier than not: one more look may show it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The evidence of one metric so far; a value, ``look`` returns the next one.

    Attributes:
        test: the sequential test.
        reading: the newest counters; the next look counts from there.
        read_at: when they were read.
        since: when the canary got its first traffic; requests that reached no pod warm up from there.
        young: since when each pod that still warms up may have served, by its series.
        query: digest of the query for the counters, which defines what they count.
    """

    test: SequentialTest
    reading: Reading
    read_at: datetime
    since: datetime
    young: Mapping[str, datetime] = field(default_factory=dict)
    query: str

    def __post_init__(self) -> None:
        width = 1 + len(self.test.rates)
        if any(len(counts) != width for counts in (*self.reading.canary.values(), *self.reading.primary.values())):
            raise EvidenceError(f"counters must have {width} counts each: requests, and bad ones by each rate")
        for time in (self.read_at, self.since, *self.young.values()):
            if time.tzinfo is None:
                raise EvidenceError(f"a time must have its zone, is {time.isoformat()}")

    def answers(self, fresh: Comparison) -> bool:
        """Whether this evidence is for what ``fresh`` asks of the same counters. An edited ``compare`` starts again."""
        ours, asked = self.test, fresh.test
        return (ours.question, len(ours.rates), self.query) == (asked.question, len(asked.rates), fresh.query)

    def seed(self, history: Sequence[Reading]) -> Comparison:
        """The comparison with what the primary counted before the rollout: its rate, and how its errors clump."""
        looks, before = list[SeriesCounts](), Reading()
        for number, reading in enumerate(history):
            counted = since(before, reading)
            if number and not counted.problem:
                looks.append(totals(counted.primary, len(self.test.rates)))
            before = latest(before, reading)
        return replace(self, test=self.test.seed(looks))

    def resume(self, compare: Compare, reading: Reading, now: datetime) -> Comparison:
        """The comparison as new pods of the same revision get their first traffic: one more look, and warm up again."""
        return replace(self.look(compare, reading, now), since=now)

    def look(self, compare: Compare, reading: Reading, now: datetime) -> Comparison:
        """The comparison after one more reading of the counters."""
        counted, young = since(self.reading, reading), self._young(compare, reading)
        moved = replace(self, reading=latest(self.reading, reading), read_at=now, young=young)
        if counted.problem:
            return replace(moved, test=self.test.skip(counted.problem))
        rates = len(self.test.rates)
        sides = (counted.canary, counted.primary)
        canary, primary = (totals(self._warm(compare, side, young), rates) for side in sides)
        if totals(counted.canary, rates)[0] and not canary[0]:
            cold = f"within the first {compare.warmup} of the canary's traffic"
            return replace(moved, test=self.test.learn(primary).skip(cold))
        looks = [Counts(canary[0], canary[rate], primary[0], primary[rate]) for rate in range(1, rates + 1)]
        return replace(moved, test=self.test.look(looks))

    def _young(self, compare: Compare, reading: Reading) -> dict[str, datetime]:
        """The pods that have served for less than ``warmup``; a new one may have begun right after the look before."""
        before = {**self.reading.canary, **self.reading.primary}
        begun = {key: self.read_at for key in (*reading.canary, *reading.primary) if is_pod(key) and key not in before}
        every = {**begun, **self.young}
        return {key: time for key, time in every.items() if self._warms_up(compare, time)}

    def _warms_up(self, compare: Compare, begun: datetime) -> bool:
        """Whether what was counted since the look before may be of the first ``warmup`` after ``begun``."""
        return (self.read_at - begun).total_seconds() < compare.warmup_seconds

    def _warm(
        self, compare: Compare, side: Mapping[str, SeriesCounts], young: Mapping[str, datetime]
    ) -> Mapping[str, SeriesCounts]:
        """The counts of pods that are warm. Requests that reached no pod do not count before some pod's do."""
        pods = [key for key in side if is_pod(key)]
        if self._warms_up(compare, self.since) or (pods and all(key in young for key in pods)):
            side = {key: counts for key, counts in side.items() if is_pod(key)}
        return {key: counts for key, counts in side.items() if key not in young}

    @property
    def strongest(self) -> RateTest:
        """The rate with the most evidence that the canary is worse."""
        return self.test.rates[self.test.strongest]

    @property
    def counted(self) -> bool:
        """Whether the canary has had requests that counted."""
        return self.strongest.seen.canary_total > 0

    @property
    def wants_a_look(self) -> bool:
        """Whether one look has counted, or none and the canary's pods still warm up, or what counted points to harm."""
        looks = self.strongest.looks
        if not looks:
            return any(key in self.reading.canary for key in self.young)
        return looks == 1 or self.log_evidence >= LOG_SUSPICION

    @property
    def seen(self) -> Counts:
        """The requests that counted, and the bad ones by the strongest rate."""
        return self.strongest.seen

    @property
    def ratio(self) -> float | None:
        """How many times the primary's rate the canary's was; None without bad requests of the primary."""
        return self.strongest.ratio.value

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval of the ratio, which holds at every look; None where there is no ratio."""
        return None if self.ratio is None else self.strongest.ratio.interval

    @property
    def sides(self) -> tuple[float, float] | None:
        """The bad part (0-1) of canary and primary, by the strongest rate; None before both have had requests."""
        seen = self.seen
        if not seen.canary_total or not seen.primary_total:
            return None
        return seen.canary_bad / seen.canary_total, seen.primary_bad / seen.primary_total

    @property
    def question(self) -> Question:
        return self.test.question

    @property
    def p_value(self) -> float:
        """Always-valid p-value of "no worse than harmless"."""
        return self.test.p_value

    @property
    def evidence(self) -> float:
        """E that the canary is worse, now."""
        return self.test.evidence

    @property
    def pass_evidence(self) -> float:
        """E that the canary is no harm, now."""
        return self.test.pass_evidence

    @property
    def log_evidence(self) -> float:
        """Ln of `evidence`, without its limit."""
        return self.test.log_evidence

    def verdict(self, compare: Compare) -> Verdict:
        """The test's verdict; none before both sides have had ``minRequests``."""
        return self.test.verdict if self.may_judge(compare) else Verdict.INCONCLUSIVE

    def may_judge(self, compare: Compare) -> bool:
        """Whether both sides have had ``minRequests``."""
        seen = self.strongest.seen
        return min(seen.canary_total, seen.primary_total) >= compare.min_requests

    def describe(self, compare: Compare) -> str:
        """The evidence in words: rates, their ratio and its interval, and what the verdict is or still needs."""
        skipped = f"; the last look did not count: {self.test.skipped}" if self.test.skipped else ""
        if not self.strongest.looks:
            return f"nothing counted yet{skipped}"
        limit = math.exp(-self.test.question.log_fail)
        p_value = f"p = {self.test.p_value:.2g}, limit {limit:.2g}"
        return f"{self._counted(compare)}: {self._judged(compare)} ({p_value}){skipped}"

    def _counted(self, compare: Compare) -> str:
        rate, seen = self.strongest, self.strongest.seen
        what = f"requests over {compare.edges_ms[self.test.strongest]:g} ms" if compare.edges_ms else "errors"
        canary = f"{_percent(seen.canary_bad, seen.canary_total)} of {seen.canary_total:,.0f} requests"
        primary = f"the primary's {_percent(seen.primary_bad, seen.primary_total)} of {seen.primary_total:,.0f}"
        low, high = rate.ratio.interval
        between = f"{low:.2g} to {high:.2g}" if high < math.inf else f"{low:.2g} or more"
        ratio, phi = rate.ratio.value, rate.dispersion.value
        times = f", {ratio:.2g} times ({between})" if ratio is not None else ""
        return f"{what} {canary} against {primary}{times}" + (f", dispersion {phi:.1f}" if phi > 1 else "")

    def _judged(self, compare: Compare) -> str:
        if not self.may_judge(compare):
            return f"no verdict before {compare.min_requests:,} requests each"
        if self.test.verdict is not Verdict.INCONCLUSIVE:
            return "harmful" if self.test.verdict is Verdict.FAIL else "not harmful"
        question, sign = self.test.question, "no sign of harm" if self.test.log_evidence <= 0 else "no verdict yet"
        left = max(requests_left_to_pass(question, rate) for rate in self.test.rates)
        more = (
            f"before about {_forecast(left):,.0f} more requests" if left < math.inf else "with any number of requests"
        )
        margin = f" plus {100 * question.harmful.margin:.2g} points" if question.harmful.margin else ""
        return f"{sign}; {question.harmful.ratio:g} times the primary's{margin} cannot be ruled out {more}"


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.2g}%" if whole else "0%"


def _forecast(requests: float) -> float:
    """To two digits, up."""
    unit = 10.0 ** max(0, math.floor(math.log10(max(requests, 1.0))) - 1)
    return math.ceil(requests / unit) * unit
