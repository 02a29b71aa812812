"""What a person sees of a sandbox: the canaries, and the addresses to open."""

import json
from datetime import UTC, datetime
from typing import Any

from rich.table import Table

from controller.api.names import history_name
from controller.cli.history import rollouts_of
from controller.cli.tree import Scene
from controller.views.rows import CanaryRow, read_rows
from sandbox.node.instance import Instance
from sandbox.node.node import Node


def read_canaries(node: Node) -> tuple[CanaryRow, ...]:
    """All canaries of the cluster, by name; none while there is no such kind. Raises SandboxError."""
    listed = node.kubectl("get", "canaries.flagger.app", "-A", "-o", "json", check=False)
    canaries = json.loads(listed)["items"] if listed else []
    deployments = json.loads(node.kubectl("get", "deployments", "-A", "-o", "json"))["items"] if canaries else []
    return read_rows(canaries, deployments)


def read_scene(node: Node, namespace: str, name: str) -> Scene:
    """What is to be seen of one canary. Raises SandboxError if it is not there."""

    def read(*arguments: str) -> Any:
        return json.loads(node.kubectl("get", *arguments, "-n", namespace, "-o", "json"))

    canary = read("canaries.flagger.app", name)
    about = f"involvedObject.kind=Canary,involvedObject.name={name}"
    kept = [each for each in read("configmaps")["items"] if each["metadata"]["name"] == history_name(name)]
    return Scene(
        manifest=canary,
        workloads=read("deployments.apps,daemonsets.apps")["items"],
        pods=read("pods")["items"],
        events=read("events", "--field-selector", about)["items"],
        history=rollouts_of(canary, kept[0] if kept else None),
        now=datetime.now(UTC),
    )


def address_table(instance: Instance) -> Table:
    """Where the sandbox can be reached from this machine."""
    ports = instance.ports()
    table = Table(title="Open", title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("Rollouts", f"http://127.0.0.1:{ports.page}/")
    table.add_row("Frontend, through the gateway", frontend_url(instance))
    table.add_row("Prometheus", f"http://127.0.0.1:{ports.prometheus}/api/v1/query?query=up")
    table.add_row("Kubernetes API", instance.api_url)
    table.add_row("kubectl, canary, pulumi", "make shell")
    return table


def frontend_url(instance: Instance) -> str:
    """An address that answers in every browser: podinfo's page itself loads scripts from the internet."""
    return f"http://127.0.0.1:{instance.ports().gateway}/version"
