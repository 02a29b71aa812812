"""``python -m preview``: what an update of the stacks would do, as one comment for a pull request."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from controller.api.errors import CanaryError
from controller.api.parse import parse_canary
from controller.cli.plan.traffic import KnownTraffic, find_traffic
from controller.core.simulation.expectations import Traffic
from preview.changes import StackPreview
from preview.comment import render
from preview.pulumi import preview_stack


def main(
    stack: Annotated[list[str], typer.Option(metavar="NAME", help="Stack to preview. Can be repeated.")],
    prometheus: Annotated[
        list[str] | None,
        typer.Option(metavar="STACK=URL", help="Prometheus of a stack, to say how soon a fault would be found."),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the comment to this file.")] = None,
) -> None:
    """Preview stacks and write one Markdown comment. Exits with 1 if a preview fails."""
    console = Console(stderr=True, highlight=False)
    servers = dict(each.split("=", 1) for each in prometheus or ())
    previews: list[StackPreview] = []
    for name in stack:
        console.print(f"previewing {name}")
        previews.append(preview_stack(name))
    traffic = {each.stack: measure(each, servers[each.stack], console) for each in previews if each.stack in servers}
    comment = render(previews, traffic)
    if out is None:
        typer.echo(comment)
    else:
        out.write_text(comment)
    raise typer.Exit(any(each.error for each in previews))


def measure(preview: StackPreview, server: str, console: Console) -> Mapping[str, Traffic]:
    """Today's traffic of every app, by its place."""
    found: dict[str, Traffic] = {}
    for change in preview.changes:
        if change.kind != "Canary" or not change.after:
            continue
        try:
            canary = parse_canary(change.object)
            traffic, _ = find_traffic(canary, KnownTraffic(prometheus=server))
        except CanaryError as error:
            console.print(f"{'/'.join(change.place)}: {error}")
            continue
        if traffic is not None:
            found["/".join(change.place)] = traffic
    return found


if __name__ == "__main__":
    typer.run(main)
