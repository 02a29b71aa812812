"""What people are told in their chats.

No policy sends an alert. It follows from what a tick has decided, by its reason (`phases`): a move is told when it
happens, and what lasts is told once, until the rollout moves on. What Flagger alerts for is told with its severity.
The state remembers what was told, so a restart repeats nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain

from controller.api.analysis import Strategy
from controller.api.canary import Canary
from controller.api.page import address_of
from controller.api.status import Phase
from controller.api.webhook import HookType, Webhook
from controller.core.decision import Alert, Decision, Receiver, Severity
from controller.core.model import State
from controller.core.rollout.conditions import CONDITION_MESSAGES, outcome
from controller.core.rollout.phases import HOLDS, MOVES, Reason
from controller.core.tick import Tick, refused

SEVERITIES: tuple[Severity, ...] = ("info", "warn", "error")
"""A receiver gets its own severity and those after it."""

NEWS: Mapping[str, str] = {
    Reason.INITIALIZED: "New {kind} detected, initialization completed.",
    Reason.STARTED: CONDITION_MESSAGES[Phase.PROGRESSING],
    Reason.RESTARTED: "New revision detected, restarting canary analysis.",
}
"""Moves that are told with what the rollout is going to do."""

FAILURES: Mapping[str, Severity] = {
    Reason.ROLLBACK_REQUESTED: "warn",
    Reason.ABORTED: "warn",
    Reason.CHECKS_FAILED: "error",
    Reason.CANARY_HARMFUL: "error",
    Reason.DEADLINE_EXCEEDED: "error",
    Reason.TARGET_LOST: "error",
    Reason.GROUP_FAILED: "warn",
    Reason.PRIMARY_FAILED: "error",
}
"""Moves that end a rollout without a promotion; the promotion that comes later is a recovery."""

GATES: Mapping[str, HookType] = {
    Reason.START_NOT_APPROVED: HookType.CONFIRM_ROLLOUT,
    Reason.STEP_NOT_APPROVED: HookType.CONFIRM_TRAFFIC_INCREASE,
    Reason.PROMOTION_NOT_APPROVED: HookType.CONFIRM_PROMOTION,
}
"""What a closed gate is called. One that opens within an interval is not told of."""

_LASTING = frozenset[str]({*HOLDS, *GATES})
_MOVES = frozenset[str](chain.from_iterable(MOVES.values())) - _LASTING
_ENDS = (Phase.INITIALIZING, Phase.INITIALIZED, Phase.SUCCEEDED)
"""In these phases nothing of an earlier failure is left."""


def with_alerts(tick: Tick, decision: Decision) -> Decision:
    """``decision`` with the alerts that it is worth, and a state that remembers them; as it is where nobody listens."""
    if not tick.analysis.alerts and not tick.facts.options.alerts:
        return decision
    after = decision.state
    moved = after.reason in _MOVES and _place(after) != _place(tick.state)
    closed_since = tick.state.closed_since or tick.facts.now if after.reason in GATES else tick.state.closed_since
    after = replace(after, closed_since=None if moved else closed_since)
    told = _told_of_move(tick, after) if moved else _told_of_what_lasts(tick, after)
    marks = tick.state.alerted
    if moved:
        marks = tuple(mark for mark in marks if mark in FAILURES)
    if after.phase in _ENDS:
        marks = ()
    elif told and (after.reason in FAILURES or not moved):
        marks = (*dict.fromkeys((*marks, _mark(tick, after))),)
    alerts = (told,) if told and (told.to or not tick.analysis.alerts) else ()
    return replace(decision, state=replace(after, alerted=marks), alerts=alerts)


def _place(state: State) -> tuple[str, str, str]:
    """What differs wherever something has happened: a reason alone stays until the next."""
    return state.phase, state.reason, state.applied


def _told_of_move(tick: Tick, after: State) -> Alert | None:
    if text := NEWS.get(after.reason):
        kind = tick.canary.spec.target_ref.kind
        return _alert(tick, "info", text.format(kind=kind), tuple(_plan(tick.canary)))
    if severity := FAILURES.get(after.reason):
        failed = ((check.name, check.detail) for check in after.checks if not check.passed and not check.dry_run)
        return _alert(tick, severity, after.message, tuple(failed))
    if after.reason == Reason.PROMOTED:
        skipped = "Canary analysis was skipped, promotion finished."
        text = skipped if tick.canary.spec.skip_analysis else outcome(tick.canary, after)
        return _alert(tick, "info", f"Recovered. {text}" if set(FAILURES) & set(tick.state.alerted) else text)
    return None


def _told_of_what_lasts(tick: Tick, after: State) -> Alert | None:
    """A gate that has been closed for an interval, a pre-rollout check that failed, a rollback that cannot be done."""
    severity: Severity = "warn"
    since = after.closed_since or tick.facts.now
    if after.reason in GATES and (tick.facts.now - since).total_seconds() < tick.interval:
        return None
    if after.reason == Reason.ROLLBACK_BLOCKED:
        severity = "error"
    elif (webhook := _refusing(tick, after)) is None or webhook.mute_alert:
        return None
    return None if _mark(tick, after) in tick.state.alerted else _alert(tick, severity, after.message)


def _refusing(tick: Tick, after: State) -> Webhook | None:
    """The webhook that keeps the rollout where it is."""
    first = {Reason.CHECK_FAILED.value: HookType.PRE_ROLLOUT}
    kind = GATES.get(after.reason) or first.get(after.reason)
    answers = tick.ask(kind) if kind else []
    no = refused(answers) if isinstance(answers, list) else None
    return no and no[0]


def _mark(tick: Tick, after: State) -> str:
    """What is remembered, as in ``ChecksFailed`` or ``StepNotApproved/load-test``: another gate is told too."""
    webhook = _refusing(tick, after)
    return f"{after.reason}/{webhook.name}" if webhook else after.reason


def _alert(tick: Tick, severity: Severity, text: str, fields: tuple[tuple[str, str], ...] = ()) -> Alert:
    options, canary = tick.facts.options, tick.canary
    page = address_of(options.page_url, canary.namespace, canary.name)
    fields += tuple((name, value) for name, value in (("Cluster", options.cluster_name), ("Page", page)) if value)
    return Alert(severity, text, fields, tuple(_receivers(tick.canary, severity)))


def _receivers(canary: Canary, severity: Severity) -> Iterator[Receiver]:
    for alert in canary.spec.analysis.alerts:
        # Flagger never sends an alert without a severity, though its documentation says that the default is info.
        if SEVERITIES.index(severity) >= SEVERITIES.index(alert.severity or "info"):
            yield Receiver(alert.name, alert.provider_ref.key(canary.namespace))


def _plan(canary: Canary) -> Iterator[tuple[str, str]]:
    """Flagger's fields."""
    spec, analysis = canary.spec, canary.spec.analysis
    yield "Target", f"{spec.target_ref.kind}/{canary.names.target}.{canary.namespace}"
    yield "Failed checks threshold", str(analysis.failure_threshold)
    yield "Progress deadline", f"{spec.progress_deadline_seconds}s"
    if analysis.step_weights:
        steps = ",".join(map(str, analysis.step_weights))
        yield "Traffic routing", f"Weight steps: {steps} max: {analysis.weight_limit}"
    elif analysis.step_weight:
        yield "Traffic routing", f"Weight step: {analysis.step_weight} max: {analysis.weight_limit}"
    else:
        yield "Traffic routing", "A/B Testing" if analysis.strategy is Strategy.AB_TESTING else "Blue/Green"
