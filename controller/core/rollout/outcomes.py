"""How a rollout has ended, from the phase and the reason in which it did."""

from __future__ import annotations

from collections.abc import Mapping

from controller.api.history import Outcome
from controller.api.status import Phase
from controller.core.rollout.phases import Reason

_BY_REASON: Mapping[str, Outcome] = {
    Reason.PROMOTED: Outcome.PROMOTED,
    Reason.REVERTED: Outcome.REVERTED,
    Reason.RESTARTED: Outcome.SUPERSEDED,
    Reason.ABORTED: Outcome.ABORTED,
    Reason.PRIMARY_FAILED: Outcome.PROMOTION_FAILED,
}


def find_outcome(phase: Phase, reason: str, *, analysed: bool) -> Outcome | None:
    """The outcome; None where the Canary has another target now, or is deleted.

    Args:
        phase: the one after the rollout.
        reason: what ended it.
        analysed: whether the canary has taken a step.
    """
    outcome = _BY_REASON.get(reason, Outcome.ROLLED_BACK if phase is Phase.FAILED else None)
    return Outcome.SKIPPED if outcome is Outcome.PROMOTED and not analysed else outcome
