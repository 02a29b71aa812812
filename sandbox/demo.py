"""The demonstration: a good version of the backend is promoted, a bad one rolled back, both watched live.

The bad one is podinfo with its own switch for random errors. The users are the load test of the backend's Service,
whom the weights concern as everybody; what they saw is asked of Prometheus.
"""

import json
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
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
_FASTER = {"interval": "10s", "stepWeight": 10}
_GOOD = ("6.1.2", "6.1.0")
"""The one that is not promoted yet; 6.1.1 is left for the README's next step."""
_BAD = {"tag": "6.1.1", "config": {"PODINFO_RANDOM_ERROR": "true"}}
_SEEN = (
    'sum(increase(istio_requests_total{{reporter="destination",destination_workload_namespace="prod",'
    'destination_workload=~"backend|backend-primary"{more}}}[{seconds}s]))'
)
_FAILED = ',response_code=~"5.."'


@dataclass(frozen=True)
class Seen:
    """What users saw: requests, and those that ended in an error of the server."""

    requests: float
    failed: float

    def __str__(self) -> str:
        share = 100 * self.failed / self.requests if self.requests else 0.0
        return f"users sent {self.requests:,.0f} requests, and {self.failed:,.0f} ({share:.1f}%) ended in an error"


def demonstrate(sandbox: Sandbox, console: Console) -> None:
    """Roll out both versions, each until it has ended as it should. Raises SandboxError if one ends otherwise."""
    console.print(
        f"Watch it on a page, too: http://127.0.0.1:{sandbox.node.instance.ports().page}/canaries/prod/backend"
    )
    tag = next(each for each in _GOOD if each not in _backend(sandbox).primary)
    console.rule(f"A good version: backend {tag}")
    seen = _roll_out(sandbox, console, {"tag": tag, "analysis": _FASTER}, expected=Phase.SUCCEEDED)
    console.print(f"Promoted. Meanwhile {seen}.")
    console.rule(f"A bad version: backend {_BAD['tag']}, of which one answer in nine is an error")
    seen = _roll_out(sandbox, console, {**_BAD, "analysis": _FASTER}, expected=Phase.FAILED)
    console.print(f"Rolled back. Meanwhile {seen}.")
    console.print("The backend is as the demo has left it; the next `make up` gives it the version of Pulumi.dev.yaml.")


def _roll_out(sandbox: Sandbox, console: Console, backend: dict[str, Any], expected: Phase) -> Seen:
    before, began = _backend(sandbox), time.monotonic()
    console.print("Deploying with Pulumi")
    sandbox.deploy({"canary-on-istio:apps": {_BACKEND: backend}}, quiet=True)
    ended = _watch(sandbox, console, before)
    if ended.phase != expected:
        raise SandboxError(f"The backend should be {expected} now, and is {ended.phase}: {ended.message}")
    seconds = round(time.monotonic() - began)
    return Seen(*(_ask(sandbox, _SEEN.format(more=more, seconds=seconds)) for more in ("", _FAILED)))


def _ask(sandbox: Sandbox, query: str) -> float:
    """The number that Prometheus answers; 0 where it has none. Raises SandboxError."""
    port = sandbox.node.instance.ports().prometheus
    url = f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            found = json.load(answer)["data"]["result"]
    except OSError as error:
        raise SandboxError(f"{url} does not answer: {error}") from None
    return float(found[0]["value"][1]) if found else 0.0


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
