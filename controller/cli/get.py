"""``canary get``: the Canaries of a cluster, with the evidence in their status."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from controller.cli.errors import CommandError, reports_errors
from controller.cli.options import (
    AllNamespacesOption,
    CanaryArgument,
    ContextOption,
    NamespaceOption,
    Output,
    OutputOption,
    one_namespace,
)
from controller.cli.table import draw_canaries
from controller.cli.tables import new_console
from controller.core.model import Manifest
from controller.core.objects.ownership import claims
from controller.shell.kubernetes.client import Kube
from controller.shell.kubernetes.errors import Rejected
from controller.shell.kubernetes.kinds import CANARY, WORKLOADS
from controller.shell.kubernetes.visit import with_cluster
from controller.views.rows import CanaryRow, read_rows
from controller.views.words import finite


@reports_errors
def get(
    name: CanaryArgument = "",
    namespace: NamespaceOption = "",
    all_namespaces: AllNamespacesOption = False,
    context: ContextOption = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """Show the Canaries of a cluster and their evidence."""
    wanted = one_namespace(namespace, all_namespaces)
    rows = asyncio.run(with_cluster(context, lambda kube: find_rows(kube, name, wanted)))
    print_rows(rows, output)


async def find_rows(kube: Kube, name: str = "", namespace: str = "") -> tuple[CanaryRow, ...]:
    """The Canaries of one namespace, or of all, by namespace and name; raises as `find_canaries`."""
    found = await find_canaries(kube, name, namespace)
    return read_rows(found, await _workloads(kube, namespace, found))


async def find_canaries(kube: Kube, name: str = "", namespace: str = "") -> list[Manifest]:
    """The Canaries of one namespace, or of all, as the API serves them.

    Raises:
        CommandError: there is none called ``name``, or the user may not list all namespaces.
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
    return found


async def _workloads(kube: Kube, namespace: str, canaries: Sequence[Manifest]) -> Sequence[Manifest]:
    """For what they run, those of the kinds that ``canaries`` have; none if the user may list Canaries only."""
    used = {kind for each in canaries for kind, _ in claims(each)}
    found: list[Manifest] = []
    for kind in WORKLOADS:
        if kind.name in used:
            with suppress(Rejected):
                found += (await kube.list(kind, namespace)).items
    return found


def print_rows(rows: Sequence[CanaryRow], output: Output) -> None:
    """As a table, or as JSON."""
    if output is Output.JSON:
        print(json.dumps([_as_json(row) for row in rows], indent=2))
    else:
        new_console().print(draw_canaries(rows))


def _as_json(row: CanaryRow) -> dict[str, Any]:
    return {
        "namespace": row.namespace,
        "name": row.name,
        "phase": row.phase.value,
        "canaryWeight": row.weight,
        "observedWeight": row.observed,
        "mirrored": row.mirrored,
        "iterations": row.iterations,
        "rounds": row.rounds,
        "failedChecks": row.failed_checks,
        "threshold": row.threshold,
        "primary": row.primary,
        "canary": row.canary,
        "reason": row.reason,
        "message": row.message,
        "receipt": row.receipt.to_dict() if row.receipt else None,
        "metrics": [
            {
                "name": each.metric,
                "verdict": each.verdict,
                "value": finite(each.value),
                "ratio": finite(each.ratio),
                "pValue": finite(each.p_value),
                "detail": each.detail,
                "dryRun": each.dry_run,
            }
            for each in row.metrics
        ],
    }
