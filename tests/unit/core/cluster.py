"""A cluster small enough to reason about: it keeps what the core writes, and rolls workloads out at once.

``Cluster.tick`` is the shell's loop without its IO, so a test can drive whole rollouts through the pure core.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from controller.api.canary import Canary
from controller.api.metric_template import MetricTemplate
from controller.api.names import ACTION_ANNOTATION
from controller.api.parse import parse_canary
from controller.api.status import Phase
from controller.api.webhook import HookType
from controller.core.decision import Action, Alert, Decision, Delete, Patch, Put, Write
from controller.core.model import Facts, Manifest, Member, Options, Peer, Rival, State
from controller.core.objects.affinity import STICKY_ROUTE
from controller.core.objects.configs import copied_refs
from controller.core.objects.ownership import is_adopted, is_owned, may_write
from controller.core.objects.workload import generated_names, revision_facts
from controller.core.objects.writes import plan_writes
from controller.core.probes import (
    CounterProbe,
    History,
    HistoryProbe,
    HookProbe,
    MetricProbe,
    Passed,
    Pods,
    PodsProbe,
    Probe,
    ProbeResult,
    Refused,
    Samples,
    TrafficProbe,
    Value,
)
from controller.core.rollout.drive import drive
from controller.core.rollout.phases import Reason
from controller.core.status import state_from_status, status_from_state
from tests.builders import (
    NAMESPACE,
    NOW,
    canary_manifest,
    daemon_status,
    down_status,
    error_rate_template,
    expired_status,
    make_deployment,
    ready_status,
    waiting_status,
)

Health: TypeAlias = Literal["ready", "waiting", "expired", "down"]
NORMAL = (
    Reason.PRIMARY_NOT_READY,
    Reason.CANARY_NOT_READY,
    Reason.CANARY_SCALED_TO_ZERO,
    Reason.VALUES_MISSING,
    Reason.WARMING_UP,
    Reason.HOOK_PENDING,
    Reason.DEPENDENCY_NOT_READY,
    Reason.WAITING_FOR_TURN,
    Reason.WAITING_FOR_GROUP,
)
"""What every rollout may wait for: no warning is due at once."""
END_PHASES = (Phase.INITIALIZED, Phase.SUCCEEDED, Phase.FAILED)


class CrashError(Exception):
    """The controller dies here."""


class RefusedError(Exception):
    """The API server refuses a write: a quota, an admission webhook."""


def clone(node: Any) -> Any:
    """Plain JSON values copied without nulls, as the cache holds them; several times faster than ``copy.deepcopy``."""
    if isinstance(node, dict):
        return {key: clone(value) for key, value in node.items() if value is not None}
    return [clone(item) for item in node] if isinstance(node, (list, tuple)) else node


def merge(item: dict[str, Any], patch: Mapping[str, Any]) -> None:
    """A JSON merge patch; the API server stores no empty mapping."""
    for key, value in patch.items():
        if isinstance(value, Mapping):
            merge(item.setdefault(key, {}), value)
        elif value is not None:
            item[key] = value
        if item.get(key) == {} or value is None:
            item.pop(key, None)


def places(patch: Any, path: str = "") -> list[str]:
    """What a patch changes, as in ``.spec.replicas``."""
    if not isinstance(patch, Mapping):
        return [path]
    return [place for key, value in patch.items() for place in places(value, f"{path}.{key}")]


GENERATION = "deprecated.daemonset.template.generation"
REST = "flagger.app/scale-to-zero"
MAY_PATCH = {
    "Deployment": ["{target}.spec.replicas"],
    "DaemonSet": ["{target}.spec.template.spec.nodeSelector." + REST],
    "ScaledObject": ["{scaler}.metadata.annotations.autoscaling.keda.sh/paused-replicas"],
}
"""All that is written to what is the user's."""


def replicas_of(item: Mapping[str, Any]) -> int:
    """Of a workload; a DaemonSet that is not at rest has a pod on the one node."""
    if item["kind"] == "Deployment":
        return int(item["spec"].get("replicas", 1))
    return 0 if item["spec"]["template"]["spec"].get("nodeSelector", {}).get(REST) == "true" else 1


