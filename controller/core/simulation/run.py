"""One rollout driven by the same `decide` as in a cluster, over answers given beforehand.

The virtual cluster has a target and a primary whose pods are ready, and nothing else. Webhooks were not recorded:
every gate counts as open, no rollback hook as called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any, TypeAlias

from controller.api.canary import Canary
from controller.api.errors import CanaryError
from controller.api.status import Phase
from controller.api.webhook import HookType
from controller.core.analysis.checks import inconclusive
from controller.core.analysis.thresholds import Templates, number_of
from controller.core.model import Check, Evidence, Facts, Manifest, State
from controller.core.objects.ownership import owner_reference
from controller.core.objects.workload import REVISION_ANNOTATION, revision_facts
from controller.core.probes import (
    CounterProbe,
    History,
    HistoryProbe,
    HookProbe,
    MetricProbe,
    NoValues,
    Passed,
    PodsProbe,
    Probe,
    ProbeResult,
    QueryFailed,
    Refused,
    Sample,
    Samples,
    TrafficProbe,
)
from controller.core.rollout.drive import drive
from controller.core.rollout.phases import Reason
from controller.core.simulation.recording import Recording

_UNDER_WAY = (Phase.PROGRESSING, Phase.WAITING_PROMOTION)
_PROMOTED_REVISION = "f" * 16

Ask: TypeAlias = Callable[[Probe, int], ProbeResult]
"""The answer to a probe at a point of the recording."""


class ReplayError(CanaryError):
    """A Canary that cannot be replayed, and why."""


class Outcome(StrEnum):
    """How a replayed rollout ends."""

    PROMOTED = "promoted"
    UNPROVEN = "promoted without proof"
    HARM = "rolled back: worse than the primary"
    THRESHOLD = "rolled back: failed checks"
    INCONCLUSIVE = "rolled back: no verdict"
    GATE = "no verdict: a person is asked"
    UNDECIDED = "undecided when the recording ended"


WITHOUT_VERDICT = (Outcome.UNPROVEN, Outcome.INCONCLUSIVE, Outcome.GATE)
"""The steps are done, and a comparison has neither passed nor failed: by ``onInconclusive``."""


@dataclass(frozen=True, slots=True)
class Look:
    """One tick of a replayed rollout.

    Attributes:
        number: 0 when the canary gets its first traffic, then one an interval.
        at: its time.
        state: what the status would say after it.
    """

    number: int
    at: datetime
    state: State

    @property
    def comparisons(self) -> Mapping[str, Evidence]:
        """The evidence, by metric with ``compare``."""
        return self.state.evidence

    @property
    def checks(self) -> tuple[Check, ...]:
        return self.state.checks


@dataclass(frozen=True, slots=True)
class Run:
    """A replayed rollout; the last look is the one that decided."""

    looks: tuple[Look, ...]
    outcome: Outcome

    @property
    def reason(self) -> str:
        return self.looks[-1].state.message


def run(canary: Canary, templates: Templates, ask: Ask, recording: Recording, points: range) -> Run:
    """Drive the core from the canary's first traffic, at the first of ``points``, until it decides or they end."""
    target, primary = _deployment(canary.names.target, ""), _primary(canary)
    active = canary.model_copy(update={"spec": canary.spec.model_copy(update={"suspend": False})})
    facts = Facts(now=recording.start, canary=active, target=target, primary=primary, templates=templates)
    state = State(phase=Phase.PROGRESSING, applied=revision_facts(facts)[0], promoted=_PROMOTED_REVISION)
    looks: list[Look] = []
    for number, point in enumerate(points):
        facts = replace(facts, now=recording.time(point))
        state = drive(state, facts, partial(_answer_all, ask, point)).state
        looks.append(Look(number, facts.now, state))
        if state.phase not in _UNDER_WAY:
            break
    return Run(tuple(looks), _outcome(canary, looks[-1]))


def _answer_all(ask: Ask, point: int, probes: tuple[Probe, ...]) -> dict[str, ProbeResult]:
    return {probe.key: ask(probe, point) for probe in probes}


def _outcome(canary: Canary, last: Look) -> Outcome:
    if last.state.phase in _UNDER_WAY:
        return Outcome.UNDECIDED
    if last.state.phase is not Phase.FAILED:
        unproven = Outcome.GATE if canary.spec.analysis.on_inconclusive == "gate" else Outcome.UNPROVEN
        return unproven if inconclusive(canary, last.state) else Outcome.PROMOTED
    if last.state.reason == Reason.CANARY_HARMFUL:
        return Outcome.HARM
    return Outcome.INCONCLUSIVE if all(check.passed or check.dry_run for check in last.checks) else Outcome.THRESHOLD


def ask_recording(recording: Recording) -> Ask:
    """The recorded answers; gates are open, and nobody asks for a rollback."""

    def ask(probe: Probe, point: int) -> ProbeResult:
        match probe:
            case HookProbe():
                called = probe.webhook.hook_type is not HookType.ROLLBACK
                return Passed() if called else Refused("not called in a replay")
            case CounterProbe():
                return Samples(recording.samples(probe.query, point))
            case TrafficProbe() | PodsProbe():  # the recorded traffic followed the weights of then; pods are ready
                return NoValues()
            case HistoryProbe():
                return ask_history(probe, point, lambda past: recording.samples(probe.query, past))
            case MetricProbe() if probe.provider is None or probe.provider.type == "prometheus":
                return number_of(recording.samples(probe.query, point))
            case MetricProbe():
                return QueryFailed(f"a {probe.provider.type if probe.provider else ''} provider was not recorded")

    return ask


def ask_history(probe: HistoryProbe, point: int, samples: Callable[[int], tuple[Sample, ...]]) -> History:
    """What was recorded up to ``point``, at most as much as the probe asks for."""
    return History(tuple(Samples(samples(past)) for past in range(max(0, point - probe.looks), point + 1)))


def _deployment(name: str, revision: str) -> Manifest:
    """A Deployment, for a target of any kind, whose one replica is ready; ``revision`` is what it was copied from."""
    annotations: dict[str, Any] = {"annotations": {REVISION_ANNOTATION: revision}} if revision else {}
    return {
        "kind": "Deployment",
        "metadata": {"name": name, "generation": 1},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}, **annotations}, "spec": {"containers": []}},
        },
        "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
    }


def _primary(canary: Canary) -> Manifest:
    made = _deployment(canary.names.primary, _PROMOTED_REVISION)
    return {**made, "metadata": {**made["metadata"], "ownerReferences": [owner_reference(canary)]}}
