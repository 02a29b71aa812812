"""The demonstration: a good version of the backend is promoted, a bad one rolled back, both watched live."""

import time
from typing import Any

from rich.console import Console
from rich.live import Live

from controller.api import Phase
from controller.cli.tree import draw_scene
from controller.views.rows import CanaryRow
from sandbox.lifecycle import Sandbox
from sandbox.running import SandboxError
from sandbox.view import read_canaries, read_scene

WATCH_SECONDS = 900
_BACKEND = "backend"
_FASTER = {"interval": "10s"}
_ALL_FAIL = "hey -z 2m -q 10 -c 2 http://backend-canary.prod:9898/status/500"


def demonstrate(sandbox: Sandbox, console: Console) -> None:
    """Roll out both versions, each until it has ended as it should. Raises SandboxError if one ends otherwise."""
    console.print(
        f"Watch it on a page, too: http://127.0.0.1:{sandbox.node.instance.ports().page}/canaries/prod/backend"
    )
    console.rule("A good version: backend 6.1.1")
    _roll_out(sandbox, console, {"tag": "6.1.1", "analysis": _FASTER}, expected=Phase.SUCCEEDED)
    console.rule("A bad version: backend 6.1.2, which answers with errors")
    load_test = {"metadata": {"cmd": _ALL_FAIL}}
    bad = {"tag": "6.1.2", "analysis": _FASTER | {"webhooks": {"load-test": load_test}}}
    _roll_out(sandbox, console, bad, expected=Phase.FAILED)
    console.print("The good version was promoted; the bad one was rolled back, and users never left the good one.")


def _roll_out(sandbox: Sandbox, console: Console, backend: dict[str, Any], expected: Phase) -> None:
    before = _backend(sandbox)
    console.print("Deploying with Pulumi")
    sandbox.deploy({"canary-on-istio:apps": {_BACKEND: backend}}, quiet=True)
    ended = _watch(sandbox, console, before)
    if ended.phase != expected:
        raise SandboxError(f"The backend should be {expected} now, and is {ended.phase}: {ended.message}")


def _watch(sandbox: Sandbox, console: Console, before: CanaryRow) -> CanaryRow:
    """Show the rollout until the backend's has begun something new and ended it. Raises SandboxError."""
    deadline = time.monotonic() + WATCH_SECONDS
    shown = before
    with Live(console=console, refresh_per_second=2, transient=not console.is_terminal) as live:
        while time.monotonic() < deadline:
            backend = _backend(sandbox)
            live.update(draw_scene(read_scene(sandbox.node, backend.namespace, backend.name)))
            if backend != shown and not console.is_terminal:
                console.print(f"{backend.phase} {backend.traffic}, {backend.failed} failed: {backend.message}")
            shown = backend
            if backend != before and backend.phase in (Phase.SUCCEEDED, Phase.FAILED):
                return backend
            time.sleep(1)
    raise SandboxError(f"The backend's canary has not ended after {WATCH_SECONDS} s.")


def _backend(sandbox: Sandbox) -> CanaryRow:
    """The backend's canary as it stands. Raises SandboxError if there is none."""
    found = [each for each in read_canaries(sandbox.node) if each.name == _BACKEND]
    if not found:
        raise SandboxError("There is no canary named backend; `make up` deploys it.")
    return found[0]
