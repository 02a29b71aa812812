"""Whose object is it? The controller writes what its Canary owns, and nothing else.

============================  =====================================================================================
the Canary is its controller  ours: written, and removed when it is not generated any more
apex Service, VirtualService  may be adopted where they have no controller: annotated, and given back in the end
anything else                 refused by name; it is somebody's, whatever it is called
============================  =====================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from controller.api.canary import Canary
from controller.api.names import API_VERSION, CANARY_KIND, GROUP, Names, primary_name
from controller.core.model import Manifest, Rival

ADOPTED_BY = f"{GROUP}/adopted-by"
"""Annotation with the name of the Canary that adopted a Service or VirtualService."""

ADOPTABLE = ("Service", "VirtualService")
"""Kinds that may be adopted under the name that clients call."""


def owner_reference(canary: Canary) -> dict[str, Any]:
    """The reference that makes the Canary the controller of an object."""
    return {
        "apiVersion": API_VERSION,
        "kind": CANARY_KIND,
        "name": canary.metadata.name,
        "uid": canary.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller_of(live: Manifest) -> Mapping[str, Any] | None:
    """The owner reference of the object's controller."""
    owners = live["metadata"].get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller")), None)


def is_owned(canary: Canary, live: Manifest) -> bool:
    """Whether ``live`` was made for this Canary."""
    controller = controller_of(live)
    return controller is not None and controller.get("uid") == canary.metadata.uid


def adopter_of(live: Manifest) -> str:
    """Name of the Canary that adopted ``live``; empty where none did."""
    return str((live["metadata"].get("annotations") or {}).get(ADOPTED_BY, ""))


def is_adopted(canary: Canary, live: Manifest) -> bool:
    """Whether ``live`` was there before the Canary, which uses it."""
    return controller_of(live) is None and adopter_of(live) == canary.name


def owner_of(live: Manifest) -> str:
    """Which Canary has an object: the uid of its controller, or ``NAMESPACE/NAME`` of its adopter; empty where none."""
    controller = controller_of(live)
    if controller is not None:
        return str(controller.get("uid", "")) if controller.get("kind") == CANARY_KIND else ""
    adopter = adopter_of(live)
    return f"{live['metadata'].get('namespace', '')}/{adopter}" if adopter else ""


def is_adoptable(canary: Canary, live: Manifest) -> bool:
    """Whether ``live`` has the name that clients call, selects pods or routes, and has no other controller."""
    kind, name = live["kind"], live["metadata"]["name"]
    external = (live.get("spec") or {}).get("type") == "ExternalName"
    if kind not in ADOPTABLE or name != canary.names.apex_service or external:
        return False
    return controller_of(live) is None and adopter_of(live) in ("", canary.name)


def newly_adopted(canary: Canary, generated: Iterable[Manifest]) -> list[Manifest]:
    """The objects that the Canary adopts with its next write."""
    return [live for live in generated if not adopter_of(live) and is_adoptable(canary, live)]


def may_write(canary: Canary, live: Manifest | None) -> bool:
    """Whether the Canary may create or replace the object."""
    return live is None or is_owned(canary, live) or is_adoptable(canary, live)


def foreign_problem(canary: Canary, live: Manifest) -> str:
    """What is wrong with an object that has a generated name and is not the Canary's, and what to do."""
    kind, name = live["kind"], live["metadata"]["name"]
    return f"{kind} {name}.{canary.namespace} exists and {_whose(canary, live)}; {_way_out(canary, live)}"


def _whose(canary: Canary, live: Manifest) -> str:
    controller = controller_of(live)
    if controller is None:
        adopter = adopter_of(live)
        return f"is adopted by Canary {adopter}" if adopter else "is not managed by this Canary"
    if controller.get("kind") == CANARY_KIND and controller.get("name") == canary.name:
        return "belongs to an earlier Canary of this name, with which it is being deleted"
    return f"belongs to {controller.get('kind')} {controller.get('name')}"


def _way_out(canary: Canary, live: Manifest) -> str:
    kind, name, controller = live["kind"], live["metadata"]["name"], controller_of(live) or {}
    if kind in ("ConfigMap", "Secret"):
        source = name.removesuffix("-primary")
        shared = controller.get("kind") == CANARY_KIND and controller.get("name") != canary.name
        change = f"give each target a {kind} of its own" if shared else "rename or delete it"
        return (
            f"{change}, or annotate {kind} {source} with {GROUP}/config-tracking: disabled "
            "so that the primary uses it without a copy"
        )
    if kind in ("Service", "DestinationRule", "VirtualService"):
        return f"rename or delete it, or set spec.service.name to another name than {canary.names.service}"
    return f"rename or delete it; the controller needs the name for the primary of {canary.names.target}"


def claims(manifest: Manifest) -> Mapping[tuple[str, str], str]:
    """``(kind, name)`` of what a Canary uses or generates, and the field that says so; whatever its spec is like."""
    target, service, autoscaler = base_names(manifest)
    names, spec = Names(target=target, service=service or target), manifest.get("spec") or {}
    kinds = _kind(spec.get("targetRef"), "Deployment"), _kind(spec.get("autoscalerRef"), "HorizontalPodAutoscaler")
    return dict(_claims(names, *kinds, autoscaler)) if target else {}


def base_names(manifest: Manifest) -> tuple[str, str, str]:
    """The names that the others are made of: of the target, the service and the autoscaler; empty where not given."""
    spec = manifest.get("spec") or {}
    return _name(spec.get("targetRef")), _name(spec.get("service")), _name(spec.get("autoscalerRef"))


def _claims(names: Names, kind: str, scaler_kind: str, autoscaler: str) -> Iterator[tuple[tuple[str, str], str]]:
    for workload in (names.target, names.primary):
        yield (kind, workload), "spec.targetRef"
    for service in (names.apex_service, names.primary_service, names.canary_service):
        yield ("Service", service), "spec.service.name"
    if autoscaler:
        for scaler in (autoscaler, primary_name(autoscaler)):
            yield (scaler_kind, scaler), "spec.autoscalerRef"


def _name(reference: Any) -> str:
    return str(reference.get("name") or "") if isinstance(reference, Mapping) else ""


def _kind(reference: Any, default: str) -> str:
    return str(reference.get("kind") or default) if isinstance(reference, Mapping) else default


def rival_names(manifest: Manifest) -> frozenset[str]:
    """The `base_names` of which another Canary has one, if it claims what this one claims."""
    claimed = (name for _, name in claims(manifest))
    return frozenset(
        base for name in claimed for base in (name, name.removesuffix("-primary"), name.removesuffix("-canary"))
    )


def find_rival(canary: Manifest, others: Iterable[Manifest]) -> Rival | None:
    """Of the Canaries that claim an object which ``canary`` claims too, the oldest that came before it.

    Age is the creation time, then the name: of two rivals the same one always goes on.

    Args:
        canary: as the API serves it.
        others: the Canaries of its namespace, at least those with one of its `rival_names`; it may be one of them.
    """
    mine, age, bases = claims(canary), _age(canary), rival_names(canary)
    alike = [other for other in others if not bases.isdisjoint(base_names(other)) and _age(other) < age]
    for other in sorted(alike, key=_age):
        theirs = claims(other)
        for kind, name in (key for key in mine if key in theirs):
            return Rival(canary=str(other["metadata"]["name"]), kind=kind, name=name, field=mine[kind, name])
    return None


def _age(manifest: Manifest) -> tuple[str, str]:
    metadata = manifest["metadata"]
    return str(metadata.get("creationTimestamp") or ""), str(metadata["name"])
