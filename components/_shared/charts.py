"""Where a Helm chart comes from, as arguments of a Release."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pulumi_kubernetes import helm


def chart_from_repository(repository: str, chart: str, version: str) -> dict[str, Any]:
    """`chart` of a classic repository, or of an OCI registry, where it is an address of its own."""
    if repository.startswith("oci://"):
        return {"chart": f"{repository.rstrip('/')}/{chart}", "version": version}
    return {"chart": chart, "version": version, "repository_opts": helm.v3.RepositoryOptsArgs(repo=repository)}


def chart_from_folder(folder: Path, chart: str) -> dict[str, Any]:
    """A chart folder on this machine; its version is in its Chart.yaml."""
    return {"chart": str(folder / chart)}
