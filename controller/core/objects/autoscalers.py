"""The primary's autoscaler, a copy of the target's: an HPA or KEDA's ScaledObject (flagger/pkg/canary, v1.44).

A ScaledObject scales whatever has no pods back to its minimum, so the target's is paused while that rests at zero.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from controller.api.names import primary_name
from controller.api.references import HPA, SCALED_OBJECT, AutoscalerRef
from controller.core.decision import Patch
from controller.core.model import Facts, Manifest
from controller.core.objects.kinds import as_workload
from controller.core.objects.manifests import build_object, copied_metadata

PAUSED = "autoscaling.keda.sh/paused-replicas"
_PAUSES = "autoscaling.keda.sh/paused"
_COPIED: Mapping[str, tuple[str, ...]] = {
    HPA: ("minReplicas", "maxReplicas", "metrics", "behavior"),
    SCALED_OBJECT: (
        "pollingInterval",
        "cooldownPeriod",
        "initialCooldownPeriod",
        "idleReplicaCount",
        "minReplicaCount",
        "maxReplicaCount",
        "advanced",
        "fallback",
    ),
}
_LEAST: Mapping[str, int] = {HPA: 1, SCALED_OBJECT: 0}
_LIMITS: Mapping[str, tuple[str, str]] = {
    HPA: ("minReplicas", "maxReplicas"),
    SCALED_OBJECT: ("minReplicaCount", "maxReplicaCount"),
}


def build_autoscaler(facts: Facts, floor: int = 0) -> dict[str, Any]:
    """The primary's autoscaler as a copy of the target's, with the limits and queries of ``autoscalerRef``.

    ``floor`` is a number of replicas below which it does not scale.
    """
    canary, source, reference = facts.canary, facts.target_autoscaler, facts.canary.spec.autoscaler_ref
    assert source is not None and reference is not None  # noqa: S101, PT018  # decide has looked
    name = primary_name(reference.name)
    spec = {key: source["spec"][key] for key in _COPIED[reference.kind] if key in source["spec"]}
    spec |= limits(facts, floor)
    spec["scaleTargetRef"] = {**source["spec"]["scaleTargetRef"], "name": canary.names.primary}
    if reference.kind == SCALED_OBJECT:
        spec |= _scaled_object(facts, reference, source)
    given = copied_metadata(source, facts.options.label_prefixes)
    kept = {key: text for key, text in given.annotations.items() if not key.startswith(_PAUSES)}
    return build_object(
        canary,
        facts.generated.get((reference.kind, name)),
        api_version=source["apiVersion"],
        kind=reference.kind,
        name=name,
        given=replace(given, annotations=kept),
        spec=spec,
    )


def limits(facts: Facts, floor: int = 0) -> dict[str, int]:
    """What the Canary sets for the primary, in the words of the kind, and the minimum: at least ``floor``."""
    source, reference = facts.target_autoscaler, facts.canary.spec.autoscaler_ref
    assert source is not None and reference is not None  # noqa: S101, PT018  # decide has looked
    own, (low, high) = reference.primary_scaler_replicas, _LIMITS[reference.kind]
    least = (own.min_replicas if own else None) or int(source["spec"].get(low, _LEAST[reference.kind]))
    most = (own.max_replicas if own else None) or int(source["spec"].get(high, floor))
    return {low: max(least, min(floor, most))} | ({high: own.max_replicas} if own and own.max_replicas else {})


def replicas_from_zero(facts: Facts) -> int:
    """How many replicas the target starts a rollout with: its autoscaler's minimum, else as many as the primary has.

    Flagger starts with 1 where there is no HPA, and so promotes a primary of 1.
    """
    if facts.target_autoscaler is not None:
        low, _ = _LIMITS[facts.target_autoscaler["kind"]]
        return max(1, int(facts.target_autoscaler["spec"].get(low, 1)))
    return max(1, as_workload(facts.primary).replicas) if facts.primary else 1


def _scaled_object(facts: Facts, reference: AutoscalerRef, source: Manifest) -> dict[str, Any]:
    triggers = [_trigger(facts, reference, trigger) for trigger in source["spec"].get("triggers") or ()]
    advanced = source["spec"].get("advanced") or {}
    config = advanced.get("horizontalPodAutoscalerConfig") or {}
    if not config.get("name"):
        return {"triggers": triggers}
    named = {**config, "name": primary_name(config["name"])}
    return {"triggers": triggers, "advanced": {**advanced, "horizontalPodAutoscalerConfig": named}}


def _trigger(facts: Facts, reference: AutoscalerRef, trigger: Manifest) -> Manifest:
    """A trigger for the primary: by the query that the Canary gives for it, or else about the primary's name.

    The second is a guess, as in Flagger, so that ``primaryScalerQueries`` turns it off for all triggers.
    """
    metadata, target = trigger.get("metadata") or {}, facts.canary.names.target
    if "query" not in metadata:
        return trigger
    query = str(metadata["query"])
    if reference.primary_scaler_queries is None:
        name = rf"(?<![A-Za-z0-9]){re.escape(target)}(-canary|-primary)?(?![A-Za-z0-9])"
        query = re.sub(name, facts.canary.names.primary, query)
    else:
        query = reference.primary_scaler_queries.get(trigger.get("name", ""), query)
    return {**trigger, "metadata": {**metadata, "query": query}}


def pause(facts: Facts, *, paused: bool) -> Iterator[Patch]:
    """The write after which KEDA leaves the target at zero, or scales it again; an HPA rests at zero by itself."""
    live = facts.target_autoscaler
    if live is None or live["kind"] != SCALED_OBJECT:
        return
    metadata = live["metadata"]
    is_paused = (metadata.get("annotations") or {}).get(PAUSED) == "0"
    if paused != is_paused:
        patch = {"metadata": {"annotations": {PAUSED: "0" if paused else None}}}
        done = "paused at 0" if paused else "not paused any more"
        yield Patch(SCALED_OBJECT, metadata["namespace"], metadata["name"], patch, done)