def never(_: int) -> bool:
    return False


def by_weight(virtual_service: dict[str, Any]) -> dict[str, Any]:
    """The first route by weight, behind those of users who have a cookie."""
    spec: dict[str, list[dict[str, Any]]] = virtual_service["spec"]
    return next(route for route in spec.get("http") or spec["tcp"] if route.get("name") != STICKY_ROUTE)


@dataclass
class Cluster:
    """Objects by kind and name, a clock, and the answers that probes get.

    Attributes:
        canary: the Canary's manifest, status included.
        objects: everything else, by (kind, name).
        answers: by ``Probe.key``; what is not named agrees, measures 0 or counted nothing; nobody asks for a rollback.
        health: how the rollouts of a workload go, by its name; what is not named is ready at once.
        templates: the MetricTemplates.
        rival: see ``Facts``.
        peers: see ``Facts``.
        others: what is known of other Canaries that this one may depend on, by ``NAMESPACE/NAME``.
        circle: see ``Facts``.
        members: the other Canaries of a group, by its name.
        options: see ``Facts``.
        actor: see ``Facts``.
        refused: kinds of objects that the API server does not let the controller create or replace.
        refusal: what the API server refused in the last tick.
        writes: every write done, in order.
        events: every event's message, in order.
        alerts: every alert, in order.
        asked: every probe's key, in order.
        called: the key of every hook that a decision called, in order.
    """

    canary: dict[str, Any]
    objects: dict[tuple[str, str], dict[str, Any]]
    now: datetime = NOW
    answers: dict[str, ProbeResult] = field(default_factory=dict)
    health: dict[str, Health] = field(default_factory=dict)
    templates: dict[str, MetricTemplate | str] = field(
        default_factory=lambda: {"istio-system/error-rate": error_rate_template()}
    )
    rival: Rival | None = None
    peers: tuple[Peer, ...] = ()
    others: Mapping[str, Peer] = field(default_factory=dict)
    circle: tuple[str, ...] = ()
    members: Mapping[str, tuple[Member, ...]] = field(default_factory=dict)
    options: Options = field(default_factory=Options)
    actor: str = ""
    refused: set[str] = field(default_factory=set)
    refusal: str = ""
    writes: list[Write] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    called: list[str] = field(default_factory=list)
    _parsed: tuple[int, Any, Canary] | None = None

    @classmethod
    def of(cls, canary: Mapping[str, Any], *objects: Mapping[str, Any]) -> Cluster:
        return cls(
            clone(dict(canary)),
            {(item["kind"], item["metadata"]["name"]): clone(dict(item)) for item in objects},
        )

    # --- what the controller sees and does ---

    @property
    def parsed(self) -> Canary:
        """The Canary as the controller reads it; read again after every edit and every status."""
        generation, status = self.canary["metadata"]["generation"], self.canary.get("status")
        if self._parsed is None or self._parsed[0] != generation or self._parsed[1] is not status:
            self._parsed = generation, status, parse_canary(self.canary)
        return self._parsed[2]

    @property
    def kind(self) -> str:
        """The kind of the target."""
        return str(self.canary["spec"]["targetRef"]["kind"])

    @property
    def state(self) -> State:
        return state_from_status(self.parsed)

    def facts(self) -> Facts:
        """A snapshot of its own: neither a change of the cluster nor a mistake of the core reaches across."""
        canary, objects = self.parsed, {key: clone(item) for key, item in self.objects.items()}
        workloads = {key: item for key, item in objects.items() if key[0] in ("Deployment", "DaemonSet")}
        target = workloads.get(canary.target_key)
        references = copied_refs(canary, target)
        autoscaler = canary.spec.autoscaler_ref
        configs = {ref.key: objects[ref.kind, ref.name] for ref in references if (ref.kind, ref.name) in objects}
        return Facts(
            now=self.now,
            canary=canary,
            target=target,
            primary=workloads.get(canary.primary_key),
            target_autoscaler=objects.get((autoscaler.kind, autoscaler.name)) if autoscaler else None,
            generated={key: objects[key] for key in generated_names(canary, target) if key in objects},
            owned={key: item for key, item in objects.items() if is_owned(canary, item) or is_adopted(canary, item)},
            workloads=tuple(workloads.values()),
            configs=configs,
            missing_configs=tuple(ref.key for ref in references if ref.key not in configs and not ref.optional),
            templates=dict(self.templates),
            rival=self.rival,
            peers=self.peers,
            dependencies={
                reference.key(NAMESPACE): self.others.get(reference.key(NAMESPACE))
                for reference in canary.spec.depends_on
            },
            circle=self.circle,
            members=self.members.get(canary.spec.group or "", ()),
            actor=self.actor,
            options=self.options,
        )

    def decide(self) -> Decision:
        """What the core decides now, probes answered."""
        return drive(self.state, self.facts(), self._measure)

    def _measure(self, probes: tuple[Probe, ...]) -> dict[str, ProbeResult]:
        self.asked += [probe.key for probe in probes]
        return {probe.key: self._answer(probe) for probe in probes}

    def _answer(self, probe: Probe) -> ProbeResult:
        match probe:
            case HookProbe():
                closed = probe.webhook.hook_type is HookType.ROLLBACK
                return self.answers.get(probe.key, Refused("403 Forbidden") if closed else Passed())
            case MetricProbe():
                return self.answers.get(probe.key, Value(0.0))
            case HistoryProbe():
                return self.answers.get(probe.key, History(()))
            case PodsProbe():
                return self.answers.get(probe.key, Pods(()))
            case CounterProbe() | TrafficProbe():
                return self.answers.get(probe.key, Samples(()))

    def tick(self, seconds: float = 0.0, *, crash: Callable[[int], bool] = never) -> Decision:
        """One whole tick, ``seconds`` later; ``crash(n)`` says whether the controller dies before its n-th request.

        What the API server refuses ends the tick, and is reported as the shell does it.
        """
        self.now += timedelta(seconds=seconds)
        self.refusal = ""
        decision = self.decide()
        message = decision.state.message
        if message not in ("", self.state.message) and decision.state.reason not in NORMAL:
            warned = [event for event in decision.events if event.type == "Warning"]
            assert warned, f"a message in the status without a warning: {message}"
        try:
            done = self._act(decision.actions, 0, crash)
            if crash(done):
                raise CrashError
            self.write_status(decision.state)
            self.events += [event.message for event in decision.events]
            self.alerts += decision.alerts
            self.called += [f"{hook.key}/{hook.phase}" for hook in decision.hooks]
            self._act(decision.upkeep, done + 1, crash)
        except RefusedError as error:
            self.refusal = str(error)
            stalled = self.state.stalled_since or self.now
            self.write_status(replace(self.state, message=self.refusal, stalled_since=stalled))
        return decision

    def _act(self, actions: tuple[Action, ...], done: int, crash: Callable[[int], bool]) -> int:
        for action in actions:
            for write in plan_writes(action, self.facts()):
                if crash(done):
                    raise CrashError
                self.apply(write)
                done += 1
        return done

    def apply(self, write: Write) -> None:
        """Do what the core asks for; it may write what the Canary owns or has adopted, and scale the target."""
        if isinstance(write, Put) and write.manifest["kind"] in self.refused:
            raise RefusedError(f"{write.manifest['kind']} {write.manifest['metadata']['name']}: exceeded quota")
        if isinstance(write, Put) and write.dry_run:
            return
        self.writes.append(write)
        match write:
            case Put(manifest):
                self._put(manifest)
            case Delete(kind, _, name, version):
                live = self.objects.pop((kind, name))
                assert is_owned(self.parsed, live), f"{kind} {name} is not the Canary's"
                assert live["metadata"]["resourceVersion"] == version, "a stale delete"
            case Patch(kind, _, name, patch):
                spec = self.parsed.spec
                scaler = spec.autoscaler_ref.name if spec.autoscaler_ref else ""
                own = [place.format(target=spec.target_ref.name, scaler=scaler) for place in MAY_PATCH[kind]]
                assert [name + place for place in places(patch)] == own
                self.edit(kind, name, lambda item: merge(item, patch))

    def _put(self, manifest: Manifest) -> None:
        item = clone(dict(manifest))
        assert item["metadata"]["namespace"] == NAMESPACE
        key = item["kind"], item["metadata"]["name"]
        live = self.objects.get(key)
        if live is not None:
            given_back = is_adopted(self.parsed, live)
            assert may_write(self.parsed, live) or given_back, f"{key} is not the Canary's"
            assert item["metadata"].get("resourceVersion") == live["metadata"]["resourceVersion"], "a stale write"
        self.objects[key] = item
        self.edit(*key, lambda _: None)

    def write_status(self, state: State) -> None:
        canary = self.parsed
        self.canary["status"] = status_from_state(state, canary, self.now).to_dict()

    # --- what people and other controllers do ---

    def edit(self, kind: str, name: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Change an object, as the API server would store it; a workload is rolled out as its health says."""
        item = self.objects[kind, name]
        change(item)
        metadata = item["metadata"]
        metadata["resourceVersion"] = str(int(metadata.get("resourceVersion", "0")) + 1)
        metadata["generation"] = metadata.get("generation", 0) + 1
        if kind == "DaemonSet":
            metadata.setdefault("annotations", {})[GENERATION] = str(metadata["generation"])
        if kind in ("Deployment", "DaemonSet"):
            self._roll_out(item)

    def roll_out(self, name: str, health: Health | None = None) -> None:
        """The controller of the workload has done what it can; from now on pods do as ``health`` says."""
        if health is not None:
            self.health[name] = health
        if (self.kind, name) in self.objects:
            self._roll_out(self.objects[self.kind, name])

    def _roll_out(self, item: dict[str, Any]) -> None:
        name, generation, replicas = item["metadata"]["name"], item["metadata"].get("generation", 0), replicas_of(item)
        made = {"waiting": waiting_status, "down": down_status, "expired": expired_status}
        status = made.get(self.health.get(name, "ready") if replicas else "ready", ready_status)(replicas, generation)
        item["status"] = status if item["kind"] == "Deployment" else daemon_status(status)

    def set_image(self, image: str, name: str = "backend") -> None:
        """The user pushes a new revision."""

        def change(item: dict[str, Any]) -> None:
            item["spec"]["template"]["spec"]["containers"][0]["image"] = image

        self.edit(self.kind, name, change)

    def scale(self, replicas: int, name: str = "backend") -> None:
        """Somebody scales a workload by hand; a DaemonSet has pods or none."""
        rests = {"spec": {"template": {"spec": {"nodeSelector": {REST: None if replicas else "true"}}}}}
        patch = {"spec": {"replicas": replicas}} if self.kind == "Deployment" else rests
        self.edit(self.kind, name, lambda item: merge(item, patch))

    def set_config(self, data: Mapping[str, str], name: str = "backend-config", kind: str = "ConfigMap") -> None:
        """The user edits a ConfigMap or Secret."""
        self.edit(kind, name, lambda item: item.update(data=dict(data)))

    def edit_analysis(self, **changes: Any) -> None:
        """The user edits ``spec.analysis``; None removes a field."""
        self.canary["metadata"]["generation"] += 1
        analysis = {**self.canary["spec"]["analysis"], **changes}
        self.canary["spec"]["analysis"] = {key: value for key, value in analysis.items() if value is not None}

    def edit_canary(self, **changes: Any) -> None:
        """The user edits ``spec``; None removes a field."""
        self.canary["metadata"]["generation"] += 1
        spec = {**self.canary["spec"], **changes}
        self.canary["spec"] = {key: value for key, value in spec.items() if value is not None}

    def annotate(self, action: str) -> None:
        """The user asks for an action."""
        self.canary["metadata"].setdefault("annotations", {})[ACTION_ANNOTATION] = action
        self._parsed = None

    def ask(self, verb: str, *, revision: str = "", by: str = "alice") -> None:
        """The user asks for an action on the revision that the target has, as in ``weight 20``."""
        last = self.state.answered
        nonce = last.nonce + 1 if last else 1
        self.annotate(f"{verb} revision={revision or revision_facts(self.facts())[0]} nonce={nonce} by={by}")

    def delete(self, *, revert: bool = True) -> None:
        """The user deletes the Canary; the finalizer keeps it."""
        self.edit_canary(revertOnDeletion=revert)
        self.canary["metadata"]["deletionTimestamp"] = self.now.isoformat().replace("+00:00", "Z")

    def set_weights(self, primary: int, canary: int) -> None:
        """Somebody edits the VirtualService by hand."""

        def change(item: dict[str, Any]) -> None:
            for destination, weight in zip(by_weight(item)["route"], (primary, canary), strict=True):
                destination["weight"] = weight

        self.edit("VirtualService", self.parsed.names.virtual_service, change)

    # --- what a test looks at ---

    @property
    def phase(self) -> Phase:
        return self.state.phase

    def weights(self, name: str = "") -> tuple[int, int]:
        """Primary's and canary's weight as the VirtualService has them."""
        primary, canary = by_weight(self.objects["VirtualService", name or self.parsed.names.virtual_service])["route"]
        return primary["weight"], canary["weight"]

    def image(self, name: str) -> str:
        return str(self.objects[self.kind, name]["spec"]["template"]["spec"]["containers"][0]["image"])

    def replicas(self, name: str) -> int:
        return replicas_of(self.objects[self.kind, name])


def initialized(canary: Mapping[str, Any] | None = None, *objects: Mapping[str, Any]) -> Cluster:
    """A cluster whose Canary has its primary, with nothing going on and nothing noted yet."""
    cluster = Cluster.of(canary or canary_manifest(), *(objects or (make_deployment(),)))
    settled(cluster)
    settled(cluster, cluster.parsed.spec.analysis.tick_seconds())
    assert (cluster.phase, cluster.state.scale_down) == (Phase.INITIALIZED, False), cluster.state
    forget(cluster)
    return cluster


def progressing(weight: int, canary: Mapping[str, Any] | None = None, *objects: Mapping[str, Any]) -> Cluster:
    """A cluster in the middle of a rollout of ``podinfo:2``, its canary at ``weight``, nothing noted yet."""
    cluster = initialized(canary, *objects)
    cluster.set_image("podinfo:2")
    for _ in range(40):
        if cluster.phase is Phase.PROGRESSING and cluster.state.routes.canary_weight == weight and weight:
            break
        cluster.tick(10)
        if not weight:
            break
    assert cluster.phase is Phase.PROGRESSING, cluster.state
    forget(cluster)
    return cluster


def forget(cluster: Cluster) -> None:
    """Note from here on."""
    cluster.writes, cluster.events, cluster.alerts, cluster.asked, cluster.called = [], [], [], [], []


def settled(cluster: Cluster, seconds: float = 0.0, *, most: int = 12) -> Cluster:
    """Tick ``seconds`` from now, and again as the watches would have it, until the state stands still."""
    cluster.now += timedelta(seconds=seconds)
    for _ in range(most):
        before, writes = cluster.state, len(cluster.writes)
        cluster.tick()
        if (cluster.state, len(cluster.writes)) == (before, writes):
            return cluster
    raise AssertionError(f"no rest after {most} ticks: {cluster.state}")


def rolled_out(cluster: Cluster, *, ticks: int = 60, seconds: float = 10.0) -> list[tuple[str, int]]:
    """Phase and canary weight after each tick until a rollout ends, each change once."""
    seen: list[tuple[str, int]] = []
    for _ in range(ticks):
        decision = cluster.tick(seconds)
        now = (decision.state.phase.value, decision.state.routes.canary_weight)
        if not seen or seen[-1] != now:
            seen.append(now)
        if decision.state.phase in END_PHASES and decision.requeue_after is None:
            break
    return seen


def with_state(cluster: Cluster, **changes: Any) -> Cluster:
    """The cluster with parts of the remembered state replaced."""
    cluster.write_status(replace(cluster.state, **changes))
    return cluster
