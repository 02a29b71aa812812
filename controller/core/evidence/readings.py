"""Counters of many pods, and what they counted from one reading to the next."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

SeriesCounts: TypeAlias = tuple[float, ...]
"""Cumulative counts of one series: its requests, then those that are bad by each rate that is compared. A count that
could not be read is NaN."""

MAX_COUNTS = 5000
"""Counts of one side that are remembered: they live in the status, and etcd takes 1.5 MiB an object. 2,500 pods where
errors are compared, 1,000 where latency is at four edges."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What all counters say, or what they counted since the reading before.

    Attributes:
        canary: counts by series (``REPORTER/INSTANCE``) of the target's pods.
        primary: the same of the primary's.
        callers: instances that were scraped and had sent requests to either side; theirs begin at 0 where they are new.
        problem: why the reading as a whole cannot be compared; None when it can.
    """

    canary: Mapping[str, SeriesCounts] = field(default_factory=dict)
    primary: Mapping[str, SeriesCounts] = field(default_factory=dict)
    callers: tuple[str, ...] = ()
    problem: str | None = None


def is_pod(key: str) -> bool:
    """Whether a series is what a pod counted itself, and not what its callers could not bring to it."""
    return key.startswith("destination/")


def since(before: Reading, now: Reading) -> Reading:
    """What was counted between two readings.

    The canary's pods are no older than its rollout: one that is new began at 0. Any other series that is new may have
    counted for weeks, and only have missed a scrape: it counts from its second reading on. A caller's begins at 0 where
    the caller itself was read before.
    """
    callers = {f"source/{caller}" for caller in before.callers}
    known = {key: counts for key, counts in now.primary.items() if key in before.primary or key in callers}
    fresh = {key: c for key, c in now.canary.items() if key in before.canary or is_pod(key) or key in callers}
    return Reading(_since(before.canary, fresh), _since(before.primary, known), problem=now.problem)


def _since(before: Mapping[str, SeriesCounts], now: Mapping[str, SeriesCounts]) -> dict[str, SeriesCounts]:
    return {key: _delta(before.get(key, (0.0,) * len(counts)), counts) for key, counts in now.items()}


def _delta(before: SeriesCounts, now: SeriesCounts) -> SeriesCounts:
    """A series that fell to less than half began again at 0: its pod's proxy restarted.

    One that fell by less was answered by another Prometheus of a pair, a scrape behind: it counted nothing.
    """
    if _is_restart(before, now):
        return now
    return tuple(max(0.0, new - old) if math.isfinite(new) else new for old, new in zip(before, now, strict=True))


def _is_restart(before: SeriesCounts, now: SeriesCounts) -> bool:
    return now[0] < before[0] / 2


def latest(before: Reading, now: Reading) -> Reading:
    """The newest counts of every series; one that is missing now may come back after a scrape that failed.

    Those that are missing are forgotten once there are more than ``MAX_COUNTS``.
    """
    callers = tuple(sorted({*before.callers, *now.callers}))
    return Reading(
        _latest(before.canary, now.canary),
        _latest(before.primary, now.primary),
        callers if len(callers) <= MAX_COUNTS else now.callers[:MAX_COUNTS],
    )


def _latest(before: Mapping[str, SeriesCounts], now: Mapping[str, SeriesCounts]) -> dict[str, SeriesCounts]:
    readable = {key: _furthest(before.get(key, counts), counts) for key, counts in _readable(now).items()}
    every = {**before, **readable}
    return every if sum(map(len, every.values())) <= MAX_COUNTS else readable


def _furthest(before: SeriesCounts, now: SeriesCounts) -> SeriesCounts:
    """What a Prometheus that is a scrape behind says is known already."""
    return now if _is_restart(before, now) else tuple(map(max, before, now))


def _readable(side: Mapping[str, SeriesCounts]) -> dict[str, SeriesCounts]:
    return {key: counts for key, counts in side.items() if all(map(math.isfinite, counts))}


def totals(side: Mapping[str, SeriesCounts], rates: int) -> SeriesCounts:
    """The sum over all series of a side: its requests, and the bad ones by each of ``rates`` rates."""
    return tuple(map(sum, zip(*side.values(), strict=True))) or (0.0,) * (1 + rates)
