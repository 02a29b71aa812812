"""Flagger's finalizer: a Canary has it while its deletion has something to revert (``spec.revertOnDeletion``)."""

from __future__ import annotations

from controller.api.names import FINALIZER
from controller.core.model import Manifest
from controller.shell.kubernetes.client import Kube
from controller.shell.kubernetes.kinds import CANARY


def has_finalizer(manifest: Manifest) -> bool:
    """Whether Kubernetes waits for this controller before it deletes the Canary."""
    return FINALIZER in (manifest["metadata"].get("finalizers") or ())


async def set_finalizer(kube: Kube, manifest: Manifest, *, wanted: bool) -> Manifest:
    """The Canary with the finalizer, or without it; those of others stay.

    Raises:
        ClusterError: it cannot be written, or has changed since it was seen.
    """
    if has_finalizer(manifest) == wanted:
        return manifest
    metadata = manifest["metadata"]
    others = [finalizer for finalizer in metadata.get("finalizers") or () if finalizer != FINALIZER]
    patch = {"finalizers": [*others, FINALIZER] if wanted else others, "resourceVersion": metadata["resourceVersion"]}
    return await kube.patch(CANARY, metadata["namespace"], metadata["name"], {"metadata": patch})
