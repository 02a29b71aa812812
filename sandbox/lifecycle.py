"""The whole way up and down: build, node, cluster, Pulumi program, canaries.

    sandbox = up("trial")          # build, cluster, `pulumi up`, initialized canaries
    sandbox.deploy({"canary-on-istio:apps": {"backend": {"tag": "6.1.1"}}})
    sandbox.kubectl("get", "canaries", "-A")
    down("trial")

`attach` finds a sandbox that is running.
"""

import json
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from controller.api import Phase
from sandbox.build.artefacts import build
from sandbox.demo import Ground
from sandbox.deploy.engine import Engine
from sandbox.deploy.program import deploy, prepare
from sandbox.deploy.project import read_configured
from sandbox.node.cluster import is_running, start_cluster
from sandbox.node.instance import Instance
from sandbox.node.node import Node
from sandbox.paths import Cache
from sandbox.preflight import check
from sandbox.running import SandboxError
from sandbox.view import frontend_url, read_canaries

CANARY_SECONDS = 180
GATEWAY_SECONDS = 60
FRONTEND = "prod/frontend"
_UNFINISHED = (Phase.NEW, Phase.INITIALIZING)


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox: its node, and the engine that deploys to it."""

    node: Node
    engine: Engine

    def deploy(self, extra: Mapping[str, Any] | None = None, *, quiet: bool = False) -> None:
        """Run `pulumi up` with the current source of the controller and `extra` stack configuration.

        `quiet` sends its output to `log/pulumi.log`. Raises SandboxError.
        """
        deploy(self.node, extra, quiet=quiet)

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl as administrator and return its output. Raises SandboxError if it fails and `check` is set."""
        return self.node.kubectl(*arguments, stdin=stdin, check=check)


def up(
    name: str | None = None,
    extra: Mapping[str, Any] | None = None,
    *,
    console: Console | None = None,
    optional: Sequence[str] = (),
) -> Sandbox:
    """Bring everything up from any state, until the canaries are initialized. Raises SandboxError.

    `extra` is more stack configuration, `optional` what else of `versions.toml` the node is to have.
    """
    console = console or Console()
    read_configured()  # a mistake in the file is reported before anything is built
    sandbox = start(name, console=console, optional=optional)
    console.print("Deploying with Pulumi")
    sandbox.deploy(extra)
    wait_for_canaries(sandbox)
    wait_for_gateway(sandbox)
    return sandbox


def start(name: str | None = None, *, console: Console, optional: Sequence[str] = ()) -> Sandbox:
    """Build what is missing and bring the cluster up, without deploying anything. Raises SandboxError."""
    node = Node(Instance.named(name), Cache.default())
    check(node.cache)
    plan = build(node.cache, console, *optional)
    console.print(f"{node.instance.name!r} is running" if node.init else f"Starting the cluster {node.instance.name!r}")
    start_cluster(node, plan.all_images())
    return Sandbox(node, prepare(node))


def wait_for_gateway(sandbox: Sandbox) -> None:
    """Wait until the frontend answers at the address that is printed; a stack without one has no such address.

    Raises SandboxError after `GATEWAY_SECONDS`.
    """
    if FRONTEND not in our_canaries(sandbox):
        return
    url, deadline = frontend_url(sandbox.node.instance), time.monotonic() + GATEWAY_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError as error:
            if time.monotonic() > deadline:
                raise SandboxError(f"{url} does not answer after {GATEWAY_SECONDS} s: {error}") from None
        time.sleep(0.5)


def demo_ground(sandbox: Sandbox) -> Ground:
    """The sandbox as a place for the demonstration. Raises SandboxError."""
    ports = sandbox.node.instance.ports()
    return Ground(
        canaries=our_canaries(sandbox),
        kubectl=sandbox.node.kubectl,
        deploy=lambda extra: sandbox.deploy(extra, quiet=True),
        prometheus=lambda: nullcontext(f"http://127.0.0.1:{ports.prometheus}"),
        page=f"http://127.0.0.1:{ports.page}/canaries/{{canary}}",
        up="make up",
    )


def our_canaries(sandbox: Sandbox) -> list[str]:
    """The canaries of the program, each as ``namespace/name``. Raises SandboxError."""
    found: list[str] = json.loads(sandbox.engine.read("stack", "output", "canaries", "--json", "--stack", "dev"))
    return found


def attach(name: str | None = None) -> Sandbox:
    """The running sandbox of that name. Raises SandboxError if there is none, or it does not answer."""
    node = Node(Instance.named(name), Cache.default())
    if not is_running(node):
        raise SandboxError(f"The sandbox {node.instance.name!r} is not running; `make up` starts it.")
    return Sandbox(node, Engine(node.instance, node.cache))


def down(name: str | None = None) -> bool:
    """End the sandbox and remove everything it left; whether there was one. Raises SandboxError if something stays."""
    node = Node(Instance.named(name), Cache.default())
    existed = node.instance.state.exists()
    node.stop()
    return existed


def wait_for_canaries(sandbox: Sandbox) -> None:
    """Wait until every canary of the program has its primary. A rollout may be in progress; canaries that the program
    did not create may be in any state.

    Raises SandboxError after `CANARY_SECONDS`.
    """
    ours = our_canaries(sandbox)
    deadline = time.monotonic() + CANARY_SECONDS
    while True:
        canaries = [each for each in read_canaries(sandbox.node.kubectl) if each.label in ours]
        waiting = [each for each in canaries if each.phase in _UNFINISHED]
        if len(canaries) == len(ours) and not waiting:
            return
        if time.monotonic() > deadline:
            states = "; ".join(f"{each.label} is {each.phase or 'new'}: {each.message}" for each in waiting)
            raise SandboxError(f"Not initialized after {CANARY_SECONDS} s: {states or 'a canary is missing'}.")
        time.sleep(0.5)
