"""``canary get`` and ``canary watch``: how the Canaries of a cluster stand, with the evidence in their status."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from controller.api import Canary, CanaryStatus, InvalidObject, parse_canary
from controller.cli import words
from controller.cli.errors import CommandError, tells_errors
from controller.core.analysis.comparison import Comparison
from controller.core.evidence.question import EvidenceError
from controller.core.evidence.sequential import Verdict
from controller.core.model import Manifest
from controller.shell.kubernetes.access import find_access
from controller.shell.kubernetes.client import Kube, KubeClient
from controller.shell.kubernetes.errors import Rejected
from controller.shell.kubernetes.kinds import CANARY

_GOOD = {"Succeeded", "Initialized"}
_COLUMNS = ("NAMESPACE", "NAME", "STATUS", "WEIGHT", "FAILED", "METRIC", "VALUE", "RATIO", "P", "VERDICT")
_NUMBERS = {"WEIGHT", "FAILED", "VALUE", "RATIO", "P"}


@dataclass(frozen=True, slots=True)
class Reading:
    """What one metric said at last.

    Attributes:
        metric: its name.
        verdict: passed or failed of a threshold; FAIL, PASS or INCONCLUSIVE of a comparison.
        value: the measured value of a threshold; None for a comparison, or where there was none.
        ratio: how many times the primary's bad rate the canary's was; None for a threshold, or without bad requests.
        p_value: of a comparison: of "no worse than the primary", valid at any look.
        detail: the same in words.
    """

    metric: str
    verdict: str
    detail: str
    value: float | None = None
    ratio: float | None = None
    p_value: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One Canary.

    Attributes:
        threshold: failed checks at which it is rolled back; None where the spec cannot be read.
        message: what holds it up, or what is wrong with it.
    """

    namespace: str
    name: str
    phase: str
    canary_weight: int
    mirrored: bool
    failed_checks: int
    threshold: int | None
    readings: tuple[Reading, ...]
    message: str


@tells_errors
def get(name: str, namespace: str, context: str, output: str) -> None:
    """Print the Canaries, or the one called ``name``."""
    rows = asyncio.run(_with_cluster(context, lambda kube: find_rows(kube, name, namespace)))
    print_rows(rows, output)


@tells_errors
def watch(name: str, namespace: str, context: str, every: float) -> None:
    """Show the Canaries, anew every ``every`` seconds, until interrupted."""

    async def follow(kube: Kube) -> None:
        with Live(auto_refresh=False) as live:
            while True:
                live.update(_shown(await find_rows(kube, name, namespace)), refresh=True)
                await asyncio.sleep(every)

    try:
        asyncio.run(_with_cluster(context, follow))
    except KeyboardInterrupt:
        return


async def _with_cluster(context: str, ask: Callable[[Kube], Any]) -> Any:
    access = find_access(context=context)
    async with access.open_session() as session:
        return await ask(KubeClient(session, access.server, lambda _verb, _kind: None))


async def find_rows(kube: Kube, name: str = "", namespace: str = "") -> tuple[Row, ...]:
    """The Canaries of one namespace, or of all, by namespace and name.

    Raises:
        CommandError: there is none called ``name``, or one may not look at all namespaces.
        ClusterError: the API does not answer.
    """
    try:
        listing = await kube.list(CANARY, namespace)
    except Rejected as error:
        hint = "" if namespace else "; -n NAMESPACE looks at one namespace only"
        raise CommandError(f"{error}{hint}") from None
    rows = sorted((read_row(manifest) for manifest in listing.items), key=lambda row: (row.namespace, row.name))
    found = tuple(row for row in rows if name in ("", row.name))
    if name and not found:
        others = ", ".join(row.name for row in rows) or "none"
        raise CommandError(f"no Canary {name!r} in {namespace or 'any namespace'}; there are: {others}")
    return found


def read_row(manifest: Manifest) -> Row:
    """A Canary as it stands; of one whose spec is invalid the status alone, and what is wrong."""
    try:
        canary: Canary | None = parse_canary(manifest)
        problem = ""
    except InvalidObject as error:
        canary, problem = None, f"invalid: {error.problems[0]}"
    status = canary.status if canary else _status(manifest)
    return Row(
        namespace=str(manifest["metadata"].get("namespace", "")),
        name=str(manifest["metadata"]["name"]),
        phase=status.phase.value,
        canary_weight=status.canary_weight,
        mirrored=status.mirrored,
        failed_checks=status.failed_checks,
        threshold=canary.spec.analysis.failure_threshold if canary else None,
        readings=tuple(_readings(canary)) if canary else (),
        message=problem or status.message,
    )


