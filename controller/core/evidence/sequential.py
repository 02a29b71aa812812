"""Is the canary worse than the primary? An answer that may be read after every look, with a stated risk of being wrong.

`SequentialTest` compares the rates of bad requests: errors are one such rate, slow requests one at each edge of a
histogram. It gathers evidence E: what a bettor who started with 1 would own by betting on "the canary is worse" at
odds that are fair or poor while it is not. By Ville's inequality

    P(E ever reaches 1/alpha) <= alpha

while at every look the canary's rate is at most on the harmless line (a ratio times the primary's, plus a margin),
however often one looks, whenever one stops, and whatever weights, load and the primary's own rate do from look to look.
FAIL is E >= metrics/alpha, and stays. PASS is the mirror test: "at least on the harmful line" is refuted at alpha, and
still is now. FAIL outranks PASS.

Why the e-value of one look is one at any rate, not only a rare one, is in `e_values`. Looks multiply, each a stratum
of its own, so a moving weight does not bias the comparison (Simpson). Alternatives are mixed with fixed stakes that
lean towards the harm that was named. For FAIL a tenth of the stake is put down look by look, so that harm which
begins late need not win back first what healthy looks lost. Several rates: FAIL asks their mean E, valid however they
depend on each other, so the harm may be at any of them. PASS asks every one, so an edge that hardly any request
reaches holds it back. Sources: Lindon and Malek, arXiv 2011.03567; Turner, Ly and Gruenwald, 2106.02693; Turner and
Gruenwald, 2203.09785 and 2302.11401; Howard and Ramdas, 1906.09712; averages of e-values: Vovk and
Wang, 1912.06116.

The guarantee asks that requests fail independently given their side (where they clump, `dispersion` says how much)
and that a request's side does not depend on how it would have fared. It does not cover users who differ by
design (A/B, session affinity), a canary that is slow because it is young (warm up first), or a shared dependency that
hurts both. docs/statistics.md.

A look that cannot be read (negative, not a number, more bad than total, a side without traffic) leaves the evidence
as it was and says why in `skipped`: a failing Prometheus must neither end a rollout nor count as good news.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from controller.core.evidence import e_values as em
from controller.core.evidence.dispersion import LOG_INCIDENT_CHANCE, Dispersion
from controller.core.evidence.e_values import Counts
from controller.core.evidence.question import (
    LEAST_REQUESTS,
    MOST_REQUESTS,
    EvidenceError,
    Question,
    Verdict,
    unreadable,
)
from controller.core.evidence.ratio import RatioEstimate

MOST_LOG = 690.0  # evidence is shown up to e^690; JSON has no infinity


@dataclass(frozen=True, slots=True, kw_only=True)
class RateTest:
    """The evidence from one rate of bad requests. A value: `look` returns the next one.

    Attributes:
        looks: Looks that counted.
        seen: Requests of those looks.
        primary: Requests of the primary and bad ones, also of looks that only taught its rate.
        dispersion: How much bad requests clump.
        ratio: How many times the primary's rate the canary's is.
        worse: Ln of the money on each alternative of FAIL, rounded down to 1e-4.
        better: Ln of the money on each alternative of PASS, rounded down likewise.
    """

    looks: int = 0
    seen: Counts = field(default_factory=Counts)
    primary: tuple[float, float] = (0.0, 0.0)
    dispersion: Dispersion = field(default_factory=Dispersion)
    ratio: RatioEstimate = field(default_factory=RatioEstimate)
    worse: tuple[float, ...] = (em.LOG_FIRST_ENTRY,) * em.SLOTS
    better: tuple[float, ...] = (0.0,) * em.SLOTS

    def __post_init__(self) -> None:
        if not len(self.worse) == len(self.better) == em.SLOTS or self.looks < 0:
            raise EvidenceError(f"evidence must have {em.SLOTS} alternatives and a number of looks from 0")

    def seed(self, primary: Sequence[tuple[float, float]]) -> RateTest:
        """The test with (requests, bad requests) of the primary known, look by look, from before the rollout."""
        learnt = self.learn(*map(sum, zip(*primary, strict=True)))
        return replace(learnt, dispersion=Dispersion.seed(primary))

    def learn(self, requests: float, bad: float) -> RateTest:
        """The test with more of the primary's requests known, which are no evidence."""
        total, failed = self.primary
        return replace(self, primary=(round(total + requests, 6), round(failed + min(bad, requests), 6)))

    def look(self, question: Question, now: Counts) -> RateTest:
        """The test after one more readable look.

        A look in which the primary has an incident of its own does not speak for the canary: it never takes evidence of
        harm away, and teaches nothing, neither how bad requests clump nor what rate to expect. What that adds to the
        mean is at most the chance of such a look, and is paid for at every look.
        """
        now, looks = now.clamped(), self.looks + 1
        incident = self.dispersion.is_incident(now, question.harmless.ratio)
        moved = self.dispersion if incident else self.dispersion.look(now)
        phi = (self.dispersion if self.dispersion.seeded else moved).value
        harm = [value / phi for value in self._slots(question, now, harm=True)]
        good = [value / phi for value in self._slots(question, now, harm=False)]
        least = 0.0 if incident else -math.inf
        harm = [max(value, least) - LOG_INCIDENT_CHANCE for value in harm]
        learnt = self if incident else self.learn(now.primary_total, now.primary_bad)
        return replace(
            learnt,
            looks=looks,
            seen=self.seen + now,
            dispersion=moved,
            ratio=self.ratio.look(now, phi),
            worse=em.add_entry(em.add_look(self.worse, harm, em.held_back(self.looks)), looks),
            better=em.add_look(self.better, good),
        )

    def _slots(self, question: Question, now: Counts, *, harm: bool) -> list[float]:
        """Ln e of the look for every slot: each alternative at `ANY_RATE`, then at the primary's expected rate."""
        values: list[float] = []
        for rate in (em.ANY_RATE, em.expected_rate(*self.primary)):
            values += em.log_e_values(now, *question.alternatives(rate, harm=harm), rate)
        return values

    @property
    def log_evidence(self) -> float:
        """Ln of the evidence that the canary's rate is higher."""
        return em.log_mixture(self.worse, em.held_back(self.looks))

    @property
    def log_pass_evidence(self) -> float:
        """Ln of the evidence that it is below the harmful one."""
        return em.log_mixture(self.better)


