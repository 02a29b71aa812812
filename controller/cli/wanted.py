"""What a Canary's target asks for now: its revision, computed as the controller does, and its images."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime

from controller.api import Canary
from controller.core.model import Facts, Manifest
from controller.core.objects.configs import config_refs
from controller.core.objects.pods import selector_text
from controller.core.objects.workload import revision_facts
from controller.shell.kubernetes.client import Kube
from controller.shell.kubernetes.errors import ClusterError, NotFound
from controller.shell.kubernetes.kinds import KINDS, POD, WORKLOADS

_WORKLOADS = {kind.name: kind for kind in WORKLOADS}


async def find_wanted(kube: Kube, canary: Canary) -> tuple[str, Mapping[str, str]]:
    """Revision and images, by container, of the target as it is now; nothing where there is no target.

    A pipeline that has just changed the target need not wait for the controller to see that.

    Raises:
        ClusterError: the target, or a ConfigMap or Secret that it uses, cannot be read.
    """
    kind, name = canary.target_key
    try:
        target = await kube.get(_WORKLOADS[kind], canary.namespace, name)
    except (KeyError, NotFound):
        return "", {}
    configs = dict[str, Manifest]()
    for reference in config_refs(target):
        with suppress(NotFound):
            configs[reference.key] = await kube.get(KINDS[reference.kind], canary.namespace, reference.name)
    revision, _ = revision_facts(Facts(datetime.now(UTC), canary, target=target, configs=configs))
    containers = target["spec"]["template"]["spec"]["containers"]
    return revision, {container["name"]: container["image"] for container in containers}


async def find_digests(kube: Kube, canary: Canary) -> Mapping[str, str]:
    """What the images of the primary's pods are, by container, as the nodes resolved them; empty if not known."""
    kind, name = canary.primary_key
    try:
        primary = await kube.get(_WORKLOADS[kind], canary.namespace, name)
        pods = (await kube.list(POD, canary.namespace, selector=selector_text(primary))).items
    except (KeyError, ClusterError):
        return {}
    return {
        status["name"]: status["imageID"]
        for pod in pods
        for status in pod.get("status", {}).get("containerStatuses") or ()
        if status.get("imageID")
    }
