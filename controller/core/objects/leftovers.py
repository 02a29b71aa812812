"""What a Canary made or adopted and does not need any more, after a change of its spec or of the target's configs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from controller.core.decision import Delete, Put, Write
from controller.core.model import Facts, Manifest
from controller.core.objects.configs import config_refs
from controller.core.objects.kinds import WORKLOADS
from controller.core.objects.manifests import MANAGED_METADATA, RECONCILE_DISABLED, recorded_metadata
from controller.core.objects.ownership import (
    ADOPTABLE,
    ADOPTED_BY,
    adopter_of,
    controller_of,
    is_adopted,
    is_owned,
    may_write,
)
from controller.core.objects.ports import ADOPTED_PORTS
from controller.core.objects.routing import LAST_APPLIED
from controller.core.objects.selectors import service_selector
from controller.core.objects.services import ORIGINAL_CONFIGURATION
from controller.core.objects.workload import generated_names

SETTLE_SECONDS = 10.0
"""How long the objects that replace others exist before those go: the data plane has to know them."""

_ORDER = (
    "HorizontalPodAutoscaler",
    "ScaledObject",
    "VirtualService",
    "DestinationRule",
    "Service",
    *WORKLOADS,
    "ConfigMap",
    "Secret",
)
"""Kinds that are removed, in this order: routes before the Services that they lead to, those before the pods."""

_SERVING = ("VirtualService", "DestinationRule", "Service", *WORKLOADS)


def leftovers(facts: Facts) -> tuple[Manifest, ...]:
    """The objects that the Canary owns or has adopted and does not generate, in the order in which they go.

    Copies of ConfigMaps and Secrets that the primary's pods use are not among them.
    """
    wanted = {*generated_names(facts.canary, facts.target), facts.canary.primary_key}
    if facts.primary is not None:
        wanted |= {(reference.kind, reference.name) for reference in config_refs(facts.primary)}
    found = [item for key, item in facts.owned.items() if key not in wanted and item["kind"] in _ORDER]
    return tuple(sorted(found, key=lambda item: (_ORDER.index(item["kind"]), item["metadata"]["name"])))


def removals(facts: Facts) -> Iterator[Write]:
    """The writes that remove leftovers, once all that replaces them is there and, for traffic, has been for a while."""
    age = _replacement_age(facts)
    for live in leftovers(facts):
        metadata = live["metadata"]
        if age is None or (live["kind"] in _SERVING and age < SETTLE_SECONDS):
            continue
        if is_owned(facts.canary, live):
            yield Delete(live["kind"], facts.canary.namespace, metadata["name"], metadata["resourceVersion"])
        elif is_adopted(facts.canary, live) and (original := given_back(live, facts.target)) is not None:
            yield Put(original)


def restorations(facts: Facts) -> Iterator[Put]:
    """The writes that give back what the Canary has adopted, or Flagger for it."""
    for kind in ADOPTABLE:
        live = facts.generated.get((kind, facts.canary.names.apex_service))
        if live is not None and controller_of(live) is None:
            original = _before_flagger(facts, live) if not adopter_of(live) else given_back(live, facts.target)
            if original is not None and original != live and adopter_of(live) in ("", facts.canary.name):
                yield Put(original)


def _before_flagger(facts: Facts, live: Manifest) -> Manifest | None:
    """Flagger does not mark what it adopts, but leads it to the primary; a Service's own selector it does not keep."""
    spec = live["spec"]
    if live["kind"] == "Service":
        primary, target = facts.primary, facts.target
        led = primary is not None and (spec.get("selector") or {}).items() <= service_selector(primary).items()
        return {**live, "spec": {**spec, "selector": service_selector(target)}} if led and target is not None else None
    routes = [route for kind in ("http", "tcp") for route in spec.get(kind) or ()]
    hosts = {share["destination"]["host"] for route in routes for share in route.get("route") or ()}
    return given_back(live) if facts.canary.names.primary_service in hosts else None


def _replacement_age(facts: Facts) -> float | None:
    """Seconds for which everything that the Canary generates has existed; None while something is missing."""
    configs = ("ConfigMap", "Secret")
    names = [key for key in generated_names(facts.canary, facts.target) if key[0] not in configs]
    ages = [_age(facts, live) for live in (facts.primary, *(facts.generated.get(key) for key in names))]
    return None if None in ages else min(age for age in ages if age is not None)


def _age(facts: Facts, live: Manifest | None) -> float | None:
    if live is None or not may_write(facts.canary, live):
        return None
    created = live["metadata"].get("creationTimestamp")
    return (facts.now - datetime.fromisoformat(created)).total_seconds() if created else SETTLE_SECONDS


def given_back(live: Manifest, target: Manifest | None = None) -> Manifest | None:
    """An adopted object as it was before; None where that is not known, and it is left as it is.

    ``target`` says what a Service selected that Flagger had adopted before.
    """
    annotations: Mapping[str, str] = live["metadata"].get("annotations") or {}
    original = _original(annotations)
    if original is None:
        return None
    record = recorded_metadata(live["metadata"])
    ours = {
        *RECONCILE_DISABLED,
        ADOPTED_BY,
        ADOPTED_PORTS,
        ORIGINAL_CONFIGURATION,
        MANAGED_METADATA,
        *record.get("annotations", ()),
    }
    metadata = {
        **live["metadata"],
        "annotations": {key: text for key, text in annotations.items() if key not in ours},
        "labels": {
            key: text
            for key, text in (live["metadata"].get("labels") or {}).items()
            if key not in record.get("labels", ())
        },
    }
    spec = original if live["kind"] == "VirtualService" else _service_spec(live, original, target)
    return {**live, "metadata": metadata, "spec": spec}


def _original(annotations: Mapping[str, str]) -> dict[str, Any] | None:
    """The spec that was there before: as the controller kept it, or as kubectl did."""
    try:
        if ORIGINAL_CONFIGURATION in annotations:
            spec = json.loads(annotations[ORIGINAL_CONFIGURATION])
        else:
            spec = json.loads(annotations[LAST_APPLIED])["spec"]
    except (KeyError, TypeError, ValueError):
        return None
    return spec if isinstance(spec, dict) else None


def _service_spec(live: Manifest, original: Mapping[str, Any], target: Manifest | None) -> dict[str, Any]:
    """A Service's spec with its own selector and ports again; ports that somebody added meanwhile stay."""
    ours = (live["metadata"].get("annotations") or {}).get(ADOPTED_PORTS, "").split(",")
    ports = list(original.get("ports") or ())
    numbers = {(port["port"], port.get("protocol", "TCP")) for port in ports}
    ports += [
        port
        for port in live["spec"].get("ports") or ()
        if f"{port['port']}/{port.get('protocol', 'TCP')}" not in ours
        and (port["port"], port.get("protocol", "TCP")) not in numbers
    ]
    selector = original.get("selector") or {}
    if target is not None and selector == live["spec"].get("selector"):  # it was adopted by Flagger
        selector = service_selector(target)
    return {**live["spec"], "ports": ports, "selector": selector}
