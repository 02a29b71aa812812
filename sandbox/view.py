"""What the canaries are doing, as tables for the terminal."""

import json
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from sandbox.instance import Instance
from sandbox.node import Node

NEW = "new"  # the phase of a Canary that the controller has not seen
_COLOURS = {"Initialized": "green", "Succeeded": "green", "Failed": "red", "Progressing": "yellow", "Promoting": "cyan"}


@dataclass(frozen=True)
class CanaryView:
    """A canary as its status and its two workloads show it; `weight` is the canary's share in percent.

    `message` is what holds it up, else what its condition says.
    """

    namespace: str
    name: str
    phase: str
    weight: int
    iterations: int
    failed_checks: int
    primary: str
    canary: str
    message: str


def read_canaries(node: Node) -> list[CanaryView]:
    """All canaries of the cluster, by name; none while there is no such kind. Raises SandboxError."""
    listed = node.kubectl("get", "canaries.flagger.app", "-A", "-o", "json", check=False)
    canaries = json.loads(listed)["items"] if listed else []
    deployments = json.loads(node.kubectl("get", "deployments", "-A", "-o", "json"))["items"] if canaries else []
    versions = {(each["metadata"]["namespace"], each["metadata"]["name"]): _versions(each) for each in deployments}
    return [view(canary, versions) for canary in canaries]


def view(canary: dict[str, Any], versions: dict[tuple[str, str], str]) -> CanaryView:
    """A canary's row; `versions` is what its workloads run, by namespace and name."""
    namespace, name = canary["metadata"]["namespace"], canary["metadata"]["name"]
    status = canary.get("status") or {}
    conditions = status.get("conditions") or [{}]
    target = canary["spec"]["targetRef"]["name"]
    return CanaryView(
        namespace=namespace,
        name=name,
        phase=status.get("phase") or NEW,
        weight=status.get("canaryWeight", 0),
        iterations=status.get("iterations", 0),
        failed_checks=status.get("failedChecks", 0),
        primary=versions.get((namespace, f"{target}-primary"), "-"),
        canary=versions.get((namespace, target), "-"),
        message=status.get("message") or conditions[-1].get("message", ""),
    )


def _versions(deployment: dict[str, Any]) -> str:
    """Image tags and ready replicas, as in `6.1.0 (1/1)`."""
    tags = [each["image"].rpartition(":")[2] for each in deployment["spec"]["template"]["spec"]["containers"]]
    ready = deployment.get("status", {}).get("readyReplicas", 0)
    return f"{', '.join(tags)} ({ready}/{deployment['spec'].get('replicas', 1)})"


def canary_table(canaries: list[CanaryView]) -> Table:
    """The canaries, one a row."""
    table = Table(title="Canaries", title_justify="left")
    for column in ("Canary", "Phase"):
        table.add_column(column, no_wrap=True)
    for column in ("Weight", "Failed"):
        table.add_column(column, justify="right")
    for column in ("Primary", "Canary pods", "Last word"):
        table.add_column(column)
    for each in canaries:
        phase = f"[{_COLOURS.get(each.phase, 'white')}]{each.phase}[/]"
        share = f"round {each.iterations}" if each.iterations else f"{each.weight}%"
        table.add_row(
            f"{each.namespace}/{each.name}",
            phase,
            share,
            str(each.failed_checks),
            each.primary,
            each.canary,
            each.message,
        )
    return table


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
