"""Options that several commands have."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from controller.cli.errors import CommandError


class Output(StrEnum):
    TABLE = "table"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="Output format.")]
FilesOption = Annotated[
    list[str],
    typer.Option(
        "--file",
        "-f",
        metavar="FILE",
        help="YAML file with the Canary and its MetricTemplates; - reads standard input. Can be repeated.",
    ),
]
NameOption = Annotated[str, typer.Option(metavar="NAME", help="Name of the Canary, if the files contain several.")]
PrometheusOption = Annotated[str, typer.Option(metavar="URL", help="Prometheus server that has the metrics.")]
StartOption = Annotated[
    str, typer.Option(metavar="TIME", help="2026-11-24T12:00 (UTC), or a duration: 24h is 24 hours ago.")
]
EndOption = Annotated[str, typer.Option(metavar="TIME", help="Time as in --start, or now.")]
HeaderOption = Annotated[
    list[str] | None, typer.Option(metavar="NAME: VALUE", help="HTTP header for Prometheus. Can be repeated.")
]
RecordedOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Read this file instead of querying Prometheus.")
]
QuietRunsOption = Annotated[int, typer.Option(min=0, metavar="NUMBER", help="Maximum number of runs in quiet times.")]
SaveOption = Annotated[Path | None, typer.Option(metavar="FILE", help="Save the metrics to this file, for --recorded.")]
NamespaceOption = Annotated[
    str, typer.Option("--namespace", "-n", metavar="NAMESPACE", help="List one namespace only.")
]
AllNamespacesOption = Annotated[
    bool, typer.Option("--all-namespaces", "-A", help="List all namespaces. This is the default.")
]
ContextOption = Annotated[
    str, typer.Option(metavar="NAME", help="kubeconfig context to use. Defaults to the current context.")
]
InNamespaceOption = Annotated[
    str, typer.Option("--namespace", "-n", metavar="NAMESPACE", help="Namespace of the Canary.")
]
CanaryName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the Canary.")]
CanaryArgument = Annotated[str, typer.Argument(metavar="NAME", help="Show one Canary only.")]


def parse_header(option: str, text: str) -> tuple[str, str]:
    """Name and value of a header. Raises CommandError, which does not quote it: it may be a credential."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise CommandError(f"{option}: must be NAME: VALUE, as in X-Scope-OrgID: shop")
    return name.strip(), value.strip()


def one_namespace(namespace: str, all_namespaces: bool) -> str:
    """The namespace to list; empty for all. Raises BadParameter if both options are given."""
    if namespace and all_namespaces:
        raise typer.BadParameter("-n and -A cannot be used together", param_hint="--namespace")
    return namespace
