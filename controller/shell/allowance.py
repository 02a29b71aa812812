"""How often something may happen."""

from __future__ import annotations


class Allowance:
    """``burst`` times at once, and once more every ``seconds`` (a token bucket).

    Args:
        burst: how many are there at the start, and at most.
        seconds: how long one more takes.
        now: any clock's seconds; the methods take the same clock's.
    """

    def __init__(self, burst: int, seconds: float, now: float) -> None:
        self._burst = burst
        self._seconds = seconds
        self._left = float(burst)
        self._at = now

    def take(self, now: float) -> float:
        """Take one; the seconds until it is there, 0 if it is."""
        self._refill(now)
        self._left -= 1
        return max(0.0, -self._left * self._seconds)

    def take_if_left(self, now: float) -> bool:
        """Take one if it is there."""
        self._refill(now)
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def _refill(self, now: float) -> None:
        self._left = min(self._burst, self._left + (now - self._at) / self._seconds)
        self._at = now
