"""The target, its copy and what goes with them: revision, readiness, the primary, its autoscaler and configs.

Flagger's shapes (flagger/pkg/canary, v1.44); where ours differs the docstring says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from controller.api.canary import Canary
from controller.api.names import primary_name
from controller.core.model import Facts, Manifest
from controller.core.objects.configs import (
    config_digest,
    config_digests,
    copied_configs,
    copied_refs,
    rename_configs,
)
from controller.core.objects.kinds import Workload, as_workload
from controller.core.objects.manifests import build_object, canonical_json, copied_metadata, without_flux
from controller.core.objects.ownership import foreign_problem, may_write
from controller.core.objects.ports import PORTS_ANNOTATION, Port, primary_ports, target_ports
from controller.core.objects.selectors import primary_selector, selector_label, service_selector

REVISION_ANNOTATION = "flagger-id"
"""On the primary's pods. Flagger puts a random id there so that every promotion rolls; ours is the revision, so that a
promotion done twice rolls once, and what the primary runs can be read off it."""

SETTLE_SECONDS = 5
"""Istiod gathers changes for a tenth of a second, and is busy for longer; ten seconds at most (PILOT_DEBOUNCE_MAX)."""

REVISION_LENGTH = 16
UNKNOWN_REVISION = "0" * REVISION_LENGTH
"""Stands for what another controller ran: no target has it, so whatever the target has is new."""


def revision_of(target: Manifest, digests: Mapping[str, str], ports: Sequence[Port] = ()) -> str:
    """What the target would run, as 16 hex digits: its pod template, its ports, the content of its configs.

    Flagger hashes the template alone and compares configs one by one; one value for all shows a revert of any.
    """
    text = canonical_json({"template": as_workload(target).template, "configs": digests, "ports": ports})
    return hashlib.sha256(text.encode()).hexdigest()[:REVISION_LENGTH]


def is_own_revision(revision: str) -> bool:
    """Whether the controller wrote it; Flagger's hash (at most 10 characters) cannot be computed here."""
    return len(revision) == REVISION_LENGTH


def revision_facts(facts: Facts) -> tuple[str, dict[str, str]]:
    """The target's revision and the digests of its configs, by ``configmap/NAME`` or ``secret/NAME``."""
    assert facts.target is not None  # noqa: S101  # decide has looked
    digests = config_digests(facts.target, facts.configs)
    return revision_of(facts.target, digests, target_ports(facts.canary, facts.target)), digests


def primary_revision(primary: Manifest) -> str:
    """The revision that the primary's spec was copied from; empty where somebody else made it."""
    revision = primary["spec"]["template"].get("metadata", {}).get("annotations", {}).get(REVISION_ANNOTATION, "")
    return revision if is_own_revision(revision) else ""


@dataclass(frozen=True, slots=True)
class Readiness:
    """How far a workload's rollout is.

    Attributes:
        detail: what it lacks.
        expired: it will not get there by itself.
        progressed_at: when pods came up last, as far as that is known, where it is not ready.
    """

    ready: bool
    detail: str = ""
    expired: bool = False
    progressed_at: datetime | None = None


def serves(manifest: Manifest | None) -> bool:
    """Whether any of a workload's pods is available."""
    return manifest is not None and as_workload(manifest).counts.available > 0


def readiness_of(
    manifest: Manifest, *, threshold: int, deadline: float, now: datetime, waiting_since: datetime | None = None
) -> Readiness:
    """Whether enough of a workload's pods run its newest template (Flagger's ``isDeploymentReady``).

    Args:
        manifest: the live object.
        threshold: percent of the wanted pods that must be updated and available.
        deadline: seconds for which it may lack its minimum of replicas, or make no progress.
        now: the time of the tick.
        waiting_since: since when it has been waited for, for a kind that does not tell its progress.
    """
    workload, kind = as_workload(manifest), manifest["kind"].lower()
    if not workload.is_observed:
        return Readiness(
            False, f"waiting for rollout to finish: observed {kind} generation less than desired generation"
        )
    conditions = {condition["type"]: condition for condition in workload.status.get("conditions", ())}
    if conditions.get("Progressing", {}).get("reason") == "ProgressDeadlineExceeded":
        return Readiness(False, f'{kind} "{manifest["metadata"]["name"]}" exceeded its progress deadline', expired=True)
    waiting = _lack(workload, threshold)
    if not waiting:
        return Readiness(True)
    if workload.tells_progress:
        expired, progressed_at = _lacks_replicas_since(conditions, deadline, now), _progressed_at(conditions)
    else:
        progressed_at = waiting_since
        expired = waiting_since is not None and (now - waiting_since).total_seconds() > deadline
    return Readiness(False, f"waiting for rollout to finish: {waiting}", expired, progressed_at)


