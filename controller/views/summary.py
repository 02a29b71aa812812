"""A Canary in one sentence: what is going on, why, and what comes next; and who has to look at it first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum

from controller.api import Phase
from controller.api.status import CanaryStatus
from controller.core.model import Manifest
from controller.core.rollout.alerts import GATES
from controller.core.rollout.conditions import STALLED
from controller.core.rollout.phases import UNDER_WAY, Reason
from controller.views.rows import CanaryRow, read_rows, read_status


class Urgency(IntEnum):
    """Who has to look, the most urgent first."""

    PERSON = 0
    """Nothing goes on before somebody does something."""
    UNDER_WAY = 1
    AT_REST = 2

    @property
    def word(self) -> str:
        """In URLs and CSS classes."""
        return self.name.lower().replace("_", "-")

    @property
    def words(self) -> str:
        return ("needs a person", "under way", "at rest")[self]


@dataclass(frozen=True, slots=True)
class Summary:
    """What is shown of a Canary first.

    Attributes:
        row: its status.
        sentence: what is going on, why, and what comes next.
        urgency: whether it needs a person.
    """

    row: CanaryRow
    sentence: str
    urgency: Urgency


def summarize(manifest: Manifest, *workloads: Manifest) -> Summary:
    """The summary of a Canary, valid or not; ``workloads`` are its target and its primary, where there are any."""
    (row,) = read_rows([manifest], workloads)
    status = read_status(manifest)
    return Summary(row, _sentence(row, status), _urgency(row, status))


def _urgency(row: CanaryRow, status: CanaryStatus) -> Urgency:
    stalled = any(each.type == STALLED and each.status == "True" for each in status.conditions)
    if stalled or row.invalid or row.reason == Reason.PAUSED or row.reason in GATES:
        return Urgency.PERSON
    moving = row.phase in UNDER_WAY | {Phase.NEW, Phase.INITIALIZING, Phase.WAITING, Phase.TERMINATING}
    return Urgency.UNDER_WAY if moving else Urgency.AT_REST


def _sentence(row: CanaryRow, status: CanaryStatus) -> str:
    said = (_now(row), row.message, _next(row, status))
    return " ".join(f"{each[0].upper()}{each[1:].rstrip('.')}." for each in said if each)


_NOW: Mapping[Phase, str] = {
    Phase.NEW: "the controller has not taken it up yet",
    Phase.INITIALIZING: "the primary of {new} is set up",
    Phase.INITIALIZED: "all users have {old}",
    Phase.WAITING: "{new} has not started; all users have {old}",
    Phase.PROGRESSING: "{new} {traffic}",
    Phase.WAITING_PROMOTION: "{new} {traffic}; its steps are done",
    Phase.PROMOTING: "{new} has passed, and is copied to the primary",
    Phase.FINALISING: "all traffic is back at the primary, which runs {old}",
    Phase.SUCCEEDED: "all users have {old}",
    Phase.FAILED: "{new} was rolled back; all users have {old}",
    Phase.TERMINATING: "it was deleted, and is given back",
    Phase.TERMINATED: "it was deleted",
}
_KEPT = "{new} {traffic}, because the primary did not come up"
"""The one failure whose canary keeps the traffic."""


def _now(row: CanaryRow) -> str:
    said = _KEPT if row.phase is Phase.FAILED and row.weight else _NOW[row.phase]
    old, new = _version(row.primary, "the version of the primary"), _version(row.canary, "the new version")
    return said.replace("{traffic}", _traffic(row)).replace("{old}", old).replace("{new}", new)


def _traffic(row: CanaryRow) -> str:
    if row.rounds and 0 < row.iterations <= row.rounds:
        return f"is in round {row.iterations} of {row.rounds}"
    if row.mirrored:
        return "gets a copy of the traffic"
    return f"has {row.weight}% of the traffic" if row.weight else "has no traffic yet"


def _next(row: CanaryRow, status: CanaryStatus) -> str:
    if row.reason == Reason.PAUSED:
        return "It goes on once somebody resumes it"
    if row.reason in GATES:
        return "It goes on once its gate is open"
    due: datetime | None = status.next_check_time
    return f"Next check at {due.astimezone(UTC):%H:%M:%S} UTC" if due else ""


def _version(side: str, unknown: str) -> str:
    """The images of a side without its pods: ``6.1.0`` of ``6.1.0 (1/1)``."""
    return side.rpartition(" (")[0] or unknown
