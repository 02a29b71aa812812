"""Simulated rollouts: what a canary and a primary would have counted, look by look. Seeded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from statistics import NormalDist

from controller.core.evidence.e_values import Counts

LOOKS = 60
# The canary's share of the requests: 5, 10, 25 and 50 percent, six looks each, the last to the end.
STEPPING = (0.05,) * 6 + (0.10,) * 6 + (0.25,) * 6 + (0.50,) * (LOOKS - 18)
QUIET = (0.0,) * 60  # half an hour of looks at the primary alone, before the canary starts
DRIFT_PERIOD = 20


@dataclass(frozen=True, slots=True)
class Look:
    """Counts since the look before; `pods` are (requests, bad requests) of each pod, the canary's and the primary's."""

    canary_total: int
    canary_bad: int
    primary_total: int
    primary_bad: int
    pods: tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]] = ((), ())

    @property
    def counts(self) -> Counts:
        return Counts(self.canary_total, self.canary_bad, self.primary_total, self.primary_bad)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """A kind of rollout.

    Attributes:
        rate: The primary's mean bad rate (0-1); it drifts by half, up and down, as does the canary's with it.
        ratio: How many times as bad the canary is, from look `onset` on; 1 before.
        requests: Requests of a look, both sides.
        load_drift: Part of `requests` by which the load swings, out of step with the rate.
        shares: The canary's share of the requests at each look; 0 before it starts.
        clump: Mean number of bad requests that come together, in one pod; 1 for independent ones.
        pods: How many pods the canary and the primary have, where bad requests clump.
    """

    rate: float
    ratio: float = 1.0
    onset: int = 0
    requests: int = 3000
    load_drift: float = 0.0
    shares: Sequence[float] = STEPPING
    clump: int = 1
    pods: tuple[int, int] = (2, 4)

    def rollout(self, random: Random) -> list[Look]:
        phase, load_phase = random.uniform(0, DRIFT_PERIOD), random.uniform(0, DRIFT_PERIOD)
        looks = []
        for k, share in enumerate(self.shares):
            requests = self.requests * (1 + self.load_drift * _wave(k + load_phase))
            rate = self.rate * (1 + 0.5 * _wave(k + phase))
            canary_total, primary_total = round(requests * share), round(requests * (1 - share))
            canary_rate = min(1.0, rate * (self.ratio if k >= self.onset else 1.0))
            looks.append(self._look(random, canary_total, canary_rate, primary_total, rate))
        return looks

    def _look(self, random: Random, canary_total: int, canary_rate: float, primary_total: int, rate: float) -> Look:
        if self.clump == 1:
            canary_bad, primary_bad = binomial(random, canary_total, canary_rate), binomial(random, primary_total, rate)
            return Look(canary_total, canary_bad, primary_total, primary_bad)
        canary = clumped(random, canary_total, canary_rate, self.clump, self.pods[0])
        primary = clumped(random, primary_total, rate, self.clump, self.pods[1])
        canary_bad, primary_bad = sum(bad for _, bad in canary), sum(bad for _, bad in primary)
        return Look(canary_total, canary_bad, primary_total, primary_bad, (canary, primary))


def _wave(k: float) -> float:
    return math.sin(2 * math.pi * k / DRIFT_PERIOD)


def binomial(random: Random, n: int, p: float) -> int:
    """How many of n succeed with chance p each.

    Exact: while many are expected, the median of n uniforms (a beta variate) halves n; then inversion by the gaps
    between successes (Devroye, Non-Uniform Random Variate Generation, X.4).
    """
    successes = 0
    while n * p > 12 and n * (1 - p) > 12:
        middle = n // 2 + 1
        median = random.betavariate(middle, n + 1 - middle)
        if median <= p:
            successes, n, p = successes + middle, n - middle, (p - median) / (1 - median)
        else:
            n, p = middle - 1, p / median
    if p > 0.5:
        return successes + n - _few(random, n, 1 - p)
    return successes + _few(random, n, p)


def _few(random: Random, n: int, p: float) -> int:
    if p <= 0:
        return 0
    log_failure, position, successes = math.log1p(-p), 0, 0
    while True:
        position += int(math.log(1 - random.random()) / log_failure) + 1
        if position > n:
            return successes
        successes += 1


def clumped(random: Random, n: int, rate: float, clump: int, pods: int) -> tuple[tuple[int, int], ...]:
    """(requests, bad requests) of each pod, the bad ones in runs of geometric length with mean `clump`."""
    result = []
    for pod in range(pods):
        total = n // pods + (1 if pod < n % pods else 0)
        runs = binomial(random, total, rate / clump)
        bad = sum(1 + int(math.log(1 - random.random()) / math.log1p(-1 / clump)) for _ in range(runs))
        result.append((total, min(bad, total)))
    return tuple(result)


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """Response times: log-normal, median 80 ms, a quarter above 150 ms; drifting by a tenth, common to both sides.

    Attributes:
        edges_ms: Upper edges of the histogram.
        slowdown: How many times as long the canary takes.
        stuck: Part (0-1) of the canary's requests that take ten times as long instead.
        requests: Requests of a look, both sides.
        shares: The canary's share of the requests at each look.
    """

    edges_ms: Sequence[float]
    slowdown: float = 1.0
    stuck: float = 0.0
    requests: int = 3000
    shares: Sequence[float] = STEPPING

    def rollout(self, random: Random) -> list[list[Counts]]:
        """For each look the requests above each edge."""
        phase = random.uniform(0, DRIFT_PERIOD)
        looks = []
        for k, share in enumerate(self.shares):
            median = 80 * (1 + 0.1 * _wave(k + phase))
            canary_total = round(self.requests * share)
            canary = _slower(random, canary_total, [self._canary_below(median, edge) for edge in self.edges_ms])
            primary_total = self.requests - canary_total
            primary = _slower(random, primary_total, [_below(median, edge) for edge in self.edges_ms])
            looks.append([Counts(canary_total, x, primary_total, y) for x, y in zip(canary, primary, strict=True)])
        return looks

    def _canary_below(self, median: float, edge: float) -> float:
        slowed = _below(median * self.slowdown, edge)
        return (1 - self.stuck) * slowed + self.stuck * _below(median * self.slowdown * 10, edge)


def _below(median: float, edge: float) -> float:
    return NormalDist(math.log(median), 0.93).cdf(math.log(edge))


def _slower(random: Random, total: int, below: list[float]) -> list[int]:
    """Requests above each of some edges, which a request stays below with the given chances."""
    counts, before, left = [], 0.0, total
    for chance in below:
        inside = binomial(random, left, min(1.0, (chance - before) / (1 - before))) if before < 1 else 0
        left, before = left - inside, chance
        counts.append(left)
    return counts
