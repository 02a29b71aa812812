"""``canary watch``: what ``canary get`` shows, refreshed."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.live import Live

from controller.cli.errors import reports_errors
from controller.cli.get import find_rows, with_cluster
from controller.cli.options import AllNamespacesOption, CanaryArgument, ContextOption, NamespaceOption, one_namespace
from controller.cli.table import draw_canaries
from controller.shell.kubernetes.client import Kube


@reports_errors
def watch(
    name: CanaryArgument = "",
    namespace: NamespaceOption = "",
    all_namespaces: AllNamespacesOption = False,
    context: ContextOption = "",
    every: Annotated[float, typer.Option(min=0.5, metavar="SECONDS", help="Refresh interval.")] = 2.0,
) -> None:
    """Show the Canaries of a cluster and refresh until interrupted."""
    wanted = one_namespace(namespace, all_namespaces)

    async def follow(kube: Kube) -> None:
        with Live(auto_refresh=False) as live:
            while True:
                live.update(draw_canaries(await find_rows(kube, name, wanted)), refresh=True)
                await asyncio.sleep(every)

    try:
        asyncio.run(with_cluster(context, follow))
    except KeyboardInterrupt:
        return
