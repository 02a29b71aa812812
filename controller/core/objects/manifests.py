"""What all generated objects have in common: they are the live object with our part replaced.

Building on the live object keeps what others put there (labels, node ports, a cluster IP) and makes "has it changed?"
an equality. What we create belongs to the Canary and goes with it; what was there before is only borrowed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from controller.api.canary import Canary
from controller.api.names import API_VERSION, CANARY_KIND
from controller.core.model import Manifest

RECONCILE_DISABLED: Mapping[str, str] = {
    "kustomize.toolkit.fluxcd.io/reconcile": "disabled",
    "helm.toolkit.fluxcd.io/driftDetection": "disabled",
}
"""Flux must not revert what the controller changes (Flagger writes the same)."""


def owner_reference(canary: Canary) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": CANARY_KIND,
        "name": canary.metadata.name,
        "uid": canary.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def is_owned(canary: Canary, live: Manifest) -> bool:
    """Whether ``live`` was made for this Canary."""
    return any(owner.get("uid") == canary.metadata.uid for owner in live["metadata"].get("ownerReferences", ()))


def build_object(  # one argument a part of the object
    canary: Canary,
    live: Manifest | None,
    *,
    api_version: str,
    kind: str,
    name: str,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    **body: Any,
) -> dict[str, Any]:
    """The live object, or a new one owned by the Canary, with metadata added and ``body`` replaced."""
    metadata: dict[str, Any] = (
        dict(live["metadata"])
        if live is not None
        else {"name": name, "namespace": canary.metadata.namespace, "ownerReferences": [owner_reference(canary)]}
    )
    for key, added in (("labels", labels), ("annotations", annotations)):
        if added:
            metadata[key] = {**metadata.get(key, {}), **added}
    return {**(live or {}), "apiVersion": api_version, "kind": kind, "metadata": metadata, **body}


def canonical_json(value: Any) -> str:
    """The same text for equal values, whatever the order of their keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
