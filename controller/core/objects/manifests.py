"""What all generated objects have in common: they are the live object with our part replaced.

Building on the live object keeps what others put there (labels, node ports, a cluster IP) and makes "has it changed?"
an equality.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controller.api.canary import Canary
from controller.api.names import GROUP
from controller.api.service import UnmanagedMetadata
from controller.core.model import Manifest
from controller.core.objects.ownership import owner_reference

RECONCILE_DISABLED: Mapping[str, str] = {
    "kustomize.toolkit.fluxcd.io/reconcile": "disabled",
    "helm.toolkit.fluxcd.io/driftDetection": "disabled",
}
"""Flux must not revert what the controller changes (Flagger writes the same)."""

MANAGED_METADATA = f"{GROUP}/managed-metadata"
"""Annotation that lists the keys that came from the user's spec, so that a key taken out of it goes from the object."""

_FLUX = "toolkit.fluxcd.io"


@dataclass(frozen=True, slots=True)
class Metadata:
    """Labels and annotations that an object gets from somebody's spec, and loses when they are taken out of it."""

    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


def build_object(  # one argument a part of the object
    canary: Canary,
    live: Manifest | None,
    *,
    api_version: str,
    kind: str,
    name: str,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    given: Metadata | None = None,
    unmanaged: UnmanagedMetadata | None = None,
    **body: Any,
) -> dict[str, Any]:
    """The live object, or a new one owned by the Canary, with metadata added and ``body`` replaced.

    Args:
        canary: the owner of a new object.
        live: the object as it is.
        api_version: of the object.
        kind: of the object.
        name: of the object; its namespace is the Canary's.
        labels: labels that the controller needs.
        annotations: annotations that the controller needs.
        given: what somebody's spec adds; keys of an earlier spec are removed.
        unmanaged: keys that are neither added nor removed.
        body: the other top-level fields.
    """
    given = given or Metadata()
    metadata: dict[str, Any] = (
        dict(live["metadata"])
        if live is not None
        else {"name": name, "namespace": canary.metadata.namespace, "ownerReferences": [owner_reference(canary)]}
    )
    before = recorded_metadata(metadata)
    record = {key: sorted(keys) for key in ("labels", "annotations") if (keys := getattr(given, key))}
    recorded = {MANAGED_METADATA: canonical_json(record)} if record else {}
    left = unmanaged or UnmanagedMetadata()
    _set(metadata, "labels", before, {**(labels or {}), **given.labels}, left.labels)
    _set(metadata, "annotations", before, {**(annotations or {}), **given.annotations, **recorded}, left.annotations)
    return {**(live or {}), "apiVersion": api_version, "kind": kind, "metadata": metadata, **body}


def _set(
    metadata: dict[str, Any],
    key: str,
    before: Mapping[str, list[str]],
    wanted: Mapping[str, str],
    unmanaged: tuple[str, ...],
) -> None:
    """Replace labels or annotations: what others put there stays, what an earlier spec put there goes."""
    former = {*before.get(key, ()), MANAGED_METADATA}.difference(unmanaged)
    kept = {name: value for name, value in (metadata.get(key) or {}).items() if name not in former or name in wanted}
    added = {name: value for name, value in wanted.items() if name not in unmanaged}
    if kept or added:
        metadata[key] = {**kept, **added}
    elif metadata.get(key):
        del metadata[key]


def recorded_metadata(metadata: Mapping[str, Any]) -> Mapping[str, list[str]]:
    """What ``MANAGED_METADATA`` lists; nothing where somebody broke it."""
    try:
        record = json.loads((metadata.get("annotations") or {}).get(MANAGED_METADATA, "{}"))
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def without_flux(mapping: Mapping[str, str] | None) -> dict[str, str]:
    """Labels or annotations without Flux's own, which would make Flux prune the copy."""
    return {key: value for key, value in (mapping or {}).items() if _FLUX not in key}


def copied_labels(source: Manifest, prefixes: Sequence[str], without: str = "") -> dict[str, str]:
    """The labels that a copy of ``source`` has of it: those with one of ``prefixes``, but for ``without``.

    The prefix ``*`` is that of all labels (Flagger).
    """
    labels = without_flux(source["metadata"].get("labels"))
    every, wanted = "*" in prefixes, tuple(prefixes)
    return {key: text for key, text in labels.items() if key != without and (every or key.startswith(wanted))}


def copied_metadata(source: Manifest, prefixes: Sequence[str], without: str = "") -> Metadata:
    """Labels (`copied_labels`) and annotations that a copy of ``source`` has of it.

    Annotations that tools keep for themselves mean nothing on a copy.
    """
    own = ("deployment.kubernetes.io/", "deprecated.daemonset.", "kubectl.kubernetes.io/", "pulumi.com/")
    annotations = without_flux(source["metadata"].get("annotations"))
    kept = {key: text for key, text in annotations.items() if not key.startswith(own)}
    return Metadata(copied_labels(source, prefixes, without), kept)


def canonical_json(value: Any) -> str:
    """The same text for equal values, whatever the order of their keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
