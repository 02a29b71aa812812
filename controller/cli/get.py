"""``canary get`` and ``canary watch``: the Canaries of a cluster, with the evidence in their status."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.live import Live

from controller.cli.errors import CommandError, tells_errors
from controller.cli.table import CanaryRow, draw_canaries, read_rows
from controller.core.model import Manifest
from controller.shell.kubernetes.access import find_access
from controller.shell.kubernetes.client import Kube, KubeClient
from controller.shell.kubernetes.errors import Rejected
from controller.shell.kubernetes.kinds import CANARY, DEPLOYMENT


@tells_errors
def get(name: str, namespace: str, context: str, output: str) -> None:
    """Print the Canaries, or the one called ``name``."""
    rows = asyncio.run(_with_cluster(context, lambda kube: find_rows(kube, name, namespace)))
    print_rows(rows, output)


@tells_errors
def watch(name: str, namespace: str, context: str, every: float) -> None:
    """Show the Canaries, refreshed every ``every`` seconds, until interrupted."""

    async def follow(kube: Kube) -> None:
        with Live(auto_refresh=False) as live:
            while True:
                live.update(draw_canaries(await find_rows(kube, name, namespace)), refresh=True)
                await asyncio.sleep(every)

    try:
        asyncio.run(_with_cluster(context, follow))
    except KeyboardInterrupt:
        return


async def _with_cluster(context: str, ask: Callable[[Kube], Any]) -> Any:
    access = find_access(context=context)
    async with access.open_session() as session:
        return await ask(KubeClient(session, access.server, lambda _verb, _kind: None))


async def find_rows(kube: Kube, name: str = "", namespace: str = "") -> tuple[CanaryRow, ...]:
    """The Canaries of one namespace, or of all, by namespace and name.

    Raises:
        CommandError: there is none called ``name``, or listing all namespaces is not allowed.
        ClusterError: the API does not answer.
    """
    try:
        listing = await kube.list(CANARY, namespace)
    except Rejected as error:
        hint = "" if namespace else "; use -n NAMESPACE to list one namespace only"
        raise CommandError(f"{error}{hint}") from None
    found = [manifest for manifest in listing.items if name in ("", manifest["metadata"]["name"])]
    if name and not found:
        others = ", ".join(row.name for row in read_rows(listing.items)) or "none"
        raise CommandError(f"no Canary {name!r} in {namespace or 'any namespace'}; found: {others}")
    return read_rows(found, await _deployments(kube, namespace) if found else ())


async def _deployments(kube: Kube, namespace: str) -> Sequence[Manifest]:
    """For what the workloads run; none if the user may list Canaries only."""
    try:
        return (await kube.list(DEPLOYMENT, namespace)).items
    except Rejected:
        return ()


def print_rows(rows: Sequence[CanaryRow], output: str) -> None:
    """As a table, or as JSON."""
    if output == "json":
        print(json.dumps([_as_json(row) for row in rows], indent=2))
    else:
        Console().print(draw_canaries(rows))


def _as_json(row: CanaryRow) -> dict[str, Any]:
    return {
        "namespace": row.namespace,
        "name": row.name,
        "phase": row.phase.value,
        "canaryWeight": row.weight,
        "mirrored": row.mirrored,
        "iterations": row.iterations,
        "rounds": row.rounds,
        "failedChecks": row.failed_checks,
        "threshold": row.threshold,
        "primary": row.primary,
        "canary": row.canary,
        "message": row.message,
        "metrics": [
            {
                "name": each.metric,
                "verdict": each.verdict,
                "value": _finite(each.value),
                "ratio": _finite(each.ratio),
                "pValue": _finite(each.p_value),
                "detail": each.detail,
            }
            for each in row.metrics
        ],
    }


def _finite(value: float | None) -> float | None:
    """JSON has no infinity."""
    return value if value is not None and math.isfinite(value) else None