@dataclass(frozen=True, slots=True, kw_only=True)
class SequentialTest:
    """The canary against the primary, by one rate of bad requests or several. A value: `look` returns the next one.

    Attributes:
        question: What is asked.
        rates: The test of each rate: one for errors, one an edge for latency.
        peak: Ln of the greatest evidence so far that the canary is worse, rounded down to 1e-4.
        skipped: Why the last look did not count, or None.
    """

    question: Question
    rates: tuple[RateTest, ...]
    peak: float = 0.0
    skipped: str | None = None

    def __post_init__(self) -> None:
        if not self.rates:
            raise EvidenceError("a test needs at least one rate of bad requests to compare")

    @classmethod
    def start(cls, question: Question | None = None, *, rates: int = 1) -> SequentialTest:
        """A test that has seen nothing."""
        return cls(question=question or Question(), rates=(RateTest(),) * rates)

    def look(self, counts: Sequence[Counts]) -> SequentialTest:
        """The test after one more look: for each rate what was counted since the look before (deltas of counters).

        A look that cannot count returns the same evidence, and the reason in `skipped`.

        Raises:
            EvidenceError: there are not as many counts as rates.
        """
        if len(counts) != len(self.rates):
            raise EvidenceError(f"a look needs {len(self.rates)} counts: {counts}")
        if reason := next(filter(None, map(unreadable, counts)), None):
            return self.skip(reason)
        rates = tuple(rate.look(self.question, now) for rate, now in zip(self.rates, counts, strict=True))
        after = replace(self, rates=rates, skipped=None)
        return replace(after, peak=max(self.peak, em.round_down(after.log_evidence)))

    def seed(self, history: Sequence[Sequence[float]]) -> SequentialTest:
        """The same test with looks at the primary from before the rollout: requests, and the bad ones by each rate."""
        looks = [look for look in history if look[0] >= LEAST_REQUESTS and _is_counted(look)]
        if len(looks) < 2:
            return self
        rates = enumerate(self.rates, 1)
        return replace(self, rates=tuple(rate.seed([(look[0], look[n]) for look in looks]) for n, rate in rates))

    def learn(self, primary: Sequence[float]) -> SequentialTest:
        """The same evidence with more of the primary known: its requests, and the bad ones by each rate."""
        requests, *bad = primary
        if not _is_counted(primary):
            return self
        return replace(self, rates=tuple(r.learn(requests, each) for r, each in zip(self.rates, bad, strict=True)))

    def skip(self, reason: str) -> SequentialTest:
        """The same evidence, with the reason why a look did not count."""
        return replace(self, skipped=reason)

    @property
    def log_evidence(self) -> float:
        """Ln of `evidence`, without its limit."""
        return em.log_sum([rate.log_evidence for rate in self.rates]) - math.log(len(self.rates))

    @property
    def log_pass_evidence(self) -> float:
        """Ln of `pass_evidence`, without its limit."""
        return min(rate.log_pass_evidence for rate in self.rates)

    @property
    def strongest(self) -> int:
        """Index of the rate with the most evidence that the canary is worse, for messages."""
        return max(range(len(self.rates)), key=lambda index: self.rates[index].log_evidence)

    @property
    def verdict(self) -> Verdict:
        if self.peak >= self.question.log_fail:
            return Verdict.FAIL
        return Verdict.PASS if self.log_pass_evidence >= self.question.log_pass else Verdict.INCONCLUSIVE

    @property
    def p_value(self) -> float:
        """Always-valid p-value of "not beyond the harmless line": 1 / greatest E. FAIL from alpha / metrics down."""
        return math.exp(-min(self.peak, MOST_LOG))

    @property
    def evidence(self) -> float:
        """E that the canary is worse, now: 1 at the start; FAIL once it has reached metrics/alpha."""
        return math.exp(min(self.log_evidence, MOST_LOG))

    @property
    def pass_evidence(self) -> float:
        """E that the canary is below the harmful line, now: 1 at the start; PASS from 1/alpha."""
        return math.exp(min(self.log_pass_evidence, MOST_LOG))


def _is_counted(counts: Sequence[float]) -> bool:
    return all(0 <= count <= MOST_REQUESTS for count in counts)  # false for NaN too