def _lack(workload: Workload, threshold: int) -> str:
    counts, units = workload.counts, workload.units
    needed = -(-counts.wanted * threshold // 100)
    if workload.replicas and not counts.wanted:
        return "no node fits its pods"
    if min(counts.updated, counts.wanted) < needed:
        return f"{counts.updated} out of {counts.wanted} new {units} have been updated"
    if threshold == 100 and counts.total > counts.updated:
        return f"{counts.total - counts.updated} old {units} are pending termination"
    if counts.available < needed:
        return f"{counts.available} of {counts.wanted} (readyThreshold {threshold}%) updated {units} are available"
    return ""


def _progressed_at(conditions: Mapping[str, Manifest]) -> datetime | None:
    moment = conditions.get("Progressing", {}).get("lastUpdateTime")
    return datetime.fromisoformat(moment) if moment else None


def _lacks_replicas_since(conditions: Mapping[str, Manifest], deadline: float, now: datetime) -> bool:
    condition = conditions.get("Available", {})
    if condition.get("status") != "False" or condition.get("reason") != "MinimumReplicasUnavailable":
        return False
    since = datetime.fromisoformat(condition.get("lastUpdateTime") or condition["lastTransitionTime"])
    return (now - since).total_seconds() > deadline


def build_primary(facts: Facts, revision: str) -> dict[str, Any]:
    """The primary as a copy of the target.

    Keys of Flux are dropped.
    """
    canary, target, live = facts.canary, facts.target, facts.primary
    assert target is not None  # noqa: S101  # decide has looked
    label, value = selector_label(target, facts.options.selector_labels)
    primary_value = primary_name(value)
    spec = {key: target["spec"][key] for key in as_workload(target).copied if key in target["spec"]}
    spec |= {"minReadySeconds": _settle_seconds(target["spec"])} | _primary_replicas(facts, target)
    spec["selector"] = (
        live["spec"]["selector"] if live else {"matchLabels": primary_selector(target, facts.options.selector_labels)}
    )
    spec["template"] = _primary_template(facts, label, value, revision)
    return build_object(
        canary,
        live,
        api_version="apps/v1",
        kind=target["kind"],
        name=canary.names.primary,
        labels={label: primary_value},
        annotations={PORTS_ANNOTATION: canonical_json(target_ports(canary, target))},
        given=copied_metadata(target, facts.options.label_prefixes, without=label),
        spec=spec,
    )


def _settle_seconds(spec: Manifest) -> int:
    """``minReadySeconds`` of the primary: an old pod goes once every proxy knows the new one, and can retry there.

    Kubernetes ends it within milliseconds otherwise, and requests to it are lost until istiod has told all proxies.
    """
    deadline = spec.get("progressDeadlineSeconds") or SETTLE_SECONDS + 1  # which the API server wants to be longer
    return max(spec.get("minReadySeconds") or 0, min(SETTLE_SECONDS, deadline - 1))


def _primary_replicas(facts: Facts, target: Manifest) -> dict[str, int]:
    """The target's, at least 1, on creation and, without an autoscaler, on promotion; none where it has no number."""
    wanted, live = as_workload(target), facts.primary if facts.canary.spec.autoscaler_ref is not None else None
    return wanted.sized(max(1, wanted.replicas) if live is None else as_workload(live).replicas)


def _primary_template(facts: Facts, label: str, value: str, revision: str) -> dict[str, Any]:
    """The target's template with the primary's labels and config copies; a primary that exists keeps its selector."""
    assert facts.target is not None  # noqa: S101  # decide has looked
    template = as_workload(facts.target).template
    metadata = template.get("metadata") or {}
    selected = (
        service_selector(facts.primary)
        if facts.primary
        else primary_selector(facts.target, facts.options.selector_labels)
    )
    own = selected.get(label, primary_name(value))
    pod_spec = rename_configs(template["spec"], frozenset(config_digests(facts.target, facts.configs)))
    return {
        **template,
        "metadata": {
            **metadata,
            "labels": {**without_flux(metadata.get("labels")), label: own, **selected},
            "annotations": {**without_flux(metadata.get("annotations")), REVISION_ANNOTATION: revision},
        },
        "spec": _rename_affinity(pod_spec, label, value, own),
    }


def _rename_affinity(pod_spec: dict[str, Any], label: str, value: str, own: str) -> dict[str, Any]:
    """Anti-affinity and topology spread among the target's pods are meant among the primary's pods in the copy.

    Flagger renames the target's name there, which is the label's value as a rule; ours renames the value.
    """
    affinity, spread = pod_spec.get("affinity") or {}, pod_spec.get("topologySpreadConstraints")
    renamed = dict(pod_spec)
    if "podAntiAffinity" in affinity:
        apart = _rename_values(affinity["podAntiAffinity"], label, value, own)
        renamed["affinity"] = {**affinity, "podAntiAffinity": apart}
    if spread:
        renamed["topologySpreadConstraints"] = _rename_values(spread, label, value, own)
    return renamed


def _rename_values(node: Any, label: str, value: str, own: str) -> Any:
    """The target's value of ``label`` becomes the primary's in every label selector below ``node``."""
    if isinstance(node, list):
        return [_rename_values(item, label, value, own) for item in node]
    if not isinstance(node, Mapping):
        return node
    renamed = {key: _rename_values(item, label, value, own) for key, item in node.items()}
    match_labels = renamed.get("matchLabels")
    if isinstance(match_labels, dict) and match_labels.get(label) == value:
        renamed["matchLabels"] = {**match_labels, label: own}
    if renamed.get("key") == label and isinstance(renamed.get("values"), list):
        renamed["values"] = [own if item == value else item for item in renamed["values"]]
    return renamed


def runs_target(facts: Facts) -> bool:
    """Whether a primary that somebody else made, Flagger as a rule, runs what the target would run.

    Its revision cannot be read off it, so pods, config copies and the main port are compared. How its pods are spread
    is left out: Flagger renames other values there.
    """
    assert facts.primary is not None  # noqa: S101  # the caller has looked
    copied = _comparable(build_primary(facts, "")["spec"]["template"])
    return copied == _comparable(as_workload(facts.primary).template) and _same_configs(facts) and _same_port(facts)


def _comparable(template: Manifest) -> dict[str, Any]:
    metadata, spec = template.get("metadata") or {}, template["spec"]
    annotations = {key: text for key, text in (metadata.get("annotations") or {}).items() if key != REVISION_ANNOTATION}
    spread = ("affinity", "topologySpreadConstraints")
    return {
        "labels": metadata.get("labels") or {},
        "annotations": annotations,
        "spec": {key: value for key, value in spec.items() if key not in spread},
    }


def _same_configs(facts: Facts) -> bool:
    return all(
        live is not None and config_digest(source) == config_digest(live) for source, live in copied_configs(facts)
    )


def _same_port(facts: Facts) -> bool:
    promoted, wanted = primary_ports(facts), target_ports(facts.canary, facts.target)
    return all(promoted[0].get(key) == wanted[0].get(key) for key in ("port", "targetPort"))


def generated_names(canary: Canary, target: Manifest | None) -> tuple[tuple[str, str], ...]:
    """``(kind, name)`` of every object that is generated for a Canary, the primary itself left out."""
    return tuple(_generated_names(canary, target))


def foreign_objects(facts: Facts) -> tuple[str, ...]:
    """What is wrong with each object that has a generated name and is not the Canary's."""
    copies = {(live["kind"], live["metadata"]["name"]) for _, live in copied_configs(facts) if live is not None}
    candidates = [
        facts.primary,
        *(live for key, live in facts.generated.items() if key in copies or key[0] not in ("ConfigMap", "Secret")),
    ]
    canary = facts.canary
    return tuple(
        foreign_problem(canary, live) for live in candidates if live is not None and not may_write(canary, live)
    )


def _generated_names(canary: Canary, target: Manifest | None) -> Iterator[tuple[str, str]]:
    yield "Service", canary.names.apex_service
    for service in (canary.names.primary_service, canary.names.canary_service):
        yield "Service", service
        yield "DestinationRule", service
    yield "VirtualService", canary.names.apex_service
    if canary.spec.autoscaler_ref is not None:
        yield canary.spec.autoscaler_ref.kind, primary_name(canary.spec.autoscaler_ref.name)
    for reference in copied_refs(canary, target):
        yield reference.kind, primary_name(reference.name)
