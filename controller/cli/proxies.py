"""``canary proxies``: which pods have the proxy of which revision of Istio. The program asks too, before an upgrade."""

from __future__ import annotations

import asyncio
import json

from rich.console import Console
from rich.table import Table

from controller.cli.errors import CommandError, reports_errors
from controller.cli.options import ContextOption, Output, OutputOption
from controller.shell.kubernetes.errors import Rejected
from controller.shell.mesh import SYSTEM, ask_mesh


@reports_errors
def proxies(context: ContextOption = "", output: OutputOption = Output.TABLE) -> None:
    """Show which pods have the proxy of which revision of Istio."""
    try:
        found = asyncio.run(ask_mesh(context))
    except Rejected as error:
        raise CommandError(f"{error}; it takes the right to list Deployments of {SYSTEM}, and all pods") from None
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
