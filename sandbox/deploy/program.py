"""The Pulumi program on one sandbox: its configuration, the controller's image, `pulumi up`, and the mesh's metrics."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sandbox.build.artefacts import base_layer
from sandbox.build.controllerimage import controller_image
from sandbox.build.recipes import load
from sandbox.deploy.engine import Engine
from sandbox.deploy.project import write_project
from sandbox.node.node import Node

MESH_SECONDS = 90
_METRICS = ("apply", "--server-side", "--filename", str(Path(__file__).with_name("istio-stats.yaml")))


def deploy(node: Node, extra: Mapping[str, Any] | None, *, quiet: bool) -> None:
    """Run `pulumi up` with `extra` stack configuration. Raises SandboxError."""
    engine = prepare(node, extra)
    with _mesh_metrics(node):
        # The outputs of an update that failed are those of the one before; what a person needs of them is shown after.
        engine.run("up", "--yes", "--skip-preview", "--suppress-outputs", "--stack", "dev", quiet=quiet)


def prepare(node: Node, extra: Mapping[str, Any] | None = None) -> Engine:
    """Import the controller's image, write the program's configuration, and create the stack. Raises SandboxError."""
    versions = load()
    image = controller_image(node.cache, base_layer(node.cache), versions.images["controller"])
    node.import_images([image])
    write_project(node.instance, node.cache, versions, image.reference.removeprefix("docker.io/library/"), extra)
    engine = Engine(node.instance, node.cache)
    engine.prepare()
    return engine


@contextmanager
def _mesh_metrics(node: Node) -> Iterator[None]:
    """Apply `istio-stats.yaml` as soon as the block has created the namespace and the kind that it needs.

    Where they exist already, the block waits for it: after a restart of the cluster, nothing of Istio's is accepted
    before istiod, which validates it, is running again. Raises SandboxError.
    """
    if node.kubectl("get", "envoyfilters.networking.istio.io", "-n", "istio-system", "-o", "name", check=False):
        _apply_metrics(node)
    ended = threading.Event()
    applying = threading.Thread(target=_apply_until, args=(node, ended), daemon=True)
    applying.start()
    try:
        yield
    finally:
        ended.set()
        applying.join()
    _apply_metrics(node)


def _apply_until(node: Node, ended: threading.Event) -> None:
    while not ended.wait(1):
        if node.kubectl(*_METRICS, check=False):
            return


def _apply_metrics(node: Node) -> None:
    deadline = time.monotonic() + MESH_SECONDS
    while not node.kubectl(*_METRICS, check=time.monotonic() > deadline):
        time.sleep(0.5)
