"""``canary run``: the controller, with Flagger's options."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated, Any

import pydantic
import typer

from controller.api.durations import parse_duration
from controller.cli.errors import reports_errors
from controller.shell.kubernetes.access import find_access
from controller.shell.kubernetes.errors import StartError
from controller.shell.operator import operate
from controller.shell.reporting.logs import configure_logs
from controller.shell.settings import Settings


@reports_errors
def run(  # noqa: PLR0917 -- typer passes them by name
    metrics_server: Annotated[
        str, typer.Option(metavar="URL", help="Prometheus server for metrics without a provider.")
    ] = "http://prometheus:9090",
    log_level: Annotated[str, typer.Option(metavar="LEVEL", help="debug, info, warning or error.")] = "info",
    minimum_interval: Annotated[
        str, typer.Option(metavar="DURATION", help="Lower bound of analysis.interval, as in 10s or 1m30s.")
    ] = "10s",
    namespace: Annotated[
        list[str] | None,
        typer.Option(metavar="NAMESPACE", help="Watch this namespace only; all by default. Can be repeated."),
    ] = None,
    port: Annotated[int, typer.Option(metavar="PORT", help="Port of /metrics and /healthz.")] = 8080,
    event_webhook: Annotated[
        str, typer.Option(metavar="URL", help="Webhook that receives the events of all Canaries.")
    ] = "",
    mesh_provider: Annotated[str, typer.Option(help="Accepted for Flagger's command line; must be istio.")] = "istio",
    include_label_prefix: Annotated[
        list[str] | None,
        typer.Option(help="Accepted for Flagger's command line; the primary has all labels of its target."),
    ] = None,
) -> None:
    """Run the controller."""
    if mesh_provider != "istio":
        raise typer.BadParameter(f"{mesh_provider!r} is not supported, only istio is", param_hint="--mesh-provider")
    del include_label_prefix
    serve(
        parse_settings(
            metrics_server=metrics_server,
            log_level=log_level,
            minimum_interval=minimum_interval,
            namespaces=tuple(namespace or ()),
            port=port,
            event_webhook=event_webhook,
        )
    )


def serve(settings: Settings) -> None:
    """Run the controller until SIGTERM. Raises StartError if it cannot start."""
    configure_logs(settings.log_level)
    asyncio.run(_operate(settings))


async def _operate(settings: Settings) -> None:
    access = find_access()
    logging.getLogger(__name__).info("Connecting to the Kubernetes API at %s", access.server)
    await operate(access, settings)


def parse_settings(*, minimum_interval: str, **options: Any) -> Settings:
    """The settings that the options stand for. Raises StartError with every option that is wrong."""
    try:
        floor = parse_duration(minimum_interval)
    except ValueError as error:
        raise StartError(f"--minimum-interval: {error}") from None
    try:
        return Settings(minimum_interval=floor, **options)
    except pydantic.ValidationError as error:
        problems = [
            f"--{str(each['loc'][0]).replace('_', '-')} {each['input']!r}: {each['msg']}" for each in error.errors()
        ]
        raise StartError("; ".join(problems)) from None
