r"""The vocabulary of the core: what is remembered, what is seen, what is decided.

Data flows one way (docs/architecture.md)::

    Facts + State --decide--> Measure(probes)      what must be known first; the shell runs the probes and asks again
                         \--> Decision(state, actions, events, hooks, requeue_after)

Everything here is immutable. Weights and percentages are 0 to 100, times are aware datetimes in UTC, durations are
seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from controller.api.canary import Canary
from controller.api.durations import DEFAULT_INTERVAL_FLOOR_SECONDS
from controller.api.metric_template import MetricProvider, MetricTemplate
from controller.api.names import SELECTOR_LABELS
from controller.api.status import Phase
from controller.api.webhook import Webhook
from controller.core.evidence.comparison import Comparison
from controller.core.evidence.split import Split
from controller.core.evidence.values import ValueComparison

Manifest: TypeAlias = Mapping[str, Any]
"""A Kubernetes object as the API serves it, without ``metadata.managedFields``."""

Evidence: TypeAlias = Comparison | ValueComparison
"""What a metric with ``compare`` has gathered, of counted events or of numbers; all have one face."""


# --- what is remembered ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Routes:
    """The share of the traffic each side gets; for A/B the share of the *matched* traffic. The two add up to 100."""

    canary_weight: int = 0
    mirrored: bool = False

    @property
    def primary_weight(self) -> int:
        return 100 - self.canary_weight


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
class State:
    """All that outlives a tick; it is the Canary's ``.status`` and nothing else.

    Attributes:
        phase: where the rollout stands.
        routes: what the VirtualService is to say.
        iterations: A/B, blue/green and mirror rounds done.
        failed_checks: analyses failed since the rollout began; success does not reset it (Flagger).
        applied: revision under analysis, or last analysed.
        promoted: revision that the primary runs.
        tracked_configs: ``configmap/NAME`` or ``secret/NAME`` -> digest, of the applied revision.
        analysed_at: time of the last timed step; the next is due one interval later, restart or not.
        transitioned_at: when the phase last changed.
        record: what the primary was promoted to run (`objects.promoted`); None before it was seen running it.
        begun_at: when the canary took its first step in this rollout.
        stalled_since: since when the rollout has waited without progress, for ``progressDeadlineSeconds``.
        scale_down: the target is to be scaled to zero, once the requests under way have had an interval to end.
        quiet_since: since when the live routes have sent nothing to the canary, as far as `scale_down` asks.
        checks: the last analysis, metric by metric.
        evidence: what ``compare`` has gathered in this rollout, by metric.
        split: how the requests were shared out in it, where ``compare`` counts them and weights decide.
        reason: what happened last, or what holds the Canary up, in one word (`rollout.phases.Reason`).
        message: what holds the Canary up, for the reader of ``kubectl describe``; empty when nothing does.
    """

    phase: Phase = Phase.NEW
    routes: Routes = Routes()
    iterations: int = 0
    failed_checks: int = 0
    applied: str = ""
    promoted: str = ""
    tracked_configs: Mapping[str, str] = field(default_factory=dict)
    analysed_at: datetime | None = None
    transitioned_at: datetime | None = None
    record: Manifest | None = None
    begun_at: datetime | None = None
    stalled_since: datetime | None = None
    scale_down: bool = False
    quiet_since: datetime | None = None
    checks: tuple[Check, ...] = ()
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    split: Split | None = None
    reason: str = ""
    message: str = ""


# --- what is seen ---------------------------------------------------------------------------------------------------


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
class Options:
    """The controller's options that decisions depend on.

    Attributes:
        minimum_interval: lower bound of ``analysis.interval``, seconds.
        selector_labels: labels that can distinguish primary and canary pods, in order of preference.
        cross_namespace_refs: whether a Canary may use a MetricTemplate of another namespace.
        allowed_hosts: patterns of ``spec.service.hosts`` beside the namespace's own Services; ``{namespace}`` stands
            for the Canary's. Empty: all.
        allowed_gateways: patterns of ``spec.service.gateways``, as in ``istio-system/public`` or ``{namespace}/*``.
            Empty: all.
    """

    minimum_interval: float = DEFAULT_INTERVAL_FLOOR_SECONDS
    selector_labels: tuple[str, ...] = SELECTOR_LABELS
    cross_namespace_refs: bool = True
    allowed_hosts: tuple[str, ...] = ()
    allowed_gateways: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """One consistent snapshot from the watch caches. Manifests are None where the object does not exist.

    The caches have left out what the API server serves as null (``projected.sources``).

    Attributes:
        now: the time of this tick.
        canary: the parsed Canary.
        target: the Deployment that the user edits.
        primary: the controller's copy of it.
        target_autoscaler: the HPA that ``autoscalerRef`` names.
        generated: live objects by ``(kind, name)`` for everything that ``generated_names`` lists (Services,
            DestinationRules, VirtualService, the primary's HPA, copies of ConfigMaps and Secrets).
        owned: every live object that the Canary controls or has adopted, by ``(kind, name)``, generated or not; of
            ConfigMaps and Secrets only kind and metadata.
        deployments: all Deployments of the namespace.
        configs: ConfigMaps and Secrets by ``configmap/NAME`` or ``secret/NAME``, bodies included: those that the target
            uses, and those that the primary's copies were made of.
        missing_configs: references of the target (not marked optional) to objects that do not exist.
        templates: MetricTemplates by ``NAMESPACE/NAME``, or what is wrong with one; one that does not exist is absent.
        rival: another Canary that claims the same object and came first.
        options: of the controller.
    """

    now: datetime
    canary: Canary
    target: Manifest | None = None
    primary: Manifest | None = None
    target_autoscaler: Manifest | None = None
    generated: Mapping[tuple[str, str], Manifest] = field(default_factory=dict)
    owned: Mapping[tuple[str, str], Manifest] = field(default_factory=dict)
    deployments: tuple[Manifest, ...] = ()
    configs: Mapping[str, Manifest] = field(default_factory=dict)
    missing_configs: tuple[str, ...] = ()
    templates: Mapping[str, MetricTemplate | str] = field(default_factory=dict)
    rival: Rival | None = None
    options: Options = Options()


# --- what is measured -----------------------------------------------------------------------------------------------


def _key(name: str, earlier: int) -> str:
    """What an answer is kept under: one of its own for each probe, or a second gate would never be asked."""
    return f"{name}#{earlier + 1}" if earlier else name


@dataclass(frozen=True, slots=True)
class HookProbe:
    """Ask a webhook (Flagger's POST of name, namespace, phase, checksum, metadata); its answer may block.

    Attributes:
        webhook: the webhook to call.
        phase: the phase that is sent to the webhook.
        checksum: the same.
        earlier: how many webhooks of this type and name stand before it; Flagger's API lets names repeat.
    """

    webhook: Webhook
    phase: Phase
    checksum: str
    earlier: int = 0

    @property
    def key(self) -> str:
        return _key(f"webhook/{self.webhook.hook_type}/{self.webhook.name}", self.earlier)


@dataclass(frozen=True, slots=True)
class MetricProbe:
    """Run one query.

    Attributes:
        name: the metric's name in the analysis.
        query: ready to be sent.
        provider: who answers; None for the controller's own metrics server.
        namespace: where the provider's Secret lives.
        earlier: how many metrics of this name stand before it; Flagger's API lets names repeat.
        side: whose number it is, of a metric that compares two; empty for a threshold.
    """

    name: str
    query: str
    provider: MetricProvider | None = None
    namespace: str = ""
    earlier: int = 0
    side: Literal["", "canary", "primary"] = ""

    @property
    def key(self) -> str:
        return f"value/{self.name}/{self.side}" if self.side else _key(f"metric/{self.name}", self.earlier)


@dataclass(frozen=True, slots=True)
class CounterProbe:
    """Read raw counters: a query with many samples as its answer. Attributes as ``MetricProbe``."""

    name: str
    query: str
    provider: MetricProvider | None = None
    namespace: str = ""

    @property
    def key(self) -> str:
        return f"counters/{self.name}"


@dataclass(frozen=True, slots=True)
class HistoryProbe:
    """Read raw counters as they were at ``looks`` times up to now, ``step`` seconds apart.

    Further attributes as ``MetricProbe``.
    """

    name: str
    query: str
    looks: int
    step: int
    provider: MetricProvider | None = None
    namespace: str = ""

    @property
    def key(self) -> str:
        return self.key_of(self.name)

    @staticmethod
    def key_of(name: str) -> str:
        return f"history/{name}"


Query: TypeAlias = MetricProbe | CounterProbe | HistoryProbe
Probe: TypeAlias = HookProbe | Query


@dataclass(frozen=True, slots=True)
class Passed:
    """The webhook agreed (HTTP status up to 202)."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The webhook said no, timed out or could not be reached; ``reason`` says which."""

    reason: str


@dataclass(frozen=True, slots=True)
class Pending:
    """The webhook has not answered yet. The call goes on, and its answer is there when it is asked for again."""

    reason: str = "has not answered yet"


@dataclass(frozen=True, slots=True)
class Value:
    """The query's number."""

    value: float


@dataclass(frozen=True, slots=True)
class Sample:
    """One element of a query's vector."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Samples:
    """All elements of a query's vector; none where nothing was counted yet."""

    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class History:
    """What ``Samples`` would have been at each time, in order."""

    times: tuple[Samples, ...]


@dataclass(frozen=True, slots=True)
class NoValues:
    """The query worked and found nothing, or NaN."""


@dataclass(frozen=True, slots=True)
class QueryFailed:
    """The query could not be run; ``reason`` says why and where."""

    reason: str


ProbeResult: TypeAlias = Passed | Refused | Pending | Value | Samples | History | NoValues | QueryFailed


@dataclass(frozen=True, slots=True)
class Observation:
    """Facts, and the answers to the probes asked for so far, by ``Probe.key``."""

    facts: Facts
    results: Mapping[str, ProbeResult] = field(default_factory=dict)


# --- what is decided ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EnsureServices:
    """The ``-canary`` and ``-primary`` Services and their DestinationRules are as the Canary says."""


@dataclass(frozen=True, slots=True)
class EnsurePrimary:
    """The primary and its config copies exist; only ever as ``revision``, which was promoted or is the first.

    Attributes:
        record: what to rebuild it from; None: only the target, when that is at ``revision``.
    """

    revision: str
    record: Manifest | None = None


@dataclass(frozen=True, slots=True)
class PromoteSpec:
    """The primary and its config copies are those of the target's ``revision``.

    With ``dry_run`` nothing is written: the API server would accept all of it.
    """

    revision: str
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class EnsureAutoscaler:
    """The primary's HPA exists; with ``resync`` it also follows the target's."""

    resync: bool = False


@dataclass(frozen=True, slots=True)
class EnsureApex:
    """The Service that clients call selects the primary's pods."""


@dataclass(frozen=True, slots=True)
class SetRoutes:
    """The VirtualService sends the traffic as ``routes`` says."""

    routes: Routes


@dataclass(frozen=True, slots=True)
class ReturnTraffic:
    """No VirtualService of the Canary sends anything to a canary; whatever else they say stays as it is."""


@dataclass(frozen=True, slots=True)
class ScaleTarget:
    """The target has so many replicas."""

    replicas: int


@dataclass(frozen=True, slots=True)
class RemoveLeftovers:
    """What the Canary owns and does not generate any more is deleted, what it had adopted is given back."""


Action: TypeAlias = (
    EnsureServices
    | EnsurePrimary
    | PromoteSpec
    | EnsureAutoscaler
    | EnsureApex
    | SetRoutes
    | ReturnTraffic
    | ScaleTarget
    | RemoveLeftovers
)
"""A desired value, never a delta: doing it twice is doing it once."""


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes event on the Canary, reason ``Synced`` (Flagger), and a log line."""

    message: str
    type: Literal["Normal", "Warning"] = "Normal"


@dataclass(frozen=True, slots=True)
class Measure:
    """``decide`` cannot go on without these answers.

    Attributes:
        probes: the questions.
        patience: seconds after which a webhook that has not answered is `Pending`; None: its own timeout ends it.
    """

    probes: tuple[Probe, ...]
    patience: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What one tick does, in this order: actions (stop at the first that fails), status, events, hooks, upkeep.

    Attributes:
        state: what the status says afterwards.
        actions: desired values, in order; the status is not written unless all of them are true.
        upkeep: desired values that the state does not depend on: what cannot be written must keep no traffic on a
            canary, nor a failed check from being counted.
        events: recorded once the status is written.
        hooks: called after that; their answers become events and nothing else.
        requeue_after: seconds until the next tick is due whatever the watches say; None: only a watch wakes it.
    """

    state: State
    actions: tuple[Action, ...] = ()
    events: tuple[Event, ...] = ()
    hooks: tuple[HookProbe, ...] = ()
    requeue_after: float | None = None
    upkeep: tuple[Action, ...] = ()


# --- what is written ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Put:
    """Create ``manifest``, or replace the live object where ``metadata.resourceVersion`` is set.

    With ``dry_run`` the API server only says whether it would.
    """

    manifest: Manifest
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Scale:
    """Merge-patch ``spec.replicas`` of the named Deployment."""

    namespace: str
    name: str
    replicas: int


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the object, unless it has changed since it was seen at ``version`` (its resource version)."""

    kind: str
    namespace: str
    name: str
    version: str


Write: TypeAlias = Put | Scale | Delete
