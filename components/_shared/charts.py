"""Where a Helm chart comes from, as arguments of a Release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pulumi
from pulumi_kubernetes import helm
from pydantic import SecretStr

from stack.istio import IstioConfig

Login: TypeAlias = Mapping[str, SecretStr]
"""Username and password of a repository, by these names; empty where it asks for none."""


def chart_from_repository(repository: str, chart: str, version: str, login: Login) -> dict[str, Any]:
    """`chart` of a classic repository, or of an OCI registry, where it is an address of its own."""
    if repository.startswith("oci://"):
        return {"chart": f"{repository.rstrip('/')}/{chart}", "version": version}
    known = {key: pulumi.Output.secret(value.get_secret_value()) for key, value in login.items()}
    options = helm.v3.RepositoryOptsArgs(
        repo=repository, username=known.get("username"), password=known.get("password")
    )
    return {"chart": chart, "version": version, "repository_opts": options}


def chart_from_folder(folder: Path, chart: str) -> dict[str, Any]:
    """A chart folder on this machine; its version is in its Chart.yaml."""
    return {"chart": str(folder / chart)}


@dataclass(frozen=True)
class IstioCharts:
    """Where Istio's charts come from. None is installed before `checked` is known."""

    config: IstioConfig
    checked: pulumi.Input[Any] = None
    login: Login = field(default_factory=dict)

    def get(self, chart: str, version: str) -> dict[str, Any]:
        """One of them, and how long its workloads may take."""
        folder = self.config.charts_of(version)
        source = (
            chart_from_folder(folder, chart)
            if folder
            else chart_from_repository(self.config.repository, chart, version, self.login)
        )
        known = pulumi.Output.all(source["chart"], self.checked).apply(lambda both: both[0])
        return {**source, "chart": known, "timeout": self.config.timeout_seconds}
