"""``canary watch``: what ``canary get`` shows, refreshed; of one Canary the rollout as a tree."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.live import Live

from controller.api import InvalidObject, parse_canary
from controller.api.history import History
from controller.cli.errors import reports_errors
from controller.cli.get import find_canaries, find_rows
from controller.cli.history import history_of
from controller.cli.options import AllNamespacesOption, CanaryArgument, ContextOption, NamespaceOption, one_namespace
from controller.cli.table import draw_canaries
from controller.cli.tree import Scene, draw_scene
from controller.core.model import Manifest
from controller.core.objects.pods import selector_text
from controller.shell.kubernetes.client import Kube
from controller.shell.kubernetes.errors import NotFound, Rejected
from controller.shell.kubernetes.kinds import EVENT, KINDS, POD
from controller.shell.kubernetes.visit import with_cluster


@reports_errors
def watch(
    name: CanaryArgument = "",
    namespace: NamespaceOption = "",
    all_namespaces: AllNamespacesOption = False,
    context: ContextOption = "",
    every: Annotated[float, typer.Option(min=0.5, metavar="SECONDS", help="Refresh interval.")] = 2.0,
) -> None:
    """Show Canaries, or the rollout of one, until interrupted."""
    wanted = one_namespace(namespace, all_namespaces)

    async def follow(kube: Kube) -> None:
        with Live(auto_refresh=False, vertical_overflow="visible") as live:
            while True:
                live.update(await draw(kube, name, wanted), refresh=True)
                await asyncio.sleep(every)

    try:
        asyncio.run(with_cluster(context, follow))
    except KeyboardInterrupt:
        return


async def draw(kube: Kube, name: str, namespace: str) -> RenderableType:
    """What is to be seen now: a tree where ``name`` is that of one Canary, else blocks."""
    if name:
        found = await find_canaries(kube, name, namespace)
        if len(found) == 1:
            return draw_scene(await read_scene(kube, found[0]))
    return draw_canaries(await find_rows(kube, name, namespace))


async def read_scene(kube: Kube, manifest: Manifest) -> Scene:
    """What belongs to one Canary, as far as the user may read it."""
    namespace, name = str(manifest["metadata"]["namespace"]), str(manifest["metadata"]["name"])
    workloads: list[Manifest] = []
    pods: list[Manifest] = []
    with suppress(InvalidObject):
        canary = parse_canary(manifest)
        for kind, each in (canary.primary_key, canary.target_key):
            with suppress(NotFound, Rejected):
                workload = await kube.get(KINDS[kind], namespace, each)
                workloads.append(workload)
                pods += (await kube.list(POD, namespace, selector=selector_text(workload))).items
    events: tuple[Manifest, ...] = ()
    with suppress(Rejected):
        about = f"involvedObject.kind=Canary,involvedObject.name={name}"
        events = (await kube.list(EVENT, namespace, fields=about)).items
    history: History = ()
    with suppress(Rejected):
        history = await history_of(kube, manifest)
    now = datetime.now(UTC)
    return Scene(manifest=manifest, workloads=workloads, pods=pods, events=events, history=history, now=now)
