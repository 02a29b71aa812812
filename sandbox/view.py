"""What a person sees of a sandbox: the canaries, and the addresses to open."""

import json
from datetime import UTC, datetime
from typing import Any, Protocol

from rich.table import Table

from controller.api.names import history_name
from controller.cli.history import rollouts_of
from controller.cli.tree import Scene
from controller.views.rows import CanaryRow, read_rows
from sandbox.node.instance import Instance


class Kubectl(Protocol):
    """Runs kubectl on one cluster and returns its output. Raises SandboxError if it fails and `check` is set."""

    def __call__(self, *arguments: str, check: bool = True) -> str: ...


def read_canaries(kubectl: Kubectl) -> tuple[CanaryRow, ...]:
    """All canaries of the cluster, by name; none while there is no such kind. Raises SandboxError."""
    listed = kubectl("get", "canaries.flagger.app", "-A", "-o", "json", check=False)
    canaries = json.loads(listed)["items"] if listed else []
    deployments = json.loads(kubectl("get", "deployments", "-A", "-o", "json"))["items"] if canaries else []
    return read_rows(canaries, deployments)


def read_scene(kubectl: Kubectl, namespace: str, name: str) -> Scene:
    """What is to be seen of one canary. Raises SandboxError if it is not there."""

    def read(*arguments: str) -> Any:
        return json.loads(kubectl("get", *arguments, "-n", namespace, "-o", "json"))

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


def address_table(instance: Instance, *, has_frontend: bool) -> Table:
    """Where the sandbox can be reached from this machine."""
    ports = instance.ports()
    table = Table(title="Open", title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("Rollouts", f"http://127.0.0.1:{ports.page}/")
    if has_frontend:
        table.add_row("Frontend, through the gateway", frontend_url(instance))
    table.add_row("Prometheus", f"http://127.0.0.1:{ports.prometheus}/api/v1/query?query=up")
    table.add_row("Kubernetes API", instance.api_url)
    table.add_row("kubectl, canary, pulumi", "make shell")
    return table


def frontend_url(instance: Instance) -> str:
    """An address that answers in every browser: podinfo's page itself loads scripts from the internet."""
    return f"http://127.0.0.1:{instance.ports().gateway}/version"
