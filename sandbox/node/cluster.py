"""From a stopped node to a cluster that takes workloads: images, DNS, and the mesh's metrics."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sandbox.build.layers import Image
from sandbox.node.controlplane import is_ready
from sandbox.node.node import Node
from sandbox.running import SandboxError

_COREDNS = Path(__file__).with_name("coredns.yaml")
NODE_READY_SECONDS = 90
ANSWER_SECONDS = 15
"""A node whose API server does not answer for so long is restarted; its state is kept."""


def start_cluster(node: Node, images: Sequence[Image]) -> None:
    """Start the node unless it runs, and bring it to Ready with every image and with DNS. Raises SandboxError.

    The images come in while the control plane starts: `images[0]` is the pause image, without which no pod starts.
    """
    if not is_running(node):
        node.start(images[0])
    with ThreadPoolExecutor(1) as pool:
        importing = pool.submit(node.import_images, images)
        node.kubectl("apply", "--server-side", "--filename", str(_COREDNS))
        wait_until_ready(node)
        importing.result()


def is_running(node: Node) -> bool:
    """Whether the node runs and its API server answers: one that was killed takes a moment to end."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while node.init and time.monotonic() < deadline:
        if is_ready(node.instance.api_url, node.instance.pki):
            return True
        time.sleep(0.2)
    return False


def wait_until_ready(node: Node) -> None:
    """Wait until the kubelet has reported the node as Ready. Raises SandboxError."""
    deadline = time.monotonic() + NODE_READY_SECONDS
    query = ("get", "nodes", "-o", 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}')
    while node.kubectl(*query, check=False) != "True":
        if not node.init:
            raise SandboxError(f"The node has ended; see {node.instance.logs}.")
        if time.monotonic() > deadline:
            raise SandboxError(f"The node was not Ready after {NODE_READY_SECONDS} s; see {node.instance.logs}.")
        time.sleep(0.2)
