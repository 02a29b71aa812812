"""The arguments of every command but ``run``. What a command needs is imported when it runs."""

# ruff: noqa: PLC0415 -- `canary --help` and `canary run` load none of it

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Output(StrEnum):
    TABLE = "table"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="table or json.")]
FilesOption = Annotated[
    list[str],
    typer.Option("--file", "-f", help="YAML with the Canary and its MetricTemplates; may be repeated; - is stdin."),
]
NameOption = Annotated[str, typer.Option(help="Which Canary, where the files hold several.")]
NamespaceOption = Annotated[str, typer.Option("--namespace", "-n", help="This namespace only.")]
EverywhereOption = Annotated[bool, typer.Option("--all-namespaces", "-A", help="All namespaces; so without -n too.")]
ContextOption = Annotated[str, typer.Option(help="Context of the kubeconfig; its current one when omitted.")]
CanaryArgument = Annotated[str, typer.Argument(metavar="[NAME]", help="One Canary; all when omitted.")]


def get(
    name: CanaryArgument = "",
    namespace: NamespaceOption = "",
    everywhere: EverywhereOption = False,
    context: ContextOption = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """Show how the Canaries stand, with the evidence gathered so far."""
    from controller.cli.get import get as command

    command(name, _namespace(namespace, everywhere), context, output)


def watch(
    name: CanaryArgument = "",
    namespace: NamespaceOption = "",
    everywhere: EverywhereOption = False,
    context: ContextOption = "",
    every: Annotated[float, typer.Option(min=0.5, help="Seconds from one look to the next.")] = 2.0,
) -> None:
    """Show the same until interrupted, as it changes."""
    from controller.cli.get import watch as command

    command(name, _namespace(namespace, everywhere), context, every)


def _namespace(namespace: str, everywhere: bool) -> str:
    if namespace and everywhere:
        raise typer.BadParameter("-n and -A exclude each other", param_hint="--namespace")
    return namespace


def lint(files: Annotated[list[str], typer.Argument(metavar="FILE...", help="YAML files; - is stdin.")]) -> None:
    """Check manifests, without a cluster.

    Canaries, MetricTemplates and AlertProviders; anything else in the files is left alone. The exit status is 1 where
    there is an error.
    """
    from controller.cli.lint import lint as command

    command(files)


def plan(  # noqa: PLR0917 -- typer passes them by name
    files: FilesOption,
    name: NameOption = "",
    prometheus: Annotated[str, typer.Option(help="Prometheus that knows the present traffic.")] = "",
    window: Annotated[str, typer.Option(help="With --prometheus: how long to look back, as in 1h.")] = "1h",
    requests_per_second: Annotated[
        float | None, typer.Option(help="Requests of all users, where Prometheus is not asked.")
    ] = None,
    error_rate: Annotated[
        float | None, typer.Option(help="Part of the primary's requests that fails: 0.01 is 1%.")
    ] = None,
    slow_rate: Annotated[
        float | None, typer.Option(help="Part of the primary's requests slower than an edge of compare.latency.")
    ] = None,
    minimum_interval: Annotated[str, typer.Option(help="The controller's floor of analysis.interval.")] = "10s",
    output: OutputOption = Output.TABLE,
) -> None:
    """Foretell a rollout before it starts.

    Its steps, how long it takes, and for each metric with compare how many requests a verdict needs, and when it comes.
    """
    from controller.cli.plan import PlanOptions
    from controller.cli.plan import plan as command

    options = PlanOptions(
        requests_per_second=requests_per_second,
        error_rate=error_rate,
        slow_rate=slow_rate,
        prometheus=prometheus,
        window=window,
        minimum_interval=minimum_interval,
    )
    command(files, name, options, output)


def replay(  # noqa: PLR0917 -- typer passes them by name
    files: FilesOption,
    name: NameOption = "",
    prometheus: Annotated[str, typer.Option(help="Prometheus with the metrics of that time.")] = "",
    start: Annotated[str, typer.Option(help="A time (2026-11-24T12:00, UTC), or a duration: so long ago.")] = "",
    end: Annotated[str, typer.Option(help="The same.")] = "now",
    header: Annotated[list[str] | None, typer.Option(help="NAME: VALUE, sent to Prometheus; may be repeated.")] = None,
    recorded: Annotated[Path | None, typer.Option(help="Replay this file instead.")] = None,
    save: Annotated[Path | None, typer.Option(help="Save the answers to this file, for --recorded.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots to this file.")] = None,
    quiet_runs: Annotated[int, typer.Option(min=0, help="At most so many runs in quiet times.")] = 200,
    output: OutputOption = Output.TABLE,
) -> None:
    """Try a Canary on recorded metrics.

    What it would have done in past rollouts, and how often it would have alarmed when nothing was wrong.
    """
    from controller.cli.replay import Source, replay_canary

    source = Source(prometheus=prometheus, start=start, end=end, headers=tuple(header or ()), recorded=recorded)
    replay_canary(files, name, source, save=save, html=html, output=output, most_quiet=quiet_runs)


def crds() -> None:
    """Print the CustomResourceDefinitions of this version."""
    from controller.cli.crds import crds as command

    command()
