"""``canary run``: the controller."""

from __future__ import annotations

from typing import Annotated

import typer


def run(  # noqa: PLR0917 -- typer passes them by name
    metrics_server: Annotated[
        str, typer.Option(help="Prometheus, for metrics that name no provider of their own.")
    ] = "http://prometheus:9090",
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
    minimum_interval: Annotated[
        str, typer.Option(help="Floor of every Canary's analysis.interval, as in 10s or 1m30s.")
    ] = "10s",
    namespace: Annotated[
        list[str] | None, typer.Option(help="Look at this namespace only; may be given several times.")
    ] = None,
    port: Annotated[int, typer.Option(help="Port of /metrics and /healthz.")] = 8080,
    event_webhook: Annotated[str, typer.Option(help="Address that gets every event of the Canaries.")] = "",
    mesh_provider: Annotated[str, typer.Option(help="For Flagger's command line: istio, nothing else.")] = "istio",
    include_label_prefix: Annotated[
        list[str] | None,
        typer.Option(help="For Flagger's command line: without effect, as the primary has all labels of its target."),
    ] = None,
) -> None:
    """Run the controller until it is told to stop."""
    if mesh_provider != "istio":
        raise typer.BadParameter(f"{mesh_provider!r} is not supported, only istio is", param_hint="--mesh-provider")
    del include_label_prefix
    from controller.cli.start import start  # noqa: PLC0415 -- the other commands need neither kopf nor aiohttp

    start(
        {
            "metrics_server": metrics_server,
            "log_level": log_level,
            "minimum_interval": minimum_interval,
            "namespaces": tuple(namespace or ()),
            "port": port,
            "event_webhook": event_webhook,
        }
    )
