"""The whole way up and down: build, node, cluster, Pulumi program, canaries.

    sandbox = up("trial")          # build, cluster, `pulumi up`, initialized canaries
    sandbox.deploy({"canary-on-istio:apps": {"backend": {"tag": "6.1.1"}}})
    sandbox.kubectl("get", "canaries", "-A")
    down("trial")

`attach` finds a sandbox that is running.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from controller.api import Phase
from sandbox.build.artefacts import build
from sandbox.deploy.engine import Engine
from sandbox.deploy.program import deploy, prepare
from sandbox.deploy.project import read_configured
from sandbox.node.cluster import start_cluster
from sandbox.node.instance import Instance
from sandbox.node.node import Node
from sandbox.paths import Cache
from sandbox.preflight import check
from sandbox.running import SandboxError
from sandbox.view import read_canaries

CANARY_SECONDS = 180
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


def up(name: str | None = None, extra: Mapping[str, Any] | None = None, *, console: Console | None = None) -> Sandbox:
    """Bring everything up from any state, until the canaries are initialized. Raises SandboxError."""
    console = console or Console()
    read_configured()  # a mistake in the file is reported before anything is built
    sandbox = start(name, console=console)
    console.print("Deploying with Pulumi")
    sandbox.deploy(extra)
    wait_for_canaries(sandbox)
    return sandbox


def start(name: str | None = None, *, console: Console) -> Sandbox:
    """Build what is missing and bring the cluster up, without deploying anything. Raises SandboxError."""
    node = Node(Instance.named(name), Cache.default())
    check(node.cache)
    plan = build(node.cache, console)
    console.print(f"{node.instance.name!r} is running" if node.init else f"Starting the cluster {node.instance.name!r}")
    start_cluster(node, plan.all_images())
    return Sandbox(node, prepare(node))


def attach(name: str | None = None) -> Sandbox:
    """The running sandbox of that name. Raises SandboxError if there is none."""
    node = Node(Instance.named(name), Cache.default())
    if not node.init:
        raise SandboxError(f"The sandbox {node.instance.name!r} is not running; `make up` starts it.")
    return Sandbox(node, Engine(node.instance, node.cache))


def down(name: str | None = None) -> None:
    """End the sandbox and remove everything it left. Raises SandboxError if something stays."""
    Node(Instance.named(name), Cache.default()).stop()


def wait_for_canaries(sandbox: Sandbox) -> None:
    """Wait until every canary of the program has its primary. A rollout may be in progress; canaries that the program
    did not create may be in any state.

    Raises SandboxError after `CANARY_SECONDS`.
    """
    ours = json.loads(sandbox.engine.read("stack", "output", "canaries", "--json", "--stack", "dev"))
    deadline = time.monotonic() + CANARY_SECONDS
    while True:
        canaries = [each for each in read_canaries(sandbox.node) if each.label in ours]
        waiting = [each for each in canaries if each.phase in _UNFINISHED]
        if len(canaries) == len(ours) and not waiting:
            return
        if time.monotonic() > deadline:
            states = "; ".join(f"{each.label} is {each.phase or 'new'}: {each.message}" for each in waiting)
            raise SandboxError(f"Not initialized after {CANARY_SECONDS} s: {states or 'a canary is missing'}.")
        time.sleep(0.5)
