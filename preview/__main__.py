"""``python -m preview``: what an update of the stacks would do, as one comment for a pull request."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from controller.api.errors import CanaryError
from controller.api.parse import parse_canary
from controller.cli.plan.traffic import KnownTraffic, find_traffic
from controller.core.simulation.expectations import Traffic
from preview.comment import render
from preview.publish import GITHUB, PublishError, PullRequest, publish
from preview.pulumi import preview_stack
from preview.stacks import StackPreview


def main(
    stack: Annotated[list[str], typer.Option(metavar="NAME", help="Stack to preview. Can be repeated.")],
    prometheus: Annotated[
        list[str] | None,
        typer.Option(metavar="STACK=URL", help="Prometheus of a stack, to say how soon a fault would be found."),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the comment to this file.")] = None,
    pull_request: Annotated[
        str,
        typer.Option(metavar="OWNER/NAME#NUMBER", help="Keep the comment in this pull request, as GITHUB_TOKEN."),
    ] = "",
) -> None:
    """Preview stacks and write one Markdown comment. Exits with 1 if a preview fails or a policy refuses it."""
    console = Console(stderr=True, highlight=False)
    servers = dict(_server(each) for each in prometheus or ())
    target = _pull_request(pull_request) if pull_request else None
    previews: list[StackPreview] = []
    for name in stack:
        console.print(f"previewing {name}")
        previews.append(preview_stack(name))
    traffic = {each.stack: measure(each, servers[each.stack], console) for each in previews if each.stack in servers}
    comment = render(previews, traffic)
    if target is not None:
        try:
            asyncio.run(publish(target, comment))
        except PublishError as error:
            sys.exit(f"preview: {error}")
    if out is not None:
        out.write_text(comment)
    elif target is None:
        typer.echo(comment)
    raise typer.Exit(any(each.is_refused for each in previews))


def _server(text: str) -> tuple[str, str]:
    stack, equals, url = text.partition("=")
    if not (stack and equals and url):
        raise typer.BadParameter(f"{text}: must be STACK=URL", param_hint="--prometheus")
    return stack, url


def _pull_request(text: str) -> PullRequest:
    found, token = re.fullmatch(r"([^/\s]+/[^/\s]+)#(\d+)", text), os.environ.get("GITHUB_TOKEN", "")
    if found is None:
        raise typer.BadParameter(f"{text}: must be OWNER/NAME#NUMBER", param_hint="--pull-request")
    if not token:
        raise typer.BadParameter("needs GITHUB_TOKEN in the environment", param_hint="--pull-request")
    server = os.environ.get("GITHUB_API_URL", GITHUB)
    return PullRequest(found[1], int(found[2]), token, server)


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
