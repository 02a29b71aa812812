"""What a page about one Canary is drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from controller.api.history import History
from controller.core.model import Manifest


@dataclass(frozen=True, slots=True)
class Happening:
    """A change of a status: when it was seen, and what it said then."""

    at: datetime
    phase: str
    reason: str
    weight: int
    message: str


@dataclass(frozen=True, slots=True)
class Subject:
    """A Canary and what belongs to it, as the watch caches have them.

    Attributes:
        manifest: of the Canary, valid or not.
        target, primary: its workloads; None where there is none.
        now: the time.
        happened: what happened to it lately, the last first.
        rollouts: what is known of its rollouts, the oldest first.
        pods: of both workloads, while somebody looks.
        pods_problem: why some are missing.
    """

    manifest: Manifest
    target: Manifest | None
    primary: Manifest | None
    now: datetime
    happened: tuple[Happening, ...] = ()
    rollouts: History = ()
    pods: tuple[Manifest, ...] = ()
    pods_problem: str = ""

    @property
    def namespace(self) -> str:
        return str(self.manifest["metadata"].get("namespace", ""))

    @property
    def name(self) -> str:
        return str(self.manifest["metadata"]["name"])

    @property
    def workloads(self) -> tuple[Manifest, ...]:
        """Those that there are."""
        return tuple(each for each in (self.target, self.primary) if each is not None)
