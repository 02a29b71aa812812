"""``canary wait``: how a rollout ends, for a pipeline."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Annotated, Any

import typer

from controller.api import Canary, CanaryError, CanaryStatus, Phase, Strategy
from controller.api.durations import parse_duration
from controller.api.page import address_of
from controller.api.webhook import HookType
from controller.cli.by_hand import read_canary
from controller.cli.errors import CommandError
from controller.cli.options import CanaryName, ContextOption, InNamespaceOption, Output, OutputOption
from controller.cli.wanted import find_digests, find_wanted
from controller.core.simulation.schedule import plan_schedule
from controller.shell.kubernetes.client import Kube
from controller.shell.kubernetes.errors import Transient
from controller.shell.kubernetes.visit import with_cluster

POLL_SECONDS = 1.0
GATED_SECONDS = 3600.0
"""How long to wait by default where a gate may hold the rollout without end."""


class End(IntEnum):
    """How it ended: the exit status."""

    PROMOTED = 0
    ROLLED_BACK = 1
    SUPERSEDED = 2
    TIMED_OUT = 3
    UNKNOWN = 4
    """It cannot be said: the command failed. A pipeline must not take that for a rollback."""

    @property
    def word(self) -> str:
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the rollout of a revision has ended.

    Attributes:
        canary: as it was then.
        images: of the target's containers; empty where the revision is not what the target asks for.
        digests: of the primary's containers, as the nodes resolved their images; empty where not promoted or not known.
    """

    end: End
    canary: Canary
    revision: str
    images: Mapping[str, str]
    digests: Mapping[str, str]

    @property
    def words(self) -> str:
        """For a person; of a rollback, what the last look has found."""
        said = f"{self.canary.namespace}/{self.canary.name}: {self.end.word}"
        if self.end is not End.ROLLED_BACK:
            return said
        status = self.canary.status
        failed = (check.detail or check.name for check in status.checks if not check.passed and not check.dry_run)
        return "\n  ".join((f"{said} ({status.reason}): {status.message}", *failed))

    def to_dict(self) -> dict[str, Any]:
        """For a pipeline."""
        status, receipt = self.canary.status, self.canary.status.receipt
        return {
            "canary": f"{self.canary.namespace}/{self.canary.name}",
            "outcome": self.end.word,
            "revision": self.revision,
            "images": self.images,
            "digests": self.digests,
            "reason": status.reason,
            "message": status.message,
            "checks": [check.to_dict() for check in status.checks],
            "receipt": receipt.to_dict() if receipt is not None and receipt.revision == self.revision else None,
            "finishedAt": f"{status.last_transition_time:%Y-%m-%dT%H:%M:%SZ}" if status.last_transition_time else None,
        }


def wait(  # noqa: PLR0917 -- typer passes them by name
    name: CanaryName,
    namespace: InNamespaceOption,
    for_revision: Annotated[
        str, typer.Option(metavar="REVISION", help="As in status.revision. Defaults to what the target asks for now.")
    ] = "",
    timeout: Annotated[
        str,
        typer.Option(
            metavar="DURATION",
            help="For example 30m. Defaults to the longest that the Canary allows, and to 1h if a gate may hold it.",
        ),
    ] = "",
    page_url: Annotated[
        str, typer.Option(metavar="URL", help="Where people open the page; of what is not promoted it is shown.")
    ] = "",
    context: ContextOption = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """Wait until a revision is promoted, rolled back or superseded."""

    async def ask(kube: Kube) -> Outcome:
        return await follow(kube, namespace, name, for_revision, seconds, show=show)

    as_json = output is Output.JSON
    show = partial(print, file=sys.stderr if as_json else sys.stdout, flush=True)
    try:
        seconds = parse_timeout(timeout) if timeout else None
        outcome = asyncio.run(with_cluster(context, ask))
    except CanaryError as error:
        print(f"canary wait: {error}", file=sys.stderr)
        sys.exit(End.UNKNOWN)
    if as_json:
        print(json.dumps(outcome.to_dict()))
    show(outcome.words)
    if page_url and outcome.end is not End.PROMOTED:
        show(f"  {address_of(page_url, namespace, name)}")
    sys.exit(outcome.end)


def parse_timeout(timeout: str) -> float:
    try:
        return parse_duration(timeout)
    except ValueError as error:
        raise CommandError(f"--timeout: {error}") from None


def longest_seconds(canary: Canary) -> float:
    """How long a rollout takes at most, while no wait for pods is longer than the deadline; an hour for a gate."""
    spec = canary.spec
    analysis = 0.0 if spec.skip_analysis else plan_schedule(spec.analysis).longest
    if analysis is None or any(hook.hook_type is HookType.CONFIRM_ROLLOUT for hook in spec.analysis.webhooks):
        return GATED_SECONDS
    return analysis + 3 * spec.progress_deadline_seconds  # the canary's pods, its routes, and the primary's pods


async def follow(
    kube: Kube,
    namespace: str,
    name: str,
    revision: str = "",
    seconds: float | None = None,
    *,
    show: Callable[[str], object],
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """How the rollout of a revision ends; each change on the way is shown.

    An API server that is away for a while ends nothing.

    An empty ``revision`` is what the target asks for when this begins; ``seconds`` are `longest_seconds` if None.

    Raises:
        CommandError: there is no such Canary, or it has no target.
        ClusterError: the Canary or its target cannot be read.
    """
    began, shown, seen = clock(), "", False
    canary = await read_canary(kube, namespace, name)
    wanted, images = await find_wanted(kube, canary)
    if not (revision := revision or wanted):
        raise CommandError(f"{canary.spec.target_ref.kind} {namespace}/{canary.names.target} does not exist")
    limit = longest_seconds(canary) if seconds is None else seconds
    while True:
        try:
            status = (canary := await read_canary(kube, namespace, name)).status
        except Transient:
            if clock() - began >= limit:
                raise
            await sleep(POLL_SECONDS)
            continue
        if (line := _line(canary)) != shown:
            show(f"{namespace}/{name}: {line}")
            shown = line
        seen = seen or revision in (status.revision, status.last_applied_spec)
        end = find_end(status, revision, seen=seen)
        if end is None and clock() - began >= limit:
            end = End.TIMED_OUT
        if end is not None:
            digests = await find_digests(kube, canary) if end is End.PROMOTED else {}
            return Outcome(end, canary, revision, images if revision == wanted else {}, digests)
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


def _line(canary: Canary) -> str:
    status, analysis = canary.status, canary.spec.analysis
    rounds = 0 if analysis.strategy is Strategy.WEIGHTED else analysis.iterations or 0
    traffic = f"{status.canary_weight}%" if status.canary_weight else ""
    if 0 < status.iterations <= rounds:
        traffic = f"round {status.iterations} of {rounds}"
    return " ".join(word for word in (status.phase or "(new)", traffic, status.message) if word)
