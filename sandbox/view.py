"""What a person sees of a sandbox: the canaries, and the addresses to open."""

import json

from rich.table import Table

from controller.views.rows import CanaryRow, read_rows
from sandbox.node.instance import Instance
from sandbox.node.node import Node


def read_canaries(node: Node) -> tuple[CanaryRow, ...]:
    """All canaries of the cluster, by name; none while there is no such kind. Raises SandboxError."""
    listed = node.kubectl("get", "canaries.flagger.app", "-A", "-o", "json", check=False)
    canaries = json.loads(listed)["items"] if listed else []
    deployments = json.loads(node.kubectl("get", "deployments", "-A", "-o", "json"))["items"] if canaries else []
    return read_rows(canaries, deployments)


def address_table(instance: Instance) -> Table:
    """Where the sandbox can be reached from this machine."""
    ports = instance.ports()
    table = Table(title="Open", title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("Gateway", f"http://127.0.0.1:{ports.gateway}/")
    table.add_row("Prometheus", f"http://127.0.0.1:{ports.prometheus}/api/v1/query?query=up")
    table.add_row("Kubernetes API", instance.api_url)
    table.add_row("KUBECONFIG", str(instance.kubeconfig))
    return table
