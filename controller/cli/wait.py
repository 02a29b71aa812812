"""``canary wait``: how a rollout ends, for a pipeline."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from enum import IntEnum
from typing import Annotated

import typer

from controller.api import CanaryError, CanaryStatus, Phase
from controller.api.durations import parse_duration
from controller.cli.by_hand import read_canary
from controller.cli.errors import CommandError
from controller.cli.get import with_cluster
from controller.cli.options import CanaryName, ContextOption, InNamespaceOption
from controller.shell.kubernetes.client import Kube
from controller.shell.kubernetes.errors import Transient

POLL_SECONDS = 1.0


class End(IntEnum):
    """How it ended: the exit status."""

    PROMOTED = 0
    ROLLED_BACK = 1
    SUPERSEDED = 2
    TIMED_OUT = 3
    UNKNOWN = 4
    """It cannot be said: the command failed. A pipeline must not take that for a rollback."""


def wait(
    name: CanaryName,
    namespace: InNamespaceOption,
    for_revision: Annotated[
        str, typer.Option(metavar="REVISION", help="As in status.revision. Defaults to the one that it has now.")
    ] = "",
    timeout: Annotated[str, typer.Option(metavar="DURATION", help="For example 30m.")] = "1h",
    context: ContextOption = "",
) -> None:
    """Wait until a revision is promoted, rolled back or superseded."""
    try:
        seconds = _seconds(timeout)
        end = asyncio.run(with_cluster(context, lambda kube: follow(kube, namespace, name, for_revision, seconds)))
    except CanaryError as error:
        print(f"canary wait: {error}", file=sys.stderr)
        sys.exit(End.UNKNOWN)
    print(f"{namespace}/{name}: {end.name.lower().replace('_', ' ')}")
    sys.exit(end)


def _seconds(timeout: str) -> float:
    try:
        return parse_duration(timeout)
    except ValueError as error:
        raise CommandError(f"--timeout: {error}") from None


async def follow(
    kube: Kube,
    namespace: str,
    name: str,
    revision: str,
    seconds: float,
    *,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> End:
    """How the rollout of a revision ends; each change on the way is a line of output.

    An API server that is away for a while ends nothing.

    Raises:
        CommandError: there is no such Canary, or none of its revisions is known.
        ClusterError: the Canary cannot be read.
    """
    deadline, shown, seen = clock() + seconds, "", False
    while True:
        try:
            status = (await read_canary(kube, namespace, name)).status
        except Transient:
            if clock() >= deadline:
                raise
            await sleep(POLL_SECONDS)
            continue
        if not (revision := revision or status.revision):
            raise CommandError(f"Canary {namespace}/{name} has no revision yet; is the controller running?")
        if (line := _line(status)) != shown:
            print(f"{namespace}/{name}: {line}", flush=True)
            shown = line
        seen = seen or revision in (status.revision, status.last_applied_spec)
        end = find_end(status, revision, seen=seen)
        if end is not None:
            return end
        if clock() >= deadline:
            return End.TIMED_OUT
        await sleep(POLL_SECONDS)


def find_end(status: CanaryStatus, revision: str, *, seen: bool) -> End | None:
    """How the rollout of a revision has ended; None while it has not.

    Args:
        status: of the Canary.
        revision: whose rollout is waited for.
        seen: whether it has been the Canary's since somebody waits; one that is still to come is not superseded.
    """
    if status.phase is Phase.FAILED and status.last_applied_spec == revision:
        return End.ROLLED_BACK
    if status.last_promoted_spec == revision and status.phase in (Phase.INITIALIZED, Phase.SUCCEEDED):
        return End.PROMOTED
    return End.SUPERSEDED if seen and status.revision != revision else None


def _line(status: CanaryStatus) -> str:
    words = (status.phase or "(new)", f"{status.canary_weight}%" if status.canary_weight else "", status.message)
    return " ".join(word for word in words if word)
