"""Is the canary worse than the primary? An answer that may be read after every look, with a stated risk of being wrong.

`RateTest` compares bad requests (errors), `LatencyTest` slow ones. Both gather evidence E: what a bettor who
started with 1 would own by betting on "the canary is worse" at odds that are fair or poor while it is not. By
Ville's inequality

    P(E ever reaches 1/alpha) <= alpha

while at every look the canary's rate is at most harmless_ratio times the primary's, however often one looks,
whenever one stops, and whatever weights, load and the primary's own rate do from look to look. FAIL is
E >= metrics/alpha, once for all. PASS is the mirror test: "at least harmful_ratio times" is refuted at alpha, and
still is now. FAIL outranks PASS.

The e-value of one look, and why it is one at any rate, not only a rare one, is in `evidence_math`. Looks multiply,
each a stratum of its own, so a moving weight does not bias the comparison (Simpson). Alternatives are mixed with
fixed stakes that lean towards harmful_ratio. For FAIL a fifth of the stake is put down look by look, so that harm
which begins late need not win back first what healthy looks lost. Sources: Lindon and Malek, arXiv 2011.03567;
Turner, Ly and Gruenwald, 2106.02693; Turner and Gruenwald, 2203.09785 and 2302.11401; Howard and Ramdas,
1906.09712; averages of e-values: Vovk and Wang, 1912.06116.

The guarantee asks that requests fail independently given their side (or that `dispersion` says how much they clump)
and that a request's side does not depend on how it would have fared. It does not speak of users who differ by
design (A/B, session affinity), of a canary slow because it is young (warm up first), or of a shared dependency that
hurts both. docs/statistics.md.

A look that cannot be read (negative, not a number, more bad than total, buckets that do not fit, a side without
traffic) leaves the evidence as it was and says why in `skipped`: a Prometheus that stumbles must neither end a
rollout nor count as good news.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from controller.core.evidence import e_values as em
from controller.core.evidence import question as asked
from controller.core.evidence.e_values import Counts
from controller.core.evidence.question import EvidenceError, Question, Verdict

__all__ = ["EvidenceError", "LatencyTest", "Question", "RateTest", "Verdict"]

MOST_LOG = 690.0  # evidence is shown up to e^690; JSON has no infinity


class Readings(ABC):
    """What both tests answer."""

    __slots__ = ()

    question: Question
    peak: float

    @property
    @abstractmethod
    def log_evidence(self) -> float:
        """Ln of `evidence`, without its limit."""

    @property
    @abstractmethod
    def log_pass_evidence(self) -> float:
        """Ln of `pass_evidence`, without its limit."""

    @property
    def verdict(self) -> Verdict:
        if self.peak >= self.question.log_fail:
            return Verdict.FAIL
        return Verdict.PASS if self.log_pass_evidence >= self.question.log_pass else Verdict.INCONCLUSIVE

    @property
    def p_value(self) -> float:
        """Always-valid p-value of "no worse than harmless_ratio": 1 / greatest E. FAIL from alpha / metrics down."""
        return math.exp(-min(self.peak, MOST_LOG))

    @property
    def evidence(self) -> float:
        """E that the canary is worse, now: 1 at the start; FAIL once it has reached metrics/alpha."""
        return math.exp(min(self.log_evidence, MOST_LOG))

    @property
    def pass_evidence(self) -> float:
        """E that the canary is less than harmful_ratio times as bad, now: 1 at the start; PASS from 1/alpha."""
        return math.exp(min(self.log_pass_evidence, MOST_LOG))


@dataclass(frozen=True, slots=True, kw_only=True)
class RateTest(Readings):
    """Bad requests of the canary against the primary's. A value: `look` returns the next one.

    Attributes:
        question: What is asked.
        looks: Looks that counted.
        seen: Requests of those looks.
        weighted_bad: Bad requests of canary and primary, each look's times the other side's share of its requests.
        worse: Ln of the money on each alternative of FAIL. Rounded down to 1e-4, as `better` and `peak` are.
        better: Ln of the money on each alternative of PASS.
        peak: Ln of the greatest evidence so far that the canary is worse.
        skipped: Why the last look did not count, or None.
    """

    question: Question
    looks: int = 0
    seen: Counts = field(default_factory=Counts)
    weighted_bad: tuple[float, float] = (0.0, 0.0)
    worse: tuple[float, ...] = (em.LOG_FIRST_ENTRY,) * em.SLOTS
    better: tuple[float, ...] = (0.0,) * em.SLOTS
    peak: float = 0.0
    skipped: str | None = None

    @classmethod
    def start(
        cls, *, alpha: float = 0.05, harmless_ratio: float = 1.0, harmful_ratio: float = 2.0, metrics: int = 1
    ) -> RateTest:
        """A test that has seen nothing. `Question` says what the values mean; EvidenceError names one out of range."""
        question = Question(alpha=alpha, harmless_ratio=harmless_ratio, harmful_ratio=harmful_ratio, metrics=metrics)
        return cls(question=question)

    def look(
        self,
        *,
        canary_total: float,
        canary_bad: float,
        primary_total: float,
        primary_bad: float,
        dispersion: float = 1.0,
    ) -> RateTest:
        """The test after one more look at the requests, and the bad ones, since the look before (deltas of counters).

        `dispersion` divides the look's evidence. 1 is for independent requests, at any rate of errors; where errors
        come in clumps of at most s, s keeps the guarantee exactly, and Pearson's chi^2/df across pods
        (`Dispersion`) keeps it nearly, for clumps that stay within a pod. A look that cannot count returns the same
        evidence, and the reason in `skipped`.
        """
        now = Counts(canary_total, canary_bad, primary_total, primary_bad)
        reason = asked.unreadable_counts(now) or asked.unusable_dispersion(dispersion)
        if reason:
            return self.skip(reason)
        now = now.clamped()
        question, rate = self.question, self.seen.primary_rate()
        factors = em.odds_factors(question.harmless_ratio, question.harmful_ratio)
        inverse = [1 / factor for factor in factors]
        worse = em.add_look(self.worse, em.slot_values(now, question.harmless_ratio, factors, rate), dispersion)
        better = em.add_look(self.better, em.slot_values(now, question.harmful_ratio, inverse, rate), dispersion)
        looks = self.looks + 1
        worse = em.add_entry(worse, looks)
        return replace(
            self,
            looks=looks,
            seen=self.seen + now,
            weighted_bad=em.add_weighted(self.weighted_bad, now),
            worse=worse,
            better=better,
            peak=max(self.peak, em.round_down(em.log_mixture(worse, em.held_back(looks)))),
            skipped=None,
        )

    def skip(self, reason: str) -> RateTest:
        """The same evidence, with the reason why a look did not count."""
        return replace(self, skipped=reason)

    @property
    def log_evidence(self) -> float:
        return em.log_mixture(self.worse, em.held_back(self.looks))

    @property
    def log_pass_evidence(self) -> float:
        return em.log_mixture(self.better)

    @property
    def observed_ratio(self) -> float | None:
        """How many times the primary's rate the canary's was (Mantel-Haenszel); None without bad requests there.

        A description for people, by look and so free of Simpson's bias; not part of the verdict.
        """
        canary, primary = self.weighted_bad
        return canary / primary if primary > 0 else None

    def to_status(self) -> dict[str, Any]:
        """JSON for `.status`. The test itself keeps rounded logs, so nothing is lost and no verdict can change."""
        status: dict[str, Any] = {
            **self.question.to_status(),
            "looks": self.looks,
            "canaryTotal": self.seen.canary_total,
            "canaryBad": self.seen.canary_bad,
            "primaryTotal": self.seen.primary_total,
            "primaryBad": self.seen.primary_bad,
            "weightedBad": list(self.weighted_bad),
            "worse": list(self.worse),
            "better": list(self.better),
            "peak": self.peak,
        }
        return status | ({"skipped": self.skipped} if self.skipped else {})

    @classmethod
    def from_status(cls, status: Mapping[str, Any]) -> RateTest:
        """The test that `to_status` saved. Raises EvidenceError with the field that is missing or malformed."""
        totals = ("canaryTotal", "canaryBad", "primaryTotal", "primaryBad")
        canary_weighted, primary_weighted = asked.saved_numbers(status, "weightedBad", 2)
        return cls(
            question=Question.from_status(status),
            looks=asked.saved_count(status, "looks"),
            seen=Counts(*(asked.saved_number(status, key) for key in totals)),
            weighted_bad=(canary_weighted, primary_weighted),
            worse=asked.saved_numbers(status, "worse", em.SLOTS),
            better=asked.saved_numbers(status, "better", em.SLOTS),
            peak=asked.saved_number(status, "peak"),
            skipped=asked.saved_reason(status),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyTest(Readings):
    """Slow requests of the canary against the primary's, at upper edges of a histogram chosen beforehand.

    A request is slow at an edge when it took longer; nothing is interpolated and no quantile estimated. FAIL looks
    at the mean of the edges' E, valid however the edges depend on each other, so the harm may be at any of them.
    PASS asks every edge to pass, so an edge that hardly any request reaches holds it back: choose edges that people
    care about. The ratios are of the numbers of slow requests, not of times: 10% more time throughout makes some
    10% more requests slow at the median and 20% to 40% more in the tail, hence the smaller default of
    `harmful_ratio`.

    Attributes:
        edges_ms: Upper edges in milliseconds, rising, without +Inf.
        tests: The test of each edge.
        peak: Ln of the greatest mean evidence so far; rounded down to 1e-4.
        skipped: Why the last look did not count, or None.
    """

    question: Question
    edges_ms: tuple[float, ...]
    tests: tuple[RateTest, ...]
    peak: float = 0.0
    skipped: str | None = None

    @classmethod
    def start(
        cls,
        *,
        edges_ms: Sequence[float],
        alpha: float = 0.05,
        harmless_ratio: float = 1.0,
        harmful_ratio: float = 1.5,
        metrics: int = 1,
    ) -> LatencyTest:
        """A test that has seen nothing. Raises EvidenceError for edges that are none, not rising, or not above 0."""
        edges = _checked_edges(edges_ms)
        question = Question(alpha=alpha, harmless_ratio=harmless_ratio, harmful_ratio=harmful_ratio, metrics=metrics)
        return cls(question=question, edges_ms=edges, tests=(RateTest(question=question),) * len(edges))

    def look(
        self,
        *,
        canary_buckets: Mapping[float, float],
        primary_buckets: Mapping[float, float],
        dispersion: float = 1.0,
    ) -> LatencyTest:
        """The test after one more look: cumulative counts since the look before, by upper edge in ms and `math.inf`.

        The histograms may have more edges than the test. For `dispersion` and looks that cannot count see
        `RateTest.look`.
        """
        reason = asked.unreadable_buckets("canary", canary_buckets, self.edges_ms)
        reason = reason or asked.unreadable_buckets("primary", primary_buckets, self.edges_ms)
        if reason:
            return self.skip(reason)
        canary_total, primary_total = canary_buckets[math.inf], primary_buckets[math.inf]
        tests = tuple(
            test.look(
                canary_total=canary_total,
                canary_bad=max(0.0, canary_total - canary_buckets[edge]),
                primary_total=primary_total,
                primary_bad=max(0.0, primary_total - primary_buckets[edge]),
                dispersion=dispersion,
            )
            for edge, test in zip(self.edges_ms, self.tests, strict=True)
        )
        reason = next((test.skipped for test in tests if test.skipped), None)
        if reason:
            return self.skip(reason)
        after = replace(self, tests=tests, skipped=None)
        return replace(after, peak=max(self.peak, em.round_down(after.log_evidence)))

    def skip(self, reason: str) -> LatencyTest:
        """The same evidence, with the reason why a look did not count."""
        return replace(self, skipped=reason)

    @property
    def log_evidence(self) -> float:
        return em.log_sum([test.log_evidence for test in self.tests]) - math.log(len(self.tests))

    @property
    def log_pass_evidence(self) -> float:
        return min(test.log_pass_evidence for test in self.tests)

    @property
    def strongest_edge_ms(self) -> float:
        """The edge with the greatest evidence that the canary is slower, for messages."""
        return max(zip(self.edges_ms, self.tests, strict=True), key=lambda pair: pair[1].log_evidence)[0]

    def to_status(self) -> dict[str, Any]:
        """JSON for `.status`; nothing is lost, as with `RateTest.to_status`."""
        question = self.question.to_status()
        edges = [
            {"ms": ms, **{key: value for key, value in test.to_status().items() if key not in question}}
            for ms, test in zip(self.edges_ms, self.tests, strict=True)
        ]
        return {**question, "edges": edges, "peak": self.peak} | ({"skipped": self.skipped} if self.skipped else {})

    @classmethod
    def from_status(cls, status: Mapping[str, Any]) -> LatencyTest:
        """The test that `to_status` saved. Raises EvidenceError with the field that is missing or malformed."""
        question, edges = Question.from_status(status), status.get("edges")
        if not isinstance(edges, list) or not all(isinstance(edge, Mapping) for edge in edges):
            raise EvidenceError(f"saved evidence: edges must be a list of objects, is {edges!r}")
        return cls(
            question=question,
            edges_ms=_checked_edges([asked.saved_number(edge, "ms") for edge in edges]),
            tests=tuple(RateTest.from_status({**question.to_status(), **edge}) for edge in edges),
            peak=asked.saved_number(status, "peak"),
            skipped=asked.saved_reason(status),
        )


def _checked_edges(edges_ms: Sequence[float]) -> tuple[float, ...]:
    edges = tuple(float(edge) for edge in edges_ms)
    if not edges:
        raise EvidenceError("edges_ms must name at least one upper edge of the histogram, is empty")
    if not all(math.isfinite(edge) and edge > 0 for edge in edges):
        raise EvidenceError(f"edges_ms must be finite and above 0 (+Inf is implied), is {asked.listed(edges)}")
    if any(low >= high for low, high in pairwise(edges)):
        raise EvidenceError(f"edges_ms must rise, is {asked.listed(edges)}")
    return edges
