"""What is remembered and what is seen: the input of every decision.

Everything here is immutable. Weights and percentages are 0 to 100, times are aware datetimes in UTC, durations are
seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from controller.api.canary import Canary
from controller.api.durations import DEFAULT_INTERVAL_FLOOR_SECONDS
from controller.api.metric_template import MetricTemplate
from controller.api.names import SELECTOR_LABELS
from controller.api.receipt import Receipt
from controller.api.status import Phase
from controller.core.evidence.comparison import Comparison
from controller.core.evidence.split import Served, Split
from controller.core.evidence.values import ValueComparison
from controller.core.probes import ProbeResult

Manifest: TypeAlias = Mapping[str, Any]
"""A Kubernetes object as the API serves it, without ``metadata.managedFields``."""

Evidence: TypeAlias = Comparison | ValueComparison
"""What a metric with ``compare`` has gathered, of counted events or of numbers; all have one face."""


@dataclass(frozen=True, slots=True)
class Routes:
    """The share of the traffic each side gets; for A/B the share of the *matched* traffic. The two add up to 100."""

    canary_weight: int = 0
    mirrored: bool = False

    @property
    def primary_weight(self) -> int:
        return 100 - self.canary_weight


@dataclass(frozen=True, slots=True)
class Cookies:
    """The cookies of session affinity, each as ``NAME=VALUE``; empty where there is none.

    Attributes:
        canary: keeps its users on the canary, in this rollout.
        primary: keeps its users on the primary, until the canary's weight changes.
        previous: was the canary's in the rollout before; who still has it loses it.
    """

    canary: str = ""
    primary: str = ""
    previous: str = ""


NO_COOKIES = Cookies()


@dataclass(frozen=True, slots=True)
class Check:
    """One metric's verdict in the last analysis.

    Attributes:
        name: the metric's name in the analysis.
        passed: whether the value lay in the allowed range.
        value: the measured value in the metric's own unit; None where there was none.
        detail: how value and range compare, in words, as in ``error-rate 100.00 > 1``.
        dry_run: shown only; it decides nothing.
    """

    name: str
    passed: bool
    value: float | None
    detail: str
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Former:
    """A revision that the primary has run, and when it or, later, another was promoted."""

    revision: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of the last instruction (`rollout.by_hand`).

    Attributes:
        text: as it was written, shortened when it is long.
        nonce: the highest that was used so far.
        by: who asked.
        refused: why it was not done; empty if it was.
    """

    text: str
    nonce: int
    by: str
    refused: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """All that outlives a tick; it is the Canary's ``.status`` and nothing else.

    Attributes:
        phase: where the rollout stands.
        routes: what the VirtualService is to say.
        cookies: those that the VirtualService knows (`objects.affinity`).
        iterations: A/B, blue/green and mirror rounds done.
        failed_checks: analyses failed since the rollout began; success does not reset it (Flagger).
        applied: revision under analysis, or last analysed.
        promoted: revision that the primary runs.
        tracked_configs: ``configmap/NAME`` or ``secret/NAME`` -> digest, of the applied revision.
        analysed_at: time of the last timed step; the next is due one interval later, restart or not.
        transitioned_at: when the phase last changed.
        record: what the primary was promoted to run (`objects.promoted`); None before it was seen running it.
        receipt: of the revision that the primary runs, if a rollout promoted it (`rollout.receipts`).
        pending_receipt: what is known of the receipt that the rollout under way may come to.
        started_at: when the rollout began that is under way, or was the last.
        capacity: the primary's replicas when the rollout began, where an autoscaler could take them away.
        begun_at: when the canary took its first step in this rollout.
        stalled_since: since when the rollout has waited without progress, for ``progressDeadlineSeconds``.
        scale_down: the target is to be scaled to zero, once the requests under way have had an interval to end.
        quiet_since: since when the live routes have sent nothing to the canary, as far as `scale_down` asks; in a
            deletion, since when nothing leads to the primary.
        last_served: what the canary's pods had served by the last scrape that showed more, since then.
        checks: the last analysis, metric by metric.
        evidence: what ``compare`` has gathered in this rollout, by metric.
        split: how the requests were shared out in it, where weights decide.
        alerted: what people were told and not yet told the end of: failures, and what lasts (`rollout.alerts`).
        queued_since: since when a new revision waits for its turn (`rollout.turns`).
        closed_since: since when a gate has kept the next step from being taken, where somebody wants alerts.
        revision: what the target would run, when that was last known.
        former: what the primary runs and, within ``rollbackWindow``, has run, the last first.
        frozen: the pods of the failed canary are kept until a person retries or aborts.
        unexplained: which requests failed on the canary that was rolled back has not been asked yet.
        paused: who paused the rollout; empty: nobody.
        aborted: who aborted the rollout, until it is rolled back; empty: nobody.
        answered: what became of the last instruction.
        reason: what happened last, or what holds the Canary up, in one word (`rollout.phases.Reason`).
        message: what holds the Canary up, for the reader of ``kubectl describe``; empty when nothing does.
    """

    phase: Phase = Phase.NEW
    routes: Routes = Routes()
    cookies: Cookies = NO_COOKIES
    iterations: int = 0
    failed_checks: int = 0
    applied: str = ""
    promoted: str = ""
    tracked_configs: Mapping[str, str] = field(default_factory=dict)
    analysed_at: datetime | None = None
    transitioned_at: datetime | None = None
    record: Manifest | None = None
    receipt: Receipt | None = None
    pending_receipt: Receipt | None = None
    started_at: datetime | None = None
    capacity: int = 0
    begun_at: datetime | None = None
    stalled_since: datetime | None = None
    scale_down: bool = False
    quiet_since: datetime | None = None
    last_served: Served | None = None
    checks: tuple[Check, ...] = ()
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    split: Split | None = None
    alerted: tuple[str, ...] = ()
    queued_since: datetime | None = None
    closed_since: datetime | None = None
    revision: str = ""
    former: tuple[Former, ...] = ()
    frozen: bool = False
    unexplained: bool = False
    paused: str = ""
    aborted: str = ""
    answered: Answered | None = None
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Rival:
    """Another Canary of the namespace that came first and claims an object which this one claims too.

    Attributes:
        canary: its name.
        kind: kind of the object.
        name: name of the object.
        field: the field of this Canary's spec that leads to it.
    """

    canary: str
    kind: str
    name: str
    field: str


