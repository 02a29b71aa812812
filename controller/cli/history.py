"""``canary history`` and ``canary show``: the rollouts of the past, from what the controller keeps."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from controller.api import InvalidObject, parse_canary
from controller.api.history import History, Outcome, Rollout
from controller.api.names import history_name
from controller.cli.errors import CommandError, reports_errors
from controller.cli.get import find_canaries
from controller.cli.options import (
    AllNamespacesOption,
    CanaryArgument,
    CanaryName,
    ContextOption,
    InNamespaceOption,
    NamespaceOption,
    Output,
    OutputOption,
    one_namespace,
)
from controller.cli.tables import new_console, new_table
from controller.core.kept import is_history_of, merged, read_history, up_to_date
from controller.core.model import Manifest
from controller.shell.kubernetes.client import Kube
from controller.shell.kubernetes.errors import NotFound
from controller.shell.kubernetes.kinds import CONFIG_MAP
from controller.shell.kubernetes.visit import with_cluster
from controller.views import words
from controller.views.record import change_of, facts_of, limit_words, measured, outcome_of, render_record

MOST_COLUMNS = 4
"""Metrics that have a column of their own in the course of a rollout."""
_STYLES = {Outcome.PROMOTED: "green", Outcome.SKIPPED: "green", Outcome.ROLLED_BACK: "red", None: "yellow"}


@reports_errors
def history(
    name: CanaryArgument = "",
    namespace: NamespaceOption = "",
    all_namespaces: AllNamespacesOption = False,
    context: ContextOption = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """Show the last rollouts of Canaries."""
    wanted = one_namespace(namespace, all_namespaces)
    found = asyncio.run(with_cluster(context, lambda kube: find_histories(kube, name, wanted)))
    if output is Output.JSON:
        print(json.dumps([_as_json(label, each) for label, rollouts in found for each in rollouts], indent=2))
    else:
        new_console().print(draw_histories(found))


@reports_errors
def show(  # noqa: PLR0917 -- typer passes them by name
    name: CanaryName,
    number: Annotated[int, typer.Argument(metavar="N", help="Number of the rollout, as in history; 0: the last one.")],
    namespace: InNamespaceOption,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it as a page to this file.")] = None,
    context: ContextOption = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """Show one rollout: what was measured, and why it ended as it did."""
    ((label, rollouts),) = asyncio.run(with_cluster(context, lambda kube: find_histories(kube, name, namespace)))
    rollout = pick(label, rollouts, number)
    if html is not None:
        html.write_text(render_record(label, rollout), encoding="utf-8")
    if output is Output.JSON:
        print(json.dumps(_as_json(label, rollout), indent=2))
    elif html is None:
        new_console().print(draw_rollout(label, rollout))


async def find_histories(kube: Kube, name: str = "", namespace: str = "") -> list[tuple[str, History]]:
    """The rollouts of Canaries by NAMESPACE/NAME.

    Raises:
        CommandError: there is none called ``name``, or the user may not list all namespaces.
        ClusterError: the API does not answer, or the user may not read ConfigMaps.
    """
    canaries = await find_canaries(kube, name, namespace)
    found = await asyncio.gather(*(history_of(kube, each) for each in canaries))
    labels = [f"{each['metadata']['namespace']}/{each['metadata']['name']}" for each in canaries]
    return sorted(zip(labels, found, strict=True))


async def history_of(kube: Kube, canary: Manifest) -> History:
    """The rollouts of one Canary, the one that is under way included. Raises ClusterError."""
    metadata = canary["metadata"]
    try:
        live = await kube.get(CONFIG_MAP, metadata["namespace"], history_name(metadata["name"]))
    except NotFound:
        live = None
    return rollouts_of(canary, live)


def rollouts_of(canary: Manifest, live: Manifest | None) -> History:
    """The same, of what the cluster has under the name of its history."""
    kept = read_history(live) if live is not None and is_history_of(canary, live) else ()
    try:
        return up_to_date(kept, (), parse_canary(canary))
    except InvalidObject:
        return merged(kept, ())


def pick(label: str, rollouts: History, number: int) -> Rollout:
    """The rollout of that number; 0 is the last. Raises CommandError."""
    if not rollouts:
        raise CommandError(f"{label} has had no rollout yet that was recorded")
    found = rollouts[-1] if not number else next((each for each in rollouts if each.number == number), None)
    if found is None:
        known = f"{rollouts[0].number} to {rollouts[-1].number}"
        raise CommandError(f"{label} has no rollout {number} any more, or not yet; those that are kept: {known}")
    return found


def draw_histories(found: list[tuple[str, History]]) -> RenderableType:
    """One line for each rollout, the newest first; with several Canaries by Canary."""
    if not any(rollouts for _, rollouts in found):
        return Text("No rollouts have been recorded yet.")
    several = len(found) > 1
    table = new_table(*(("CANARY",) if several else ()), "N", "STARTED", "TOOK", "VERSION", "OUTCOME", "BY", right="N")
    for label, rollouts in found:
        for each in reversed(rollouts):
            took = words.duration(each.seconds) if each.seconds is not None else ""
            outcome = Text(outcome_of(each, last=each is rollouts[-1]), style=_STYLES.get(each.outcome, ""))
            cells = (
                f"{each.started_at:%m-%d %H:%M}",
                took,
                words.plain(change_of(each)),
                outcome,
                words.plain(each.by),
            )
            table.add_row(*((label,) if several else ()), str(each.number), *cells)
    return table


def draw_rollout(label: str, rollout: Rollout) -> RenderableType:
    """One rollout: what it was, its course, and what its metrics have come to."""
    head = Text.assemble((f"{label}, rollout {rollout.number}: ", "bold"), (outcome_of(rollout), _style(rollout)))
    facts = new_table("", "")
    facts.show_header = False
    for name, text in facts_of(rollout):
        facts.add_row(name, Text(words.plain(text)))
    verdicts = new_table("METRIC", "VERDICT", "DETAIL")
    for each in rollout.verdicts:
        verdicts.add_row(*(Text(words.plain(text)) for text in (each.name, each.verdict, each.detail)))
    parts: list[RenderableType] = [head, facts, Text(""), _course(rollout)]
    parts += [Text(""), verdicts] if rollout.verdicts else []
    return Group(*parts)


def _style(rollout: Rollout) -> str:
    return _STYLES.get(rollout.outcome, "")


def _course(rollout: Rollout) -> RenderableType:
    shown = rollout.limits[:MOST_COLUMNS]
    table = new_table("AT", "PHASE", "TRAFFIC", "FAILED", *(_heading(each.name, limit_words(each)) for each in shown))
    for sample in rollout.samples:
        values = {each.name: measured(each) for each in sample.metrics}
        traffic = "mirror" if sample.mirrored else f"round {sample.step}" if sample.step else f"{sample.weight}%"
        after = words.duration(max(0.0, (sample.at - rollout.started_at).total_seconds()))
        cells = (values.get(each.name, "") for each in shown)
        table.add_row(after, sample.phase.value, traffic, str(sample.failed_checks), *cells)
    return table


def _heading(name: str, limit: str) -> str:
    return words.plain(name) + (f" ({limit})" if limit else "")


def _as_json(label: str, rollout: Rollout) -> dict[str, Any]:
    namespace, _, name = label.partition("/")
    return {"namespace": namespace, "name": name, **dict(_filled(rollout))}


def _filled(rollout: Rollout) -> Iterator[tuple[str, Any]]:
    """What scripts look for is always there."""
    yield from {"outcome": None, "endedAt": None, "by": ""}.items()
    yield from rollout.to_dict().items()
