"""Asking for an action on a Canary, by its annotation: the command line and the page do the same."""

from __future__ import annotations

import time

from controller.api import Canary
from controller.api.instruction import Instruction, Verb
from controller.api.names import ACTION_ANNOTATION
from controller.shell.kubernetes.client import Kube
from controller.shell.kubernetes.kinds import CANARY

_LONGEST_NAME = 100


async def write_instruction(kube: Kube, canary: Canary, verb: Verb, user: str, percent: int | None = None) -> str:
    """Ask for an action on the revision that ``canary`` has; returns the annotation's value.

    Args:
        kube: whoever it belongs to needs the right to change Canaries.
        canary: with a revision in its status.
        verb: what to do.
        user: who asks for it, as the API server calls them; empty if it does not say.
        percent: the weight, for `Verb.WEIGHT` only.

    Raises:
        ClusterError: the API does not answer, or does not allow it.
    """
    status = canary.status
    nonce = max(int(time.time()), status.last_action.nonce + 1 if status.last_action else 0)
    text = str(Instruction(verb, status.revision, nonce, _as_word(user), percent))
    await kube.patch(CANARY, canary.namespace, canary.name, {"metadata": {"annotations": {ACTION_ANNOTATION: text}}})
    return text


def _as_word(user: str) -> str:
    """A name as an annotation can have it: without spaces and what is not printed."""
    return "_".join(user.split())[:_LONGEST_NAME] if user.isprintable() else ""
