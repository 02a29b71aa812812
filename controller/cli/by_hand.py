"""``canary promote``, ``pause``, ``abort`` and so on: one action on one Canary, by its annotation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from controller.api import Canary, parse_canary
from controller.api.instruction import Verb
from controller.api.names import ACTION_ANNOTATION
from controller.cli.errors import CommandError, reports_errors
from controller.cli.group import COMMANDS
from controller.cli.options import CanaryName, ContextOption, InNamespaceOption
from controller.shell.instructions import write_instruction
from controller.shell.kubernetes.client import Kube
from controller.shell.kubernetes.errors import NotFound, Rejected
from controller.shell.kubernetes.kinds import CANARY, SELF_REVIEW
from controller.shell.kubernetes.visit import with_cluster

ANSWER_SECONDS, POLL_SECONDS = 20.0, 0.5
"""How long the controller has for its answer, and how often it is looked for."""


def _command(verb: Verb) -> Callable[..., None]:
    def command(name: CanaryName, namespace: InNamespaceOption, context: ContextOption = "") -> None:
        _run(verb, namespace, name, context)

    command.__name__, command.__doc__ = verb.value, COMMANDS[verb]
    return reports_errors(command)


pause = _command(Verb.PAUSE)
resume = _command(Verb.RESUME)
abort = _command(Verb.ABORT)
retry = _command(Verb.RETRY)
approve = _command(Verb.APPROVE)


@reports_errors
def promote(
    name: CanaryName,
    namespace: InNamespaceOption,
    fully: Annotated[bool, typer.Option("--full", help="Skip the rest of the analysis.")] = False,
    context: ContextOption = "",
) -> None:
    """Take the next step of a rollout now, or promote it."""
    _run(Verb.PROMOTE_FULLY if fully else Verb.PROMOTE, namespace, name, context)


@reports_errors
def weight(
    name: CanaryName,
    percent: Annotated[int, typer.Argument(metavar="PERCENT", min=1, max=100, help="Traffic of the canary.")],
    namespace: InNamespaceOption,
    context: ContextOption = "",
) -> None:
    """Set the traffic weight of a canary."""
    _run(Verb.WEIGHT, namespace, name, context, percent)


def _run(verb: Verb, namespace: str, name: str, context: str, percent: int | None = None) -> None:
    async def ask(kube: Kube) -> None:
        text = await instruct(kube, namespace, name, verb, percent)
        await await_answer(kube, namespace, name, text)

    asyncio.run(with_cluster(context, ask))
    print(f"{verb} {namespace}/{name}: done")


async def instruct(kube: Kube, namespace: str, name: str, verb: Verb, percent: int | None = None) -> str:
    """Ask for an action on the revision that the Canary has now; returns the annotation's value.

    Raises:
        CommandError: there is no such Canary, or no controller has seen it.
        ClusterError: the API does not answer, or the user may not write Canaries.
    """
    canary = await read_canary(kube, namespace, name)
    if not canary.status.revision:
        raise CommandError(f"Canary {namespace}/{name} has no revision yet; is the controller running?")
    return await write_instruction(kube, canary, verb, await _user(kube), percent)


async def await_answer(
    kube: Kube, namespace: str, name: str, text: str, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
) -> None:
    """Return once the controller has done what was asked.

    Raises:
        CommandError: it refused, or did not answer in time.
    """
    for _ in range(int(ANSWER_SECONDS / POLL_SECONDS)):
        last = (await read_canary(kube, namespace, name)).status.last_action
        if last is not None and last.text == text:
            if last.refused:
                raise CommandError(f"refused: {last.refused}")
            return
        await sleep(POLL_SECONDS)
    raise CommandError(
        f"the controller has not answered within {ANSWER_SECONDS:g}s; is it running? To withdraw the action, remove "
        f"the annotation {ACTION_ANNOTATION}"
    )


async def read_canary(kube: Kube, namespace: str, name: str) -> Canary:
    """One Canary.

    Raises:
        CommandError: there is none.
        ClusterError: the API does not answer.
        InvalidObject: its spec is invalid.
    """
    try:
        return parse_canary(await kube.get(CANARY, namespace, name))
    except NotFound:
        raise CommandError(f"no Canary {name!r} in namespace {namespace!r}") from None


async def _user(kube: Kube) -> str:
    """Who the API server says the user is; empty where it does not."""
    try:
        review = await kube.create(
            {"apiVersion": SELF_REVIEW.api_version, "kind": SELF_REVIEW.name, "metadata": {"name": ""}}
        )
    except (NotFound, Rejected):
        return ""
    return str(review["status"]["userInfo"]["username"])
