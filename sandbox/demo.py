"""The demonstration: a good version of the backend is promoted, a bad one rolled back, both watched live."""

import time
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from controller.api import Phase
from controller.cli.table import draw_canaries
from controller.views.rows import CanaryRow
from sandbox.lifecycle import Sandbox
from sandbox.running import SandboxError
from sandbox.view import read_canaries

WATCH_SECONDS = 900
_BACKEND = "backend"
_FASTER = {"interval": "10s"}
_ALL_FAIL = "hey -z 2m -q 10 -c 2 http://backend-canary.prod:9898/status/500"


def demonstrate(sandbox: Sandbox, console: Console) -> None:
    """Roll out both versions, each until it has ended as it should. Raises SandboxError if one ends otherwise."""
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
    """Show all canaries until the backend's has begun something new and ended it. Raises SandboxError."""
    deadline = time.monotonic() + WATCH_SECONDS
    shown = before
    with Live(console=console, refresh_per_second=2, transient=not console.is_terminal) as live:
        while time.monotonic() < deadline:
            canaries = read_canaries(sandbox.node)
            live.update(Group(draw_canaries(canaries), _events(sandbox)))
            backend = next(each for each in canaries if each.name == _BACKEND)
            if backend != shown and not console.is_terminal:
                console.print(f"{backend.phase} {backend.weight}%, {backend.failed_checks} failed: {backend.message}")
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


def _events(sandbox: Sandbox, count: int = 8) -> Text:
    """The latest events of the backend's canary, as `kubectl describe` shows them."""
    lines = sandbox.node.kubectl(
        "get", "events", "-n", "prod", "--sort-by=.lastTimestamp", "--no-headers",
        "--field-selector", f"involvedObject.kind=Canary,involvedObject.name={_BACKEND}",
        "-o", "custom-columns=TYPE:.type,MESSAGE:.message", check=False,
    )  # fmt: skip
    return Text("\n".join(lines.splitlines()[-count:]), style="dim")
