"""A table of decisions: a situation, and the whole decision that it must lead to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from controller.core.decision import (
    Action,
    Decision,
    EnsureApex,
    EnsureAutoscaler,
    EnsurePrimary,
    EnsureServices,
    Event,
    PromoteSpec,
    ScaleTarget,
    SetRoutes,
)
from controller.core.model import Routes
from controller.core.objects.workload import revision_facts
from tests.unit.core.cluster import Cluster

Actions = Callable[[str], tuple[Action, ...]]


@dataclass(frozen=True)
class Case:
    """One row.

    Attributes:
        name: a sentence.
        cluster: makes the situation.
        changes: how the next state differs from the state before, from the cluster; what is not named stays.
        actions: the upkeep and the actions, from the target's revision.
        events: a text is a normal event.
        asked: keys of the probes that were answered, but for the requests of both sides (test_traffic.py).
        called: key and phase of the hooks to be called.
        requeue_after: as in ``Decision``.
        reason: what the next state says; None: as before.
    """

    name: str
    cluster: Callable[[], Cluster]
    changes: Callable[[Cluster], Mapping[str, Any]]
    actions: Actions
    events: tuple[str | Event, ...] = ()
    asked: tuple[str, ...] = ()
    called: tuple[str, ...] = ()
    requeue_after: float | None = None
    reason: str | None = None


def table(*cases: Case) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in cases])


def check(case: Case) -> None:
    cluster = case.cluster()
    before, cluster.asked = cluster.state, []
    decision = cluster.decide()
    expected = Decision(
        state=replace(
            before, **{"reason": before.reason if case.reason is None else case.reason, **case.changes(cluster)}
        ),
        actions=case.actions(revision_of(cluster)) if case.actions is not hands_off else (),
        events=tuple(Event(event) if isinstance(event, str) else event for event in case.events),
        hooks=decision.hooks,
        requeue_after=case.requeue_after,
    )
    elsewhere = ("record", "revision", "receipt", "pending_receipt")  # test_promoted.py, test_receipts.py
    state = replace(decision.state, **{name: getattr(before, name) for name in elsewhere})
    whole = replace(decision, state=state, actions=(*decision.upkeep, *decision.actions), upkeep=())
    whole, expected = without_source(whole), without_source(expected)
    assert whole == expected
    assert tuple(f"{hook.key}/{hook.phase}" for hook in decision.hooks) == case.called
    assert tuple(key for key in cluster.asked if key != "traffic/requests") == case.asked


def without_source(decision: Decision) -> Decision:
    """What the primary is rebuilt from left out; test_promoted.py looks at it."""
    actions = (EnsurePrimary("") if isinstance(action, EnsurePrimary) else action for action in decision.actions)
    return replace(decision, actions=tuple(actions))


def revision_of(cluster: Cluster) -> str:
    """The target's revision now."""
    return revision_facts(cluster.facts())[0]


def warning(message: str) -> Event:
    return Event(message, "Warning")


def nothing(_: Cluster) -> dict[str, Any]:
    """The state stays."""
    return {}


def hands_off(_: str) -> tuple[Action, ...]:
    """Nothing is touched."""
    return ()


def kept(
    routes: Routes | int = 0, *, scale: int | None = None, resync: bool = False, floor: int = 0, apex: bool = True
) -> Actions:
    """The usual objects, routes as given (a number is the canary's weight), the target scaled where asked."""

    def actions(revision: str) -> tuple[Action, ...]:
        led = (EnsureApex(), SetRoutes(_routes(routes))) if apex else ()
        scaled = () if scale is None else (ScaleTarget(scale),)
        return (EnsureServices(), EnsurePrimary(revision), EnsureAutoscaler(resync, floor), *led, *scaled)

    return actions


def promoted(routes: Routes | int = 0) -> Actions:
    """The target's spec copied to the primary."""

    def actions(revision: str) -> tuple[Action, ...]:
        copied = (PromoteSpec(revision), EnsureAutoscaler(resync=True), EnsureApex())
        return (*copied, EnsureServices(), PromoteSpec(revision, dry_run=True), SetRoutes(_routes(routes)))

    return actions


def _routes(routes: Routes | int) -> Routes:
    return Routes(routes) if isinstance(routes, int) else routes
