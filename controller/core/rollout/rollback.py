"""How a rollout ends without a promotion: the traffic goes back to the primary."""

from __future__ import annotations

from dataclasses import replace

from controller.api.status import Phase
from controller.api.webhook import HookType
from controller.core.model import Decision, Event, Routes
from controller.core.objects.workload import primary_revision
from controller.core.rollout.phases import Reason
from controller.core.rollout.settle import settle
from controller.core.tick import Tick


def roll_back(
    tick: Tick, reason: Reason, message: str, events: tuple[Event, ...] = (), *, detail: str = ""
) -> Decision:
    """All traffic to the primary, then the canary is scaled to zero. The checks stay in the status to be read."""
    text = f"{message}: {detail}" if detail else message
    state = replace(tick.state, routes=Routes(), iterations=0, failed_checks=0, message=text)
    all_events = (
        *events,
        Event(message, "Warning"),
        Event(f"Canary failed! Scaling down {tick.canary_label}", "Warning"),
    )
    hooks = tick.hooks(HookType.POST_ROLLOUT, Phase.FAILED)
    return settle(tick, reason, state, events=all_events, scale_to=0, hooks=hooks)


def notice_revert(tick: Tick) -> Decision | None:
    """The target is back at what the primary runs: there is nothing to try, and the other revision may come again."""
    primary = tick.facts.primary
    if primary is None or tick.revision != (primary_revision(primary) or tick.state.promoted):
        return None
    state = replace(
        tick.state,
        routes=Routes(),
        iterations=0,
        failed_checks=0,
        applied=tick.revision,
        tracked_configs=tick.digests,
        checks=(),
        message="",
    )
    event = Event(f"Revision of {tick.target_label} is the one that the primary runs! Scaling down {tick.target_label}")
    return settle(tick, Reason.REVERTED, state, events=(event,), scale_to=0)
