"""What a test is asked, which looks it refuses to read, and how saved values are read back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from controller.api.errors import CanaryError
from controller.core.evidence.e_values import Counts

MOST_RATIO = 1000.0
MOST_REQUESTS = 1e15  # in one look; whole numbers are exact up to here
LEAST_REQUESTS = 1e-6  # what counts are rounded to; less is none
SLACK = 1e-9  # relative: how far rounding alone may put bad above total, or a bucket below the one before


class EvidenceError(CanaryError, ValueError):
    """A test that cannot be asked for, or a saved one that cannot be read."""


class Verdict(StrEnum):
    FAIL = "FAIL"
    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of the traffic.

    Attributes:
        alpha: Risk of a false FAIL and, apart from it, of a false PASS, over the whole rollout; in (0, 0.5].
        harmless_ratio: A canary whose rate is at most this many times the primary's must not FAIL.
        harmful_ratio: A canary whose rate is at least this many times the primary's must not PASS. FAIL is quickest
        here.
        metrics: How many tests share alpha. Each may fail the rollout alone, so FAIL needs E >= metrics/alpha. PASS
            needs 1/alpha: a rollout passes when *all* its tests do, so that the one harmful metric is enough to
            hold it.
    """

    alpha: float = 0.05
    harmless_ratio: float = 1.0
    harmful_ratio: float = 2.0
    metrics: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.alpha <= 0.5:
            raise EvidenceError(f"alpha, the risk of a false alarm, must be above 0 and at most 0.5, is {self.alpha}")
        if not 0 < self.harmless_ratio < MOST_RATIO:
            raise EvidenceError(f"harmless ratio must be above 0 and below {MOST_RATIO:g}, is {self.harmless_ratio}")
        if not self.harmless_ratio < self.harmful_ratio <= MOST_RATIO:
            raise EvidenceError(
                f"harmful ratio must be above the harmless ratio {self.harmless_ratio:g} and at most {MOST_RATIO:g}, "
                f"is {self.harmful_ratio}"
            )
        if isinstance(self.metrics, bool) or not isinstance(self.metrics, int) or self.metrics < 1:
            raise EvidenceError(
                f"metrics, how many tests share alpha, must be a whole number from 1, is {self.metrics}"
            )

    @property
    def log_fail(self) -> float:
        """Ln of the evidence that fails the canary."""
        return math.log(self.metrics / self.alpha)

    @property
    def log_pass(self) -> float:
        """Ln of the evidence that passes it."""
        return math.log(1 / self.alpha)

    def to_status(self) -> dict[str, Any]:
        return {
            "alpha": self.alpha,
            "harmlessRatio": self.harmless_ratio,
            "harmfulRatio": self.harmful_ratio,
            "metrics": self.metrics,
        }

    @classmethod
    def from_status(cls, status: Mapping[str, Any]) -> Question:
        """Raises EvidenceError with the field that is missing, malformed or out of range."""
        return cls(
            alpha=saved_number(status, "alpha"),
            harmless_ratio=saved_number(status, "harmlessRatio"),
            harmful_ratio=saved_number(status, "harmfulRatio"),
            metrics=saved_count(status, "metrics"),
        )


def unreadable_counts(look: Counts) -> str | None:
    """Why a look cannot count, in words for a status; None when it can."""
    for name in ("canary_total", "canary_bad", "primary_total", "primary_bad"):
        value = getattr(look, name)
        if not math.isfinite(value):
            return f"{name} is {value}, not a number of requests"
        if value < 0:
            return f"{name} is {value:g}: a count since the last look cannot be negative"
        if value > MOST_REQUESTS:
            return f"{name} is {value:g}: more than {MOST_REQUESTS:g} requests in one look cannot be"
    for side, total, bad in (
        ("canary", look.canary_total, look.canary_bad),
        ("primary", look.primary_total, look.primary_bad),
    ):
        if bad > total * (1 + SLACK):
            return f"{side}_bad {bad:g} is more than {side}_total {total:g}"
        if total < LEAST_REQUESTS:
            return f"the {side} had no requests since the last look"
    return None


def unreadable_buckets(side: str, buckets: Mapping[float, float], edges_ms: Sequence[float]) -> str | None:
    """Why cumulative counts by upper edge cannot count; None when they can."""
    missing = [edge for edge in (*edges_ms, math.inf) if edge not in buckets]
    if missing:
        present = listed(sorted(buckets)) or "none"
        return f"the {side}'s histogram has no bucket up to {listed(missing)} ms; it has {present}"
    below, before = 0.0, 0.0
    for edge in sorted(buckets):
        count = buckets[edge]
        if not (math.isfinite(count) and count >= 0):
            return f"the {side}'s bucket up to {listed([edge])} ms is {count:g}, not a number of requests"
        if count < before * (1 - SLACK):
            return (
                f"the {side}'s bucket up to {listed([edge])} ms holds {count:g}, less than the {before:g} up to "
                f"{listed([below])} ms: cumulative counts cannot fall"
            )
        below, before = edge, count
    return None


def unusable_dispersion(dispersion: float) -> str | None:
    """Why evidence cannot be divided by this; None when it can."""
    if math.isfinite(dispersion) and dispersion >= 1:
        return None
    return f"dispersion is {dispersion:g}; it must be a finite number from 1, less would invent evidence"


def listed(edges: Sequence[float]) -> str:
    return ", ".join("+Inf" if edge == math.inf else f"{edge:g}" for edge in edges)


def saved_number(status: Mapping[str, Any], key: str) -> float:
    return _finite(key, status.get(key))


def saved_count(status: Mapping[str, Any], key: str) -> int:
    value = saved_number(status, key)
    if value < 0 or value != int(value):
        raise EvidenceError(f"saved evidence: {key} must be a whole number from 0, is {value}")
    return int(value)


def saved_numbers(status: Mapping[str, Any], key: str, size: int) -> tuple[float, ...]:
    values = status.get(key)
    if not isinstance(values, list) or len(values) != size:
        raise EvidenceError(f"saved evidence: {key} must be a list of {size} numbers, is {values!r}")
    return tuple(_finite(f"{key}[{index}]", value) for index, value in enumerate(values))


def saved_reason(status: Mapping[str, Any]) -> str | None:
    reason = status.get("skipped")
    if reason is not None and not isinstance(reason, str):
        raise EvidenceError(f"saved evidence: skipped must be text, is {reason!r}")
    return reason


def _finite(key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise EvidenceError(f"saved evidence: {key} must be a finite number, is {value!r}")
    return float(value)
