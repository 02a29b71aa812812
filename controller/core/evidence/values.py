"""The evidence of one number a side and look: CPU of a pod, a queue's length, a mean, orders a minute.

What is tested is the mean of the log of their ratio, look by look (`t_test`): a load that moves both sides alike
cancels, and how much the ratio varies is learnt as it goes. FAIL: it is above ln(harmlessRatio), with E >=
metrics/alpha once. PASS: it is below ln(harmfulRatio), at alpha, and still so now.

Asked is that looks are independent and their ratio scatters about its mean like a bell. So a look whose query reaches
back into the one that counted before does not count. It does not cover numbers that remember for longer than that (a
queue that drains, a heap that grows, a cache that fills): docs/statistics.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, TypeAlias

from controller.api.compare import Compare
from controller.core.evidence.question import EvidenceError, Question, Verdict
from controller.core.evidence.readings import Reading
from controller.core.evidence.t_test import half_width, log_e_value

Better: TypeAlias = Literal["lower", "higher", "either"]

VALUE = "value"
"""The one series of a reading of numbers."""
MOST_LOG = 690.0  # evidence is shown up to e^690; JSON has no infinity
_JITTER_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueComparison:
    """The evidence of one metric with ``compare.value`` so far; a value, ``look`` returns the next one.

    Attributes:
        question: what is asked; a ratio is that of the canary's number to the primary's, or the other way round where
            higher is better.
        better: which numbers are good; ``either``: none, any change is harm.
        since: when the canary got its first traffic; the warm-up begins there.
        query: digest of what is asked of the metrics server.
        window: seconds that the query reaches back.
        looks: how many counted.
        mean: of the log of canary's over primary's number.
        spread: the sum of its squared distances from the mean.
        peak: ln of the greatest evidence so far that the canary is worse.
        counted_at: the last look that counted.
        canary, primary: the numbers of that look; 0 before the first.
        skipped: why the last look did not count, or None.
    """

    question: Question
    better: Better
    since: datetime
    query: str
    window: float
    looks: int = 0
    mean: float = 0.0
    spread: float = 0.0
    peak: float = 0.0
    counted_at: datetime | None = None
    canary: float = 0.0
    primary: float = 0.0
    skipped: str | None = None

    def __post_init__(self) -> None:
        if self.looks < 0 or not 0 <= self.spread < math.inf or not math.isfinite(self.mean):
            raise EvidenceError(f"looks, mean and spread are {self.looks}, {self.mean}, {self.spread}")
        if self.since.tzinfo is None or (self.counted_at is not None and self.counted_at.tzinfo is None):
            raise EvidenceError("since and countedAt must be times with their zone")

    def answers(self, fresh: ValueComparison) -> bool:
        """Whether this evidence is for what ``fresh`` asks. An edited ``compare`` starts again."""
        return (self.question, self.better, self.query) == (fresh.question, fresh.better, fresh.query)

    def resume(self, _compare: Compare, _reading: Reading, now: datetime) -> ValueComparison:
        """The comparison as new pods of the same revision get their first traffic: it warms up again."""
        return replace(self, since=now, counted_at=None)

    def look(self, compare: Compare, reading: Reading, now: datetime) -> ValueComparison:
        """The comparison after one more reading of the two numbers."""
        if (now - self.since).total_seconds() < compare.warmup_seconds:
            return replace(self, skipped=f"within the first {compare.warmup} of the canary's traffic")
        waits = self.window + (0.0 if self.counted_at else compare.warmup_seconds)
        if (now - (self.counted_at or self.since)).total_seconds() < waits - _JITTER_SECONDS:
            return self
        if reading.problem:
            return replace(self, skipped=reading.problem)
        sides = (("canary", reading.canary.get(VALUE)), ("primary", reading.primary.get(VALUE)))
        for side, found in sides:
            if found is None or not 0 < found[0] < math.inf:
                return replace(self, skipped=_unusable(side, found))
        canary, primary = reading.canary[VALUE][0], reading.primary[VALUE][0]
        return self._count(canary, primary, now)

    def _count(self, canary: float, primary: float, now: datetime) -> ValueComparison:
        looks, ratio = self.looks + 1, math.log(canary) - math.log(primary)
        mean = self.mean + (ratio - self.mean) / looks
        after = replace(
            self,
            looks=looks,
            mean=mean,
            spread=self.spread + (ratio - self.mean) * (ratio - mean),
            counted_at=now,
            canary=canary,
            primary=primary,
            skipped=None,
        )
        return replace(after, peak=max(self.peak, after.log_evidence))

    @property
    def counted(self) -> bool:
        """Whether any look has counted."""
        return self.looks > 0

    @property
    def seen(self) -> None:
        """No events were counted."""
        return None

    @property
    def log_evidence(self) -> float:
        """Ln of the evidence that the canary is worse than harmless, now."""
        logs = [self._evidence(side * self.mean - math.log(self.question.harmless.ratio)) for side in self._sides]
        return max(logs) + math.log(sum(math.exp(log - max(logs)) for log in logs) / len(logs))

    @property
    def log_pass_evidence(self) -> float:
        """Ln of the evidence that it is less than harmful, now."""
        return min(self._evidence(math.log(self.question.harmful.ratio) - side * self.mean) for side in self._sides)

    @property
    def _sides(self) -> tuple[int, ...]:
        """1 where a higher number of the canary is worse, -1 where a lower one is."""
        return {"lower": (1,), "higher": (-1,), "either": (1, -1)}[self.better]

    def _evidence(self, mean: float) -> float:
        return log_e_value(self.looks, mean, self.spread)

    @property
    def evidence(self) -> float:
        """E that the canary is worse, now: 1 at the start; FAIL once it has reached metrics/alpha."""
        return math.exp(min(self.log_evidence, MOST_LOG))

    @property
    def pass_evidence(self) -> float:
        """E that the canary is no harm, now: 1 at the start; PASS from 1/alpha."""
        return math.exp(min(self.log_pass_evidence, MOST_LOG))

    @property
    def p_value(self) -> float:
        """Always-valid p-value of "no worse than harmlessRatio": 1 / greatest E."""
        return math.exp(-min(self.peak, MOST_LOG))

    @property
    def ratio(self) -> float | None:
        """The canary's number over the primary's, their geometric mean; None before the first look that counted."""
        return math.exp(min(self.mean, MOST_LOG)) if self.looks else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval of the ratio at the question's risk; None while it could be anything."""
        width = half_width(self.looks, self.spread, math.log(2 / self.question.alpha)) if self.looks else math.inf
        if not width < MOST_LOG:
            return None
        low, high = (math.exp(min(self.mean + each, MOST_LOG)) for each in (-width, width))
        return low, high

    @property
    def sides(self) -> tuple[float, float] | None:
        """The last numbers that counted, of canary and primary; None before the first."""
        return (self.canary, self.primary) if self.looks else None

    def may_judge(self, _compare: Compare) -> bool:
        """Always: a number is no count of requests."""
        return True

    def verdict(self, _compare: Compare) -> Verdict:
        if self.peak >= self.question.log_fail:
            return Verdict.FAIL
        return Verdict.PASS if self.log_pass_evidence >= self.question.log_pass else Verdict.INCONCLUSIVE

    def describe(self, compare: Compare) -> str:
        """``1.3 times the primary's in 12 looks (95% interval 1.1 to 1.6), 0.52 against 0.4 now, p = …, fail``."""
        skipped = f"; the last look did not count: {self.skipped}" if self.skipped else ""
        counted = self._counted() if self.looks else "nothing counted yet"
        return f"{counted}, {self.verdict(compare).lower()}{skipped}"

    def _counted(self) -> str:
        between = self.interval
        interval = f" ({1 - self.question.alpha:.0%} interval {between[0]:.2g} to {between[1]:.2g})" if between else ""
        looks = "1 look" if self.looks == 1 else f"{self.looks} looks"
        now = f"{self.canary:.3g} against {self.primary:.3g} now"
        return f"{self.ratio:.2g} times the primary's in {looks}{interval}, {now}, p = {self.p_value:.2g}"


def most_scatter(question: Question, looks: int) -> float:
    """The greatest scatter of the ratio, with which a harmful canary FAILs and a good one PASSes in so many looks.

    As standard deviation of its logarithm from look to look, about half of the times; 0 where no scatter is small
    enough.
    """
    harm = math.log(question.harmful.ratio)
    asked = ((harm - math.log(question.harmless.ratio), question.log_fail), (harm, question.log_pass))
    low, high = 0.0, 10.0
    for _ in range(30):
        middle = (low + high) / 2
        reached = all(log_e_value(looks, mean, looks * middle * middle) >= bound for mean, bound in asked)
        low, high = (middle, high) if reached else (low, middle)
    return low


def _unusable(side: str, found: tuple[float, ...] | None) -> str:
    if found is None:
        return f"the {side} has no value"
    return f"the {side}'s value is {found[0]:g}, and a ratio needs values above 0"
