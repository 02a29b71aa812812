"""How a rollout ends without a promotion, and how the canary's pods go once they have no traffic."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from controller.api.status import Phase
from controller.api.webhook import HookType
from controller.core.analysis.failures import describe_failures, plan_failures
from controller.core.analysis.traffic import plan_traffic, read_traffic
from controller.core.decision import Decision, Event, Measure, SetRoutes
from controller.core.model import Routes
from controller.core.objects.workload import primary_revision
from controller.core.objects.writes import plan_writes
from controller.core.rollout.phases import Reason
from controller.core.rollout.settle import hold, settle
from controller.core.tick import Tick

LATE_SECONDS = 60.0
"""So long after the interval in which requests end the last ones are waited for."""
SCRAPE_SECONDS = 5.0
"""How soon there may be a new scrape."""


def roll_back(
    tick: Tick, reason: Reason, message: str, events: tuple[Event, ...] = (), *, detail: str = ""
) -> Decision:
    """All traffic to the primary; the pods go later (`drain`), or stay for a look. The checks stay in the status.

    A primary that serves nothing gets no traffic from a canary that does: that would turn a bad answer into none.
    """
    text = f"{message}: {detail}" if detail else message
    if tick.must_keep_traffic:
        return _cannot_roll_back(tick, text, events)
    frozen = tick.analysis.on_failure == "freeze" and reason is not Reason.ABORTED
    state = replace(
        tick.state,
        routes=Routes(),
        iterations=0,
        failed_checks=0,
        stalled_since=None,
        scale_down=not frozen,
        frozen=frozen,
        unexplained=reason in (Reason.CHECKS_FAILED, Reason.CANARY_HARMFUL) and not tick.canary.spec.service.is_tcp,
        quiet_since=None,
        last_served=None,
        message=text,
    )
    after = f"Keeping {tick.target_label} until retry or abort" if frozen else f"Scaling down {tick.canary_label}"
    events = (*events, Event(message, "Warning"), Event(f"Canary failed! {after}", "Warning"))
    hooks = tick.hooks(HookType.POST_ROLLOUT, Phase.FAILED)
    return settle(tick, reason, state, events=events, hooks=hooks, requeue_after=0.0)


def _cannot_roll_back(tick: Tick, message: str, events: tuple[Event, ...]) -> Decision:
    text = (
        f"{message}; not rolled back: {tick.primary_label} serves nothing, "
        f"the canary keeps its traffic. Repair the primary, or update {tick.target_label} to a version that works"
    )
    held = replace(tick, state=replace(tick.state, analysed_at=tick.facts.now))
    decision = hold(held, Reason.ROLLBACK_BLOCKED, text, requeue_after=tick.interval)
    return replace(decision, events=(*events, *decision.events))


def explain(tick: Tick) -> Decision | Measure | None:
    """Say whose requests failed, and how, once the traffic has left the canary: it never waits for an explanation."""
    if not tick.state.unexplained or tick.moved_on:
        return None
    since = tick.state.begun_at or tick.facts.now
    probe = plan_failures(tick.canary, since, tick.facts.now)
    answer = tick.observation.results.get(probe.key)
    if answer is None:
        return Measure((probe,))
    found = describe_failures(tick.canary, answer)
    state = replace(tick.state, unexplained=False)
    if not found:
        return settle(tick, None, state, requeue_after=0.0)
    told = f"Requests that failed on {tick.target_label}: {found}"
    return settle(
        tick,
        None,
        replace(state, message=f"{state.message}; {found}"),
        events=(Event(told, "Warning"),),
        requeue_after=0.0,
    )


def refuse_start(tick: Tick) -> Decision | None:
    """A person says no to a revision that waits for approval: it has failed before it began."""
    if not tick.state.aborted:
        return None
    waiting = replace(tick, state=replace(tick.state, applied=tick.revision, tracked_configs=tick.digests))
    return roll_back(waiting, Reason.ABORTED, f"Rolling back {tick.canary_label} aborted by {tick.state.aborted}")


def notice_revert(tick: Tick) -> Decision | None:
    """The target is back at what the primary runs: there is nothing to try, and the other revision may come again."""
    primary = tick.facts.primary
    if primary is None or tick.revision != (primary_revision(primary) or tick.state.promoted) or tick.must_keep_traffic:
        return None
    state = replace(
        tick.state,
        routes=Routes(),
        iterations=0,
        failed_checks=0,
        applied=tick.revision,
        tracked_configs=tick.digests,
        stalled_since=None,
        scale_down=True,
        quiet_since=None,
        last_served=None,
        checks=(),
        message="",
    )
    event = Event(f"Revision of {tick.target_label} is the one that the primary runs! Scaling down {tick.target_label}")
    return settle(tick, Reason.REVERTED, state, events=(event,), requeue_after=0.0)


def drain(tick: Tick) -> Decision | Measure | None:
    """Scale the target to zero where that is due, once its last request is through."""
    if not tick.state.scale_down or tick.moved_on:
        return None
    state = replace(tick.state, scale_down=False, quiet_since=None, last_served=None)
    return await_quiet(tick) or settle(tick, None, state, events=late_requests(tick), scale_to=0, requeue_after=0.0)


def await_quiet(tick: Tick) -> Decision | Measure | None:
    """Let an interval pass in which the primary serves and the routes send it everything: requests under way end.

    The interval begins with the first tick that finds the routes written, never with the one that writes them.
    """
    written = not plan_writes(SetRoutes(Routes(), tick.state.cookies), tick.facts)
    if tick.state.routes != Routes() or not written or not tick.primary_serves:
        restless = replace(tick.state, quiet_since=None, last_served=None)
        return settle(tick, None, restless, requeue_after=tick.interval)
    since = tick.state.quiet_since or tick.facts.now
    left = tick.interval - (quiet := _seconds_since(tick, since))
    if left > 0:
        return settle(tick, None, replace(tick.state, quiet_since=since), requeue_after=left)
    return None if quiet > tick.interval + LATE_SECONDS else _await_last_request(tick, since)


def _await_last_request(tick: Tick, since: datetime) -> Decision | Measure | None:
    """A proxy that has the routes late still sends requests: until two scrapes of the canary's pods count the same.

    Where Prometheus does not know the pods, the interval has to do.
    """
    probe = plan_traffic(tick.canary)
    answer = tick.observation.results.get(probe.key)
    if answer is None:
        return Measure((probe,))
    traffic, before = read_traffic(tick.canary, answer), tick.state.last_served
    if traffic is None or not traffic.canary.requests:
        return None
    now = traffic.canary
    if before is None or before.scraped_at < since.timestamp() or now.requests != before.requests:
        before = now
    elif now.scraped_at > before.scraped_at:
        return None
    return settle(tick, None, replace(tick.state, last_served=before), requeue_after=SCRAPE_SECONDS)


def late_requests(tick: Tick) -> tuple[Event, ...]:
    """A warning where the canary's pods go while somebody still calls them."""
    since = tick.state.quiet_since
    if since is None or tick.state.last_served is None or _seconds_since(tick, since) <= tick.interval + LATE_SECONDS:
        return ()
    left = f"{tick.target_label} still had requests {tick.interval + LATE_SECONDS:g}s after its traffic was routed away"
    return (Event(f"{left}; is {tick.canary.names.canary_service} called directly?", "Warning"),)


def _seconds_since(tick: Tick, moment: datetime) -> float:
    return max(0.0, (tick.facts.now - moment).total_seconds())
