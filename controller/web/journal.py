"""What happened to each Canary lately, from the versions of its status: every replica sees them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any

from controller.core.model import Manifest
from controller.shell.kubernetes.kinds import CANARY, Key
from controller.views.subject import Happening

REMEMBERED = 12
"""Of each Canary that has changed since this process started."""


class Journal:
    """Remembers the last changes of each Canary. ``clock`` is the time."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lines: dict[Key, deque[Happening]] = {}

    def of(self, key: Key) -> tuple[Happening, ...]:
        """The last first."""
        return tuple(reversed(self._lines.get(key, ())))

    def changed(self, key: Key, before: Manifest | None, after: Manifest | None) -> None:
        """A witness of the cache. The first version of a Canary says when it was seen, not when it happened."""
        if key[0] != CANARY.name:
            return
        if after is None:
            self._lines.pop(key, None)
            return
        told = _told(after)
        if before is not None and told != _told(before):
            lines = self._lines.setdefault(key, deque(maxlen=REMEMBERED))
            lines.append(Happening(self._clock(), *told))


def _told(manifest: Manifest) -> tuple[str, str, int, str]:
    status: dict[str, Any] = manifest.get("status") or {}
    reason, weight = str(status.get("reason", "")), int(status.get("canaryWeight") or 0)
    return str(status.get("phase", "")), reason, weight, str(status.get("message", ""))
