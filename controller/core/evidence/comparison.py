"""The evidence of one metric with ``compare``: counters in, a sequential test, its verdict in a sentence.

It lives in the Canary's status, so a restart of the controller loses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from controller.api.metric import Compare
from controller.core.evidence.dispersion import Dispersion
from controller.core.evidence.e_values import Counts
from controller.core.evidence.question import EvidenceError, Question, Verdict
from controller.core.evidence.readings import Reading, is_pod, latest, since, totals
from controller.core.evidence.sequential import RateTest, SequentialTest


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The evidence of one metric so far; a value, ``look`` returns the next one.

    Attributes:
        test: the sequential test.
        dispersion: how much bad requests clump, from the pods.
        reading: the newest counters; the next look counts from there.
        since: when the canary got its first traffic; the warm-up begins there.
        query: digest of the query for the counters, which defines what they count.
    """

    test: SequentialTest
    dispersion: Dispersion
    reading: Reading
    since: datetime
    query: str

    def __post_init__(self) -> None:
        width = 1 + len(self.test.rates)
        if any(len(counts) != width for counts in (*self.reading.canary.values(), *self.reading.primary.values())):
            raise EvidenceError(f"counters must have {width} counts each: requests, and bad ones by each rate")
        if self.since.tzinfo is None:
            raise EvidenceError(f"since must be a time with its zone, is {self.since.isoformat()}")

    def answers(self, fresh: Comparison) -> bool:
        """Whether this evidence is for what ``fresh`` asks of the same counters. An edited ``compare`` starts again."""
        ours, asked = self.test, fresh.test
        return (ours.question, len(ours.rates), self.query) == (asked.question, len(asked.rates), fresh.query)

    def resume(self, compare: Compare, reading: Reading, now: datetime) -> Comparison:
        """The comparison as new pods of the same revision get their first traffic: one more look, and warm up again."""
        return replace(self.look(compare, reading, now), since=now)

    def look(self, compare: Compare, reading: Reading, now: datetime) -> Comparison:
        """The comparison after one more reading of the counters."""
        counted = since(self.reading, reading)
        moved = replace(self, reading=latest(self.reading, reading))
        if (now - self.since).total_seconds() < compare.warmup_seconds:
            return replace(moved, test=self.test.skip(f"within the first {compare.warmup} of the canary's traffic"))
        if counted.problem:
            return replace(moved, test=self.test.skip(counted.problem))
        dispersion = self._dispersion(counted)
        return replace(moved, test=self.test.look(self._counts(counted), dispersion.value), dispersion=dispersion)

    def _dispersion(self, counted: Reading) -> Dispersion:
        """By the first rate: the only one of errors, and the lowest edge of latency, which has the most."""
        estimate = self.dispersion
        for side in (counted.canary, counted.primary):
            estimate = estimate.look([counts[:2] for key, counts in side.items() if is_pod(key)])
        return estimate

    def _counts(self, counted: Reading) -> list[Counts]:
        rates = len(self.test.rates)
        canary, primary = totals(counted.canary, rates), totals(counted.primary, rates)
        return [Counts(canary[0], canary[rate], primary[0], primary[rate]) for rate in range(1, rates + 1)]

    @property
    def strongest(self) -> RateTest:
        """The rate with the most evidence that the canary is worse."""
        return self.test.rates[self.test.strongest]

    @property
    def counted(self) -> bool:
        """Whether the canary has had requests that counted."""
        return self.strongest.seen.canary_total > 0

    @property
    def seen(self) -> Counts:
        """The requests that counted, and the bad ones by the strongest rate."""
        return self.strongest.seen

    @property
    def ratio(self) -> float | None:
        """How many times the primary's rate the canary's was; None without bad requests of the primary."""
        return self.strongest.observed_ratio

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
        return Verdict.INCONCLUSIVE if self._too_few(compare) else self.test.verdict

    def _too_few(self, compare: Compare) -> bool:
        seen = self.strongest.seen
        return min(seen.canary_total, seen.primary_total) < compare.min_requests

    def describe(self, compare: Compare) -> str:
        """The evidence in a sentence: ``errors 5.4 times the primary's: 41 of 3,120 against 30 of 12,480, p = …``."""
        skipped = f"; the last look did not count: {self.test.skipped}" if self.test.skipped else ""
        waits = f"; no verdict before {compare.min_requests:,} requests each" if self._too_few(compare) else ""
        counted = self._counted(compare) if self.strongest.looks else "nothing counted yet"
        return f"{counted}, {self.verdict(compare).lower()}{waits}{skipped}"

    def _counted(self, compare: Compare) -> str:
        rate, seen = self.strongest, self.strongest.seen
        what = f"requests over {compare.latency.edges_ms[self.test.strongest]:g} ms" if compare.latency else "errors"
        ratio = rate.observed_ratio
        observed = f"{ratio:.1f} times the primary's" if ratio is not None else "against none of the primary's"
        canary = f"{seen.canary_bad:,.0f} of {seen.canary_total:,.0f}"
        primary = f"{seen.primary_bad:,.0f} of {seen.primary_total:,.0f}"
        return f"{what} {observed}: {canary} against {primary}, p = {self.test.p_value:.2g}"
