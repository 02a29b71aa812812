"""One tick: what is remembered and what is seen, read together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

from controller.api.analysis import Analysis
from controller.api.canary import Canary
from controller.api.durations import parse_duration
from controller.api.instruction import Instruction, Verb
from controller.api.status import Phase
from controller.api.support import unsupported_fields
from controller.api.webhook import HookType, Webhook
from controller.core.decision import Event, Measure
from controller.core.model import Facts, Former, Manifest, Observation, Routes, State
from controller.core.objects.kinds import as_workload
from controller.core.objects.ownership import is_owned
from controller.core.objects.pods import selector_text, trouble_of
from controller.core.objects.selectors import overlaps
from controller.core.objects.workload import Readiness, readiness_of, revision_facts, serves
from controller.core.probes import HookProbe, Passed, Pending, Pods, PodsProbe, ProbeResult, Refused

START_SECONDS = 10.0
"""For so long a pod that is not ready is taken to start."""

STEPS_BY_HAND = (Verb.PROMOTE, Verb.PROMOTE_FULLY, Verb.WEIGHT)
"""Steps that a person asks for: they wait neither for the next interval nor for the end of a pause."""
_STEP_GATES = (HookType.CONFIRM_TRAFFIC_INCREASE, HookType.CONFIRM_PROMOTION)


@dataclass(frozen=True)
class Tick:
    """State and observation of one tick, what a person asks for in it, and what follows from these."""

    state: State
    observation: Observation
    instruction: Instruction | None = None

    @property
    def facts(self) -> Facts:
        return self.observation.facts

    @property
    def target(self) -> Manifest:
        """The target; the guard `targetless` lets no tick pass without one."""
        if self.facts.target is None:
            raise ValueError(f"Canary {self.canary_label} has no target")
        return self.facts.target

    @property
    def canary(self) -> Canary:
        return self.facts.canary

    @property
    def analysis(self) -> Analysis:
        return self.canary.spec.analysis

    @property
    def canary_label(self) -> str:
        """``C.n`` of Flagger's messages."""
        return f"{self.canary.name}.{self.canary.namespace}"

    @property
    def target_label(self) -> str:
        """``T.n`` of Flagger's messages."""
        return f"{self.canary.names.target}.{self.canary.namespace}"

    @property
    def canary_words(self) -> str:
        """``canary deployment T.n`` of Flagger's messages."""
        return f"canary {self.canary.spec.target_ref.kind.lower()} {self.target_label}"

    @property
    def primary_label(self) -> str:
        return f"{self.canary.names.primary}.{self.canary.namespace}"

    @cached_property
    def _revision_facts(self) -> tuple[str, dict[str, str]]:
        return revision_facts(self.facts)

    @cached_property
    def unsupported(self) -> tuple[str, ...]:
        """What the user asked for and would not get, each with the reason; several policies ask."""
        obstacle = as_workload(self.facts.target).obstacle if self.facts.target is not None else ""
        return (*unsupported_fields(self.canary), *([obstacle] if obstacle else []))

    @cached_property
    def overlap(self) -> str:
        """Which other workload's pods the Services would select; several policies ask, and it reads all workloads."""
        facts = self.facts
        labels = facts.options.selector_labels
        return overlaps(self.target, facts.primary, facts.workloads, labels, partial(is_owned, self.canary))

    @property
    def revision(self) -> str:
        """What the target would run now."""
        return self._revision_facts[0]

    @property
    def digests(self) -> dict[str, str]:
        return self._revision_facts[1]

    @property
    def interval(self) -> float:
        """Seconds from one timed step to the next."""
        return self.analysis.tick_seconds(self.facts.options.minimum_interval)

    @property
    def until_due(self) -> float:
        """Seconds until the next timed step, never more than an interval (a clock may have been set back)."""
        if self.state.analysed_at is None or self.told(*STEPS_BY_HAND, Verb.APPROVE):
            return 0.0
        passed = (self.facts.now - self.state.analysed_at).total_seconds()
        return min(max(0.0, self.interval - passed), self.interval)

    @property
    def moved_on(self) -> bool:
        """Whether the target has another revision than the one applied; unknown, so no, while a config is missing."""
        return not self.facts.missing_configs and self.revision != self.state.applied

    @property
    def former(self) -> tuple[Former, ...]:
        """What the primary has run within ``rollbackWindow``, the last first; going back to it needs no analysis."""
        window, now = self.canary.spec.rollback_window, self.facts.now
        seconds = parse_duration(window) if window else 0.0
        return tuple(each for each in self.state.former if (now - each.until).total_seconds() < seconds)

    @property
    def known_revision(self) -> str:
        """The target's revision; while a config or the target is missing, the one last known."""
        unknown = self.facts.target is None or self.facts.missing_configs
        return self.state.revision if unknown else self.revision

    def told(self, *verbs: Verb) -> bool:
        """Whether a person asks for one of these in this tick."""
        return self.instruction is not None and self.instruction.verb in verbs

    def entitled(self, state: State) -> str:
        """The revision that the primary may run in ``state``: what was promoted, or the first."""
        if state.phase in (Phase.NEW, Phase.INITIALIZING):
            return self.revision
        return state.applied if state.phase in (Phase.PROMOTING, Phase.FINALISING) else state.promoted

    @property
    def primary_lost(self) -> bool:
        """Whether the primary is gone, and nobody knows what it ran."""
        record, revision = self.state.record, self.entitled(self.state)
        recorded = record is not None and record["revision"] == revision
        return self.facts.primary is None and not recorded and self.revision != revision

    @property
    def deadline(self) -> float:
        """Seconds for which a rollout may make no progress."""
        return self.canary.spec.progress_deadline_seconds

    @property
    def stalled_for(self) -> float:
        """Seconds without progress; pods of a slow workload that come up one by one are progress."""
        moments = [self.state.stalled_since, self.canary_readiness.progressed_at]
        last = max((moment for moment in moments if moment is not None), default=self.facts.now)
        return (self.facts.now - last).total_seconds()

    @property
    def primary_serves(self) -> bool:
        """Whether any pod of the primary can answer requests."""
        return serves(self.facts.primary)

    @property
    def canary_serves(self) -> bool:
        """Whether any pod of the canary can answer requests."""
        return serves(self.facts.target)

    @property
    def must_keep_traffic(self) -> bool:
        """The canary serves and the primary does not: whoever is sent to the primary gets no answer."""
        return bool(self.state.routes.canary_weight) and self.canary_serves and not self.primary_serves

    @property
    def must_give_back(self) -> bool:
        """The primary serves and the canary does not: whoever is sent to the canary gets no answer."""
        return bool(self.state.routes.canary_weight) and self.primary_serves and not self.canary_serves

    @cached_property
    def canary_readiness(self) -> Readiness:
        return self._readiness(self.facts.target, self.analysis.canary_ready_threshold)

    @cached_property
    def primary_readiness(self) -> Readiness:
        readiness = self._readiness(self.facts.primary, self.analysis.primary_ready_threshold)
        if self.primary_lost:
            return Readiness(
                ready=False,
                detail=f"it was deleted, and what it ran is not recorded; set {self.target_label} back to the version "
                "that was promoted, or set spec.skipAnalysis to promote the one that it has",
            )
        if readiness.ready and self.facts.primary is not None and not as_workload(self.facts.primary).replicas:
            return Readiness(ready=False, detail="it is scaled to zero; scale it up")
        return readiness

    def _readiness(self, workload: Manifest | None, threshold: int) -> Readiness:
        if workload is None:
            return Readiness(ready=False, detail="waiting for it to be created")
        moving = self.state.phase in (Phase.INITIALIZING, Phase.PROMOTING)
        readiness = readiness_of(
            workload,
            threshold=threshold,
            deadline=self.deadline,
            now=self.facts.now,
            waiting_since=self.state.transitioned_at if moving else self.state.stalled_since,
        )
        answer = self.observation.results.get(self.pods(workload).key)
        trouble = trouble_of(workload, answer.pods) if isinstance(answer, Pods) and not readiness.ready else ""
        return replace(readiness, detail=f"{readiness.detail}; {trouble}") if trouble else readiness

    @staticmethod
    def pods(workload: Manifest) -> PodsProbe:
        """How to ask for the pods of a workload."""
        return PodsProbe(workload["metadata"]["name"], selector_text(workload))

    @property
    def unread_pods(self) -> tuple[PodsProbe, ...]:
        """Whose pods to ask why they are not ready: they have got no further for longer than a start takes."""
        sides = ((self.facts.target, self.canary_readiness), (self.facts.primary, self.primary_readiness))
        probes = (
            self.pods(workload) for workload, readiness in sides if workload is not None and self._is_stuck(readiness)
        )
        return tuple(probe for probe in probes if probe.key not in self.observation.results)

    def _is_stuck(self, readiness: Readiness) -> bool:
        if readiness.ready or readiness.expired or readiness.progressed_at is None:
            return readiness.expired
        return (self.facts.now - readiness.progressed_at).total_seconds() >= START_SECONDS

    def ask(self, hook_type: HookType) -> Measure | list[tuple[Webhook, ProbeResult]]:
        """The answers of the webhooks of a type, up to the first that does not agree; a Measure if one is missing.

        A person who asks for the next step opens its gates; one who approves, those without a URL.
        """
        answers: list[tuple[Webhook, ProbeResult]] = []
        if hook_type in _STEP_GATES and self.told(Verb.PROMOTE):
            return answers
        for probe in self.hooks(hook_type, self.state.phase):
            approved = Passed() if self.told(Verb.APPROVE) and not probe.webhook.url else None
            result = approved or self.observation.results.get(probe.key)
            if result is None:
                return self.waiting_for(probe)
            answers.append((probe.webhook, result))
            if isinstance(result, Refused | Pending):
                break
        return answers

    def waiting_for(self, probe: HookProbe) -> Measure:
        """While the canary has traffic, webhooks that hang delay its metrics once, and by no more than an interval."""
        if self.state.routes == Routes():
            return Measure((probe,))
        return Measure((probe,), patience=0.0 if self.hanging else self.interval)

    @property
    def hanging(self) -> str:
        """A webhook that has not answered yet, as in ``rollout webhook load``; empty where there is none."""
        pending = (key for key, result in self.observation.results.items() if isinstance(result, Pending))
        _, kind, name = next(pending, "//").split("/", 2)
        return f"{kind} webhook {name}" if name else ""

    def hooks(self, hook_type: HookType, phase: Phase) -> tuple[HookProbe, ...]:
        """The webhooks of a type, as they are called in ``phase``."""
        webhooks = [webhook for webhook in self.analysis.webhooks if webhook.hook_type is hook_type]
        names = [webhook.name for webhook in webhooks]
        return tuple(
            HookProbe(webhook, phase, checksum=self.state.applied, earlier=names[:index].count(webhook.name))
            for index, webhook in enumerate(webhooks)
        )


def passed(answers: Sequence[tuple[Webhook, ProbeResult]], check: str) -> tuple[Event, ...]:
    """Flagger's event for each webhook that agreed; ``check`` as in ``Pre-rollout check``."""
    return tuple(Event(f"{check} {webhook.name} passed") for webhook, result in answers if isinstance(result, Passed))


def refused(answers: Sequence[tuple[Webhook, ProbeResult]]) -> tuple[Webhook, Refused | Pending] | None:
    """The webhook that said no, or nothing yet."""
    return next(((webhook, result) for webhook, result in answers if isinstance(result, Refused | Pending)), None)
