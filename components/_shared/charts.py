"""Where a Helm chart comes from, as arguments of a Release."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi
from pulumi_kubernetes import helm

from stack.istio import IstioConfig


def chart_from_repository(repository: str, chart: str, version: str) -> dict[str, Any]:
    """`chart` of a classic repository, or of an OCI registry, where it is an address of its own."""
    if repository.startswith("oci://"):
        return {"chart": f"{repository.rstrip('/')}/{chart}", "version": version}
    return {"chart": chart, "version": version, "repository_opts": helm.v3.RepositoryOptsArgs(repo=repository)}


def chart_from_folder(folder: Path, chart: str) -> dict[str, Any]:
    """A chart folder on this machine; its version is in its Chart.yaml."""
    return {"chart": str(folder / chart)}


def chart_of_istio(istio: IstioConfig, chart: str, version: str, checked: pulumi.Input[Any]) -> dict[str, Any]:
    """One of Istio's charts, and how long its workloads may take; nothing is installed before `checked` is known."""
    folder = istio.charts_of(version)
    source = chart_from_folder(folder, chart) if folder else chart_from_repository(istio.repository, chart, version)
    known = pulumi.Output.all(source["chart"], checked).apply(lambda all_of_it: all_of_it[0])
    return {**source, "chart": known, "timeout": istio.timeout_seconds}
