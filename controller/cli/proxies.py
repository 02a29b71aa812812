"""``canary proxies``: which pods have the proxy of which revision of Istio. The program asks it before an upgrade."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from controller.cli.errors import CommandError, reports_errors
from controller.cli.options import ContextOption, Output, OutputOption
from controller.core.model import Manifest
from controller.shell.kubernetes.access import find_access
from controller.shell.kubernetes.client import Kube, KubeClient
from controller.shell.kubernetes.errors import Rejected
from controller.shell.kubernetes.kinds import DEPLOYMENT, POD

SYSTEM = "istio-system"
REVISION = "istio.io/rev"
"""Label of an istiod, and annotation of a pod that it has injected; ``default`` where it has no name."""
_VERSION_LABEL = "app.kubernetes.io/version"


@reports_errors
def proxies(context: ContextOption = "", output: OutputOption = Output.TABLE) -> None:
    """Show which pods have the proxy of which revision of Istio."""
    found = asyncio.run(_ask(context))
    if output is Output.JSON:
        print(json.dumps(found))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("REVISION", "ISTIOD", "NAMESPACE", "PODS"):
        table.add_column(heading, justify="right" if heading == "PODS" else "left")
    planes, pods = found["controlPlanes"], found["proxies"]
    for revision in sorted({*planes, *pods}):
        named = [name.partition("/")[0] for name in pods.get(revision, ())]
        for namespace in sorted({*named}) or ["-"]:
            table.add_row(revision, planes.get(revision, "none"), namespace, str(named.count(namespace)))
    Console().print(table)


async def _ask(context: str) -> dict[str, Any]:
    access = find_access(context=context)
    async with access.open_session() as session:
        found = await find_proxies(KubeClient(session, access.server, lambda _verb, _kind: None, "canary-cli"))
        async with session.get(f"{access.server}/version") as answer:
            version = await answer.json()
    return {"kubernetes": str(version["gitVersion"]).removeprefix("v"), **found}


async def find_proxies(kube: Kube) -> dict[str, Any]:
    """By revision: the version of its istiod in ``controlPlanes``, the pods as ``namespace/name`` in ``proxies``.

    Pods of Jobs are left out: they come and go by themselves.

    Raises:
        CommandError: the user may not list the pods of all namespaces.
        ClusterError: the API does not answer.
    """
    try:
        planes = await kube.list(DEPLOYMENT, SYSTEM, selector="app=istiod")
        pods = await kube.list(POD, metadata_only=True)
    except Rejected as error:
        raise CommandError(f"{error}; it takes the right to list Deployments of {SYSTEM}, and all pods") from None
    return {"controlPlanes": _versions(planes.items), "proxies": _injected(pods.items)}


def _versions(planes: Iterable[Manifest]) -> Mapping[str, str]:
    return {each["metadata"].get("labels", {}).get(REVISION, "default"): _version(each) for each in planes}


def _version(istiod: Manifest) -> str:
    """The tag of its image; the chart's label where that has none."""
    image = str(istiod["spec"]["template"]["spec"]["containers"][0].get("image", "")).partition("@")[0]
    tag = image.rpartition("/")[2].partition(":")[2]
    return tag or str(istiod["metadata"].get("labels", {}).get(_VERSION_LABEL, "unknown"))


def _injected(pods: Iterable[Manifest]) -> Mapping[str, Sequence[str]]:
    found: dict[str, list[str]] = {}
    for metadata in (pod["metadata"] for pod in pods):
        is_of_job = any(owner.get("kind") == "Job" for owner in metadata.get("ownerReferences", ()))
        if (revision := (metadata.get("annotations") or {}).get(REVISION)) and not is_of_job:
            found.setdefault(revision, []).append(f"{metadata['namespace']}/{metadata['name']}")
    return {revision: sorted(names) for revision, names in sorted(found.items())}
