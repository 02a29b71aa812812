"""Simulated rollouts: what a canary and a primary would have counted, look by look. Seeded.

A look is half a minute of 3,000 requests; a rollout has 60 looks, in which the canary's share rises.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import NormalDist
from typing import Literal, TypeAlias

from controller.core.evidence.e_values import Counts

LOOKS = 60
LOOK_SECONDS = 30.0
# The canary's share of the requests: 5, 10, 25 and 50 percent, six looks each, the last to the end.
STEPPING = (0.05,) * 6 + (0.10,) * 6 + (0.25,) * 6 + (0.50,) * (LOOKS - 18)
TEN_STEPS = tuple(step / 100 for step in range(5, 55, 5))
DRIFT_PERIOD = 20

Side: TypeAlias = Literal["canary", "primary"]
Draw: TypeAlias = Callable[[int, Side, int, float], int]
"""How many requests of a look are bad: from its number, the side, its requests and the rate to expect."""
Fault: TypeAlias = Callable[[Random], Draw]
"""How errors come about in one rollout."""


def independent(random: Random) -> Draw:
    return lambda _look, _side, total, rate: binomial(random, total, rate)


@dataclass(frozen=True, slots=True)
class Clumps:
    """Bad requests in runs of geometric length with this mean."""

    mean: float

    def __call__(self, random: Random) -> Draw:
        def draw(_look: int, _side: Side, total: int, rate: float) -> int:
            runs = binomial(random, total, rate / self.mean)
            bad = sum(1 + int(math.log(1 - random.random()) / math.log1p(-1 / self.mean)) for _ in range(runs))
            return min(bad, total)

        return draw


def gamma_mixed(random: Random) -> Draw:
    """The rate of either side is another in every look: exponential, so as wide as high."""
    return lambda _look, _side, total, rate: binomial(random, total, min(1.0, rate * random.expovariate(1)))


@dataclass(frozen=True, slots=True)
class Restarts:
    """A pod restarts now and then, and loses so many requests."""

    pods: tuple[int, int]
    lost: int = 30
    chance: float = 0.02

    def __call__(self, random: Random) -> Draw:
        def draw(_look: int, side: Side, total: int, rate: float) -> int:
            restarts = sum(random.random() < self.chance for _ in range(self.pods[side == "primary"]))
            return min(total, binomial(random, total, rate) + self.lost * restarts)

        return draw


def outage(random: Random) -> Draw:
    """Half of all requests fail for 40 seconds; each side is scraped up to 15 seconds before the look."""
    begins, offsets = random.uniform(120, 1700), {"canary": random.uniform(0, 15), "primary": random.uniform(0, 15)}

    def draw(look: int, side: Side, total: int, rate: float) -> int:
        start = look * LOOK_SECONDS - offsets[side]
        hit = max(0.0, min(start + LOOK_SECONDS, begins + 40) - max(start, begins)) / LOOK_SECONDS
        struck = round(total * hit)
        return binomial(random, total - struck, rate) + binomial(random, struck, 0.5)

    return draw


def sick_pod(random: Random) -> Draw:
    """One of four pods of the primary fails 30% in the third, fourth and fifth look."""

    def draw(look: int, side: Side, total: int, rate: float) -> int:
        struck = total // 4 if side == "primary" and look in (2, 3, 4) else 0
        return binomial(random, total - struck, rate) + binomial(random, struck, 0.3)

    return draw


def cold_start(random: Random) -> Draw:
    """The canary's first two looks have five times as many errors."""
    return lambda look, side, total, rate: binomial(random, total, rate * (5 if look < 2 and side == "canary" else 1))


@dataclass(frozen=True, slots=True)
class Rollout:
    """What was counted, for each look by each rate of bad requests.

    Attributes:
        looks: of the rollout.
        history: at the primary alone before it.
    """

    looks: Sequence[Sequence[Counts]]
    history: Sequence[Sequence[Counts]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """A kind of rollout.

    Attributes:
        rate: The primary's mean bad rate (0-1); it drifts by half, up and down, as does the canary's with it.
        ratio: How many times as bad the canary is, from look `onset` on; 1 before.
        requests: Requests of a look, both sides.
        load_drift: Part of `requests` by which the load swings, out of step with the rate.
        shares: The canary's share of the requests at each look.
        fault: How errors come about.
        history: Looks at the primary alone before the rollout, for the seed of the dispersion.
    """

    rate: float
    ratio: float = 1.0
    onset: int = 0
    requests: int = 3000
    load_drift: float = 0.0
    shares: Sequence[float] = STEPPING
    fault: Fault = independent
    history: int = 0

    def rollout(self, random: Random) -> Rollout:
        phase, load_phase = random.uniform(0, DRIFT_PERIOD), random.uniform(0, DRIFT_PERIOD)
        draw, looks = self.fault(random), []
        for k in range(-self.history, len(self.shares)):
            requests = self.requests * (1 + self.load_drift * _wave(k + load_phase))
            rate, share = self.rate * (1 + 0.5 * _wave(k + phase)), self.shares[k] if k >= 0 else 0.0
            canary, primary = round(requests * share), round(requests * (1 - share))
            worse = min(1.0, rate * (self.ratio if k >= self.onset else 1.0))
            looks.append([Counts(canary, draw(k, "canary", canary, worse), primary, draw(k, "primary", primary, rate))])
        return Rollout(looks[self.history :], looks[: self.history])


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """Response times: log-normal, median 80 ms, a quarter above 150 ms; drifting by a tenth, common to both sides.

    Attributes:
        edges_ms: Upper edges of the histogram.
        slowdown: How many times as long the canary takes.
        busier: What is added to that for the canary's share of the requests, as a part of it.
        pods_differ: Standard deviation of what one pod takes longer than another, as a part.
        stuck: Part (0-1) of the canary's requests that take ten times as long instead.
        requests: Requests of a look, both sides.
        shares: The canary's share of the requests at each look.
    """

    edges_ms: Sequence[float]
    slowdown: float = 1.0
    busier: float = 0.0
    pods_differ: float = 0.0
    stuck: float = 0.0
    requests: int = 3000
    shares: Sequence[float] = STEPPING

    def rollout(self, random: Random) -> Rollout:
        """For each look the requests above each edge."""
        phase, differs = random.uniform(0, DRIFT_PERIOD), math.exp(random.gauss(0, self.pods_differ))
        looks = []
        for k, share in enumerate(self.shares):
            median = 80 * (1 + 0.1 * _wave(k + phase))
            slower = median * self.slowdown * (1 + self.busier * share) * differs
            canary_total = round(self.requests * share)
            canary = _slower(random, canary_total, [self._canary_below(slower, edge) for edge in self.edges_ms])
            primary_total = self.requests - canary_total
            primary = _slower(random, primary_total, [_below(median, edge) for edge in self.edges_ms])
            looks.append([Counts(canary_total, x, primary_total, y) for x, y in zip(canary, primary, strict=True)])
        return Rollout(looks)

    def _canary_below(self, median: float, edge: float) -> float:
        return (1 - self.stuck) * _below(median, edge) + self.stuck * _below(median * 10, edge)


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