@dataclass(frozen=True, slots=True)
class Peer:
    """Another Canary, as far as the start of a rollout depends on it.

    Attributes:
        namespace: its namespace.
        name: its name.
        phase: where it stands.
        queued_since: since when it waits for a place; None if it does not.
        settled: its primary runs what its target asks for now, and nothing is under way; known of dependencies only.
    """

    namespace: str
    name: str
    phase: Phase
    queued_since: datetime | None = None
    settled: bool = False

    @property
    def label(self) -> str:
        return f"{self.name}.{self.namespace}"


@dataclass(frozen=True, slots=True)
class Member:
    """Another Canary of the same group.

    Attributes:
        name: its name; the namespace is the same.
        phase: where it stands.
        done: it has done its steps and waits for the others.
        moved_at: when its phase last changed.
        promoted: its primary runs what it tried last, also where it has failed for its primary.
    """

    name: str
    phase: Phase
    done: bool = False
    moved_at: datetime | None = None
    promoted: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """The controller's options that decisions depend on.

    Attributes:
        minimum_interval: lower bound of ``analysis.interval``, seconds.
        selector_labels: labels that can distinguish primary and canary pods, in order of preference.
        label_prefixes: of the labels that copies have of what they are copied from; ``*`` is that of all.
        cross_namespace_refs: whether a Canary may refer to objects of another namespace.
        allowed_hosts: patterns of ``spec.service.hosts`` beside the namespace's own Services; ``{namespace}`` stands
            for the Canary's. Empty: all.
        allowed_gateways: patterns of ``spec.service.gateways``, as in ``istio-system/public`` or ``{namespace}/*``.
            Empty: all.
        alerts: whether Canaries without ``spec.analysis.alerts`` send theirs to receivers of the controller's own.
        cluster_name: shown in alerts; empty: not.
        page_url: where people open the page, without a slash at its end; alerts lead there. Empty: they do not.
        max_rollouts: how many rollouts may be in progress at a time; 0: any number.
        max_rollouts_per_namespace: the same for each namespace.
    """

    minimum_interval: float = DEFAULT_INTERVAL_FLOOR_SECONDS
    selector_labels: tuple[str, ...] = SELECTOR_LABELS
    label_prefixes: tuple[str, ...] = ("*",)
    cross_namespace_refs: bool = True
    allowed_hosts: tuple[str, ...] = ()
    allowed_gateways: tuple[str, ...] = ()
    alerts: bool = False
    cluster_name: str = ""
    page_url: str = ""
    max_rollouts: int = 0
    max_rollouts_per_namespace: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """One consistent snapshot from the watch caches. Manifests are None where the object does not exist.

    The caches have left out what the API server serves as null (``projected.sources``).

    Attributes:
        now: the time of this tick.
        canary: the parsed Canary.
        target: the workload that the user edits.
        primary: the controller's copy of it.
        target_autoscaler: the HPA or ScaledObject that ``autoscalerRef`` names.
        generated: live objects by ``(kind, name)`` for everything that ``generated_names`` lists (Services,
            DestinationRules, VirtualService, the primary's HPA, copies of ConfigMaps and Secrets).
        owned: every live object that the Canary controls or has adopted, by ``(kind, name)``, generated or not; of
            ConfigMaps and Secrets only kind and metadata.
        workloads: Deployments and DaemonSets of the namespace, at least those that its Services may select.
        configs: ConfigMaps and Secrets by ``configmap/NAME`` or ``secret/NAME``, bodies included: those that the target
            uses, and those that the primary's copies were made of.
        missing_configs: references of the target (not marked optional) to objects that do not exist.
        templates: MetricTemplates by ``NAMESPACE/NAME``, or what is wrong with one; one that does not exist is absent.
        rival: another Canary that claims the same object and came first.
        peers: other Canaries that have a rollout in progress or wait for a place; empty without a limit.
        dependencies: those in ``spec.dependsOn`` by ``NAMESPACE/NAME``, None where there is none.
        circle: the way from this Canary over ``spec.dependsOn`` back to itself; empty: there is none.
        members: the other Canaries of the same group, where this one is in analysis.
        actor: the field manager that wrote an instruction nobody has answered yet.
        options: of the controller.
    """

    now: datetime
    canary: Canary
    target: Manifest | None = None
    primary: Manifest | None = None
    target_autoscaler: Manifest | None = None
    generated: Mapping[tuple[str, str], Manifest] = field(default_factory=dict)
    owned: Mapping[tuple[str, str], Manifest] = field(default_factory=dict)
    workloads: tuple[Manifest, ...] = ()
    configs: Mapping[str, Manifest] = field(default_factory=dict)
    missing_configs: tuple[str, ...] = ()
    templates: Mapping[str, MetricTemplate | str] = field(default_factory=dict)
    rival: Rival | None = None
    peers: tuple[Peer, ...] = ()
    dependencies: Mapping[str, Peer | None] = field(default_factory=dict)
    circle: tuple[str, ...] = ()
    members: tuple[Member, ...] = ()
    actor: str = ""
    options: Options = Options()


@dataclass(frozen=True, slots=True)
class Observation:
    """Facts, and the answers to the probes asked for so far, by ``Probe.key``."""

    facts: Facts
    results: Mapping[str, ProbeResult] = field(default_factory=dict)
