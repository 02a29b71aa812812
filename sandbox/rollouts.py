"""What an update has set going: the rollouts of the stack's canaries, told and followed by `canary wait`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console

from sandbox.running import SandboxError

UNDER_WAY, ROLLED_BACK, UNKNOWN = "timed out", "rolled back", ""
"""What `canary wait` says of a rollout that goes on when its time is over; of one that has failed; and nothing."""
_LOOK = "--timeout=1s"


def tell_rollouts(
    console: Console, canaries: Sequence[str], env: Mapping[str, str], *, follow: bool, goal: str = ""
) -> None:
    """Say which of the canaries, each as ``namespace/name``, have a rollout; follow them to their end, if asked.

    `goal` is what `make` needs to be told of the cluster.

    Raises:
        SandboxError: asked to follow, and a version was not promoted, now or before.
    """
    with ThreadPoolExecutor(4) as pool:
        found = [*pool.map(lambda each: _look(each, env), canaries)]
    outcomes = dict(zip(canaries, found, strict=True))
    begun, failed, unknown = (
        [each for each in canaries if outcomes[each] == wanted] for wanted in (UNDER_WAY, ROLLED_BACK, UNKNOWN)
    )
    if failed:
        console.print(
            f"Rolled back before: {', '.join(failed)}; `canary get` says why, and `canary retry` tries again."
        )
    if unknown:
        console.print(f"Not known: how {', '.join(unknown)} stands; `canary get` may say why.")
    if begun:
        console.print(f"Under way: the rollout of {', '.join(begun)}.")
    elif not canaries:
        console.print("The stack has no app yet: docs/your-own-app.md says how to add one.")
    elif not failed and not unknown:
        console.print("No rollout is under way: each app runs the version that it was given.")
    if begun and not follow:
        up, shell = (" ".join(filter(None, [command, goal])) for command in ("make up WAIT=1", "make shell"))
        console.print(f"`{up}` follows it to its end; so does `canary watch` in `{shell}`.", soft_wrap=True)
    if not follow:
        return
    ended = [each for each in begun if subprocess.run(_wait(each), env=env, check=False).returncode != 0]
    if bad := [*failed, *unknown, *ended]:
        raise SandboxError(f"Not promoted: {', '.join(bad)}; the cause stands above.")


def _look(canary: str, env: Mapping[str, str]) -> str:
    """How the rollout of what the target asks for now has ended, in one word; empty if it cannot be said."""
    said = subprocess.run(
        [*_wait(canary), _LOOK, "--output=json"], env=env, capture_output=True, text=True, check=False
    ).stdout
    return str(json.loads(said)["outcome"]) if said else ""


def _wait(canary: str) -> list[str]:
    namespace, _, name = canary.partition("/")
    return [str(Path(sys.executable).with_name("canary")), "wait", name, f"--namespace={namespace}"]