def _status(manifest: Manifest) -> CanaryStatus:
    try:
        return CanaryStatus.model_validate(manifest.get("status") or {})
    except ValueError:
        return CanaryStatus()


def _readings(canary: Canary) -> Iterator[Reading]:
    """The checks, in the order in which they were made; a comparison from its evidence, which says more."""
    compared = {metric.name: metric for metric in canary.spec.analysis.metrics if metric.compare}
    evidence = {name: canary.status.evidence[name] for name in compared if name in canary.status.evidence}
    for check in canary.status.checks:
        if check.name in evidence and check.detail.startswith(f"{check.name}: "):
            continue
        yield Reading(check.name, "passed" if check.passed else "failed", check.detail, value=check.value)
    for name, saved in evidence.items():
        yield _compared(canary, name, saved)


def _compared(canary: Canary, name: str, saved: Mapping[str, Any]) -> Reading:
    compare = next(metric.compare for metric in canary.spec.analysis.metrics if metric.name == name and metric.compare)
    try:
        comparison = Comparison.from_status(saved)
    except EvidenceError as error:
        return Reading(name, "unreadable", str(error))
    return Reading(
        name,
        str(comparison.verdict(compare)),
        comparison.describe(compare),
        ratio=comparison.observed_ratio,
        p_value=comparison.test.p_value,
    )


def print_rows(rows: Sequence[Row], output: str) -> None:
    """As a table, or as JSON."""
    if output == "json":
        print(json.dumps([_as_json(row) for row in rows], indent=2))
    else:
        Console().print(_shown(rows))


def _shown(rows: Sequence[Row]) -> RenderableType:
    """The table, and below it what holds Canaries up."""
    if not rows:
        return Text("No Canaries found.")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in _COLUMNS:
        table.add_column(column, justify="right" if column in _NUMBERS else "left", no_wrap=column != "METRIC")
    for row in rows:
        for cells in _cells(row):
            table.add_row(*cells)
    notes = [_note(row) for row in rows if row.message]
    return Group(table, *([Text(""), *notes] if notes else []))


def _cells(row: Row) -> Iterator[Iterable[Text | str]]:
    """A line for each reading; the first says whose they are."""
    failed = f"{row.failed_checks}/{row.threshold}" if row.threshold else str(row.failed_checks)
    weight = "mirror" if row.mirrored else str(row.canary_weight)
    head: Sequence[Text | str] = (row.namespace, row.name, _phase(row.phase), weight, failed)
    for reading in row.readings or (Reading("", "", ""),):
        value = "" if reading.value is None else f"{reading.value:.4g}"
        odds = "" if reading.p_value is None else words.ratio(reading.ratio)
        p_value = "" if reading.p_value is None else words.probability(reading.p_value)
        yield (*head, Text(reading.metric), value, odds, p_value, _verdict(reading.verdict))
        head = ("",) * len(head)


def _phase(phase: str) -> Text:
    style = "green" if phase in _GOOD else "red" if phase == "Failed" else "yellow" if phase else "dim"
    return Text(phase or "(new)", style=style)


def _verdict(verdict: str) -> Text:
    bad, good = (Verdict.FAIL, "failed", "unreadable"), (Verdict.PASS, "passed")
    return Text(verdict, style="red" if verdict in bad else "green" if verdict in good else "")


def _note(row: Row) -> Text:
    return Text.assemble((f"{row.namespace}/{row.name}: ", "bold"), row.message)


def _as_json(row: Row) -> dict[str, Any]:
    return {
        "namespace": row.namespace,
        "name": row.name,
        "phase": row.phase,
        "canaryWeight": row.canary_weight,
        "mirrored": row.mirrored,
        "failedChecks": row.failed_checks,
        "threshold": row.threshold,
        "message": row.message,
        "metrics": [
            {
                "name": reading.metric,
                "verdict": reading.verdict,
                "value": _finite(reading.value),
                "ratio": _finite(reading.ratio),
                "pValue": _finite(reading.p_value),
                "detail": reading.detail,
            }
            for reading in row.readings
        ],
    }


def _finite(value: float | None) -> float | None:
    """JSON has no infinity."""
    return value if value is not None and math.isfinite(value) else None
