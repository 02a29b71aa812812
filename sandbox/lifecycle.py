"""The whole way up and down: build, node, cluster, Pulumi program, canaries."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from sandbox.build import base_layer, build
from sandbox.cluster import start_cluster
from sandbox.controllerimage import controller_image
from sandbox.engine import Engine
from sandbox.instance import Instance
from sandbox.node import Node
from sandbox.paths import SANDBOX, Cache
from sandbox.preflight import check
from sandbox.recipes import load
from sandbox.running import SandboxError
from sandbox.stack import write_project
from sandbox.view import NEW, CanaryView, read_canaries

CANARY_SECONDS = 180
MESH_SECONDS = 90
_METRICS = ("apply", "--server-side", "--filename", str(SANDBOX / "istio-stats.yaml"))
_UNFINISHED = (NEW, "Initializing")


@dataclass(frozen=True)
class Sandbox:
    """A sandbox that runs: its node, and the engine that deploys to it."""

    node: Node
    engine: Engine

    def deploy(self, extra: Mapping[str, Any] | None = None, *, quiet: bool = False) -> None:
        """Run `pulumi up` with the current source of the controller and `extra` stack configuration.

        `quiet` sends its output to `log/pulumi.log`. Raises SandboxError.
        """
        engine = prepare_program(self.node, extra)
        log = self.node.instance.logs / "pulumi.log" if quiet else None
        with mesh_metrics(self.node):
            engine.run("up", "--yes", "--skip-preview", "--stack", "dev", log=log)


def up(instance: Instance, cache: Cache, console: Console, extra: Mapping[str, Any] | None = None) -> Sandbox:
    """Bring everything up from wherever it stands, up to initialized canaries. Raises SandboxError."""
    sandbox = start(instance, cache, console)
    console.print("Deploying with Pulumi")
    sandbox.deploy(extra)
    wait_for_canaries(sandbox)
    return sandbox


def start(instance: Instance, cache: Cache, console: Console) -> Sandbox:
    """Build what is missing and bring the cluster up, without deploying anything. Raises SandboxError."""
    check(cache)
    plan = build(cache, console)
    node = Node(instance, cache)
    console.print(f"Starting the cluster {instance.name!r}" if not node.init else f"{instance.name!r} runs already")
    start_cluster(node, plan.all_images())
    return Sandbox(node, prepare_program(node))


def attach(instance: Instance, cache: Cache) -> Sandbox:
    """The sandbox that runs under this name. Raises SandboxError if none does."""
    node = Node(instance, cache)
    if not node.init:
        raise SandboxError(f"The sandbox {instance.name!r} is not running; `make up` starts it.")
    return Sandbox(node, Engine(instance, cache, instance.state / "pulumi" / "project"))


def prepare_program(node: Node, extra: Mapping[str, Any] | None = None) -> Engine:
    """Bring the controller's image in, write the program's configuration, and make the stack. Raises SandboxError."""
    versions = load()
    image = controller_image(node.cache, base_layer(node.cache), versions.images["controller"])
    node.import_images([image])
    project = write_project(
        node.instance, node.cache, versions, image.reference.removeprefix("docker.io/library/"), extra
    )
    engine = Engine(node.instance, node.cache, project)
    engine.prepare()
    return engine


@contextmanager
def mesh_metrics(node: Node) -> Iterator[None]:
    """Have `istio-stats.yaml` applied as soon as the block has made the namespace and the kind that it needs.

    Where it was there before, the block waits for it: a cluster that has just been started again takes nothing of
    Istio's before istiod, which checks it, runs again. Raises SandboxError.
    """
    if node.kubectl("get", "envoyfilters.networking.istio.io", "-n", "istio-system", "-o", "name", check=False):
        _apply_metrics(node, MESH_SECONDS)
    ended = threading.Event()
    applying = threading.Thread(target=_apply_until, args=(node, ended), daemon=True)
    applying.start()
    try:
        yield
    finally:
        ended.set()
        applying.join()
    _apply_metrics(node, MESH_SECONDS)


def _apply_until(node: Node, ended: threading.Event) -> None:
    while not ended.wait(1):
        if node.kubectl(*_METRICS, check=False):
            return


def _apply_metrics(node: Node, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not node.kubectl(*_METRICS, check=time.monotonic() > deadline):
        time.sleep(0.5)


def wait_for_canaries(sandbox: Sandbox) -> list[CanaryView]:
    """Wait until every canary of the program has its primary; one may be in the middle of a rollout, which takes as
    long as it takes. Canaries that somebody else made may be in any state.

    Raises SandboxError after `CANARY_SECONDS`.
    """
    ours = json.loads(sandbox.engine.read("stack", "output", "canaries", "--json", "--stack", "dev"))
    deadline = time.monotonic() + CANARY_SECONDS
    while True:
        canaries = [each for each in read_canaries(sandbox.node) if f"{each.namespace}/{each.name}" in ours]
        waiting = [each for each in canaries if each.phase in _UNFINISHED]
        if len(canaries) == len(ours) and not waiting:
            return canaries
        if time.monotonic() > deadline:
            states = "; ".join(f"{each.namespace}/{each.name} is {each.phase}: {each.message}" for each in waiting)
            raise SandboxError(f"Not initialized after {CANARY_SECONDS} s: {states or 'a canary is missing'}.")
        time.sleep(0.5)
