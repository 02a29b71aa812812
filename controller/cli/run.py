"""``canary run``: the controller."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from typing import Annotated, Any

import pydantic
import typer

from controller import __version__
from controller.api.durations import DEFAULT_INTERVAL_FLOOR, parse_duration
from controller.api.names import SELECTOR_LABELS
from controller.cli.errors import reports_errors
from controller.cli.flagger import FALSE
from controller.cli.options import HeaderOption, parse_header
from controller.core.messages import USERNAME
from controller.shell.kubernetes.errors import StartError, StoppedError
from controller.shell.reporting.logs import configure_logs
from controller.shell.settings import Settings

log = logging.getLogger(__name__)


@reports_errors
def run(  # noqa: PLR0917 -- typer passes them by name
    context: typer.Context,
    metrics_server: Annotated[
        str, typer.Option(metavar="URL", help="Prometheus server for metrics without a provider.")
    ] = "http://prometheus:9090",
    metrics_server_header: HeaderOption = None,
    metrics_server_secret: Annotated[
        str,
        typer.Option(
            metavar="FOLDER",
            help="Files for that server: token, or username and password; ca.crt. As a Secret is mounted.",
        ),
    ] = "",
    log_level: Annotated[str, typer.Option(metavar="LEVEL", help="debug, info, warning or error.")] = "info",
    minimum_interval: Annotated[
        str, typer.Option(metavar="DURATION", help="Lower bound of analysis.interval, as in 10s or 1m30s.")
    ] = DEFAULT_INTERVAL_FLOOR,
    namespace: Annotated[
        list[str] | None,
        typer.Option(metavar="NAMESPACE", help="Watch this namespace only; all by default. Can be repeated."),
    ] = None,
    port: Annotated[int, typer.Option(metavar="PORT", help="Port of /metrics and /healthz.")] = 8080,
    page_port: Annotated[
        int | None,
        typer.Option(metavar="PORT", help="Port of the page on which rollouts are watched; none by default."),
    ] = None,
    page_url: Annotated[
        str, typer.Option(metavar="URL", help="Where people open the page, if not by `canary open`; alerts lead there.")
    ] = "",
    event_webhook: Annotated[
        str,
        typer.Option(
            metavar="URL", envvar="EVENT_WEBHOOK_URL", help="Webhook that receives the events of all Canaries."
        ),
    ] = "",
    slack_url: Annotated[
        str,
        typer.Option(
            metavar="URL", envvar="SLACK_URL", help="Slack webhook for the alerts of Canaries without any of their own."
        ),
    ] = "",
    slack_user: Annotated[str, typer.Option(metavar="NAME", help="Name to post to Slack as.")] = USERNAME,
    slack_channel: Annotated[str, typer.Option(metavar="NAME", help="Slack channel to post to.")] = "",
    slack_proxy_url: Annotated[str, typer.Option(metavar="URL", help="HTTP proxy on the way to Slack.")] = "",
    msteams_url: Annotated[
        str,
        typer.Option(metavar="URL", envvar="MSTEAMS_URL", help="The same for a workflow of Microsoft Teams."),
    ] = "",
    msteams_proxy_url: Annotated[str, typer.Option(metavar="URL", help="HTTP proxy on the way to Teams.")] = "",
    cluster_name: Annotated[str, typer.Option(metavar="NAME", help="Name of the cluster, shown in alerts.")] = "",
    leader_election: Annotated[
        str,
        typer.Option(
            "--leader-election",
            "--enable-leader-election",
            metavar="BOOLEAN",
            help="Several controllers run: one leads by a Lease, the others stand by.",
        ),
    ] = "false",
    leader_election_namespace: Annotated[
        str, typer.Option(metavar="NAMESPACE", help="Where the Lease is.")
    ] = "kube-system",
    selector_labels: Annotated[
        str,
        typer.Option(
            metavar="LABELS", help="Pod labels that can distinguish primary and canary, in order of preference."
        ),
    ] = ",".join(SELECTOR_LABELS),
    include_label_prefix: Annotated[
        str,
        typer.Option(metavar="PREFIXES", help="Prefixes of the labels that the primary has of its target; * is all."),
    ] = "*",
    no_cross_namespace_refs: Annotated[
        str, typer.Option(metavar="BOOLEAN", help="Reject references to objects of other namespaces.")
    ] = "false",
    max_rollouts: Annotated[
        int, typer.Option(metavar="NUMBER", help="Rollouts in progress at a time; 0 for any number.")
    ] = 0,
    max_rollouts_per_namespace: Annotated[
        int, typer.Option(metavar="NUMBER", help="Rollouts in progress at a time in each namespace.")
    ] = 0,
    allowed_hosts: Annotated[
        str,
        typer.Option(metavar="PATTERNS", help="Hosts that a VirtualService may have beside Services of the namespace."),
    ] = "",
    allowed_gateways: Annotated[
        str, typer.Option(metavar="PATTERNS", help="Gateways that a VirtualService may have, as NAMESPACE/NAME.")
    ] = "",
    allowed_addresses: Annotated[
        str, typer.Option(metavar="PATTERNS", help="Hosts that webhooks and metric providers may have.")
    ] = "",
    kubeconfig: Annotated[
        str, typer.Option(metavar="FILE", envvar="KUBECONFIG", help="kubeconfig to use outside of a cluster.")
    ] = "",
    mesh_provider: Annotated[str, typer.Option(metavar="NAME", help="Only istio is supported.")] = "istio",
    version: Annotated[bool, typer.Option(help="Print the version and exit.")] = False,
) -> None:
    """Run the controller.

    Accepts the options of Flagger, with one or two dashes. Those that have no effect here are logged. Lists are
    separated by commas. In patterns, * matches any text and {namespace} stands for the namespace of the Canary.
    Without patterns everything is allowed.
    """
    if version:
        print(__version__)
        return
    if mesh_provider not in ("", "istio"):
        raise typer.BadParameter(f"{mesh_provider!r} is not supported, only istio is", param_hint="--mesh-provider")
    settings = parse_settings(
        metrics_server=metrics_server,
        metrics_server_headers=dict(
            parse_header("--metrics-server-header", each) for each in metrics_server_header or ()
        ),
        metrics_server_secret=metrics_server_secret or None,
        log_level=log_level,
        minimum_interval=minimum_interval,
        namespaces=tuple(name for names in namespace or () for name in _items(names)),
        selector_labels=_items(selector_labels),
        label_prefixes=_items(include_label_prefix),
        cross_namespace_refs=no_cross_namespace_refs in FALSE,
        max_rollouts=max_rollouts,
        max_rollouts_per_namespace=max_rollouts_per_namespace,
        allowed_hosts=_items(allowed_hosts),
        allowed_gateways=_items(allowed_gateways),
        allowed_addresses=_items(allowed_addresses),
        port=port,
        page_port=page_port,
        page_url=page_url,
        leader_election=leader_election not in FALSE,
        leader_election_namespace=leader_election_namespace,
        event_webhook=event_webhook,
        slack_url=slack_url,
        slack_user=slack_user,
        slack_channel=slack_channel,
        slack_proxy_url=slack_proxy_url,
        msteams_url=msteams_url,
        msteams_proxy_url=msteams_proxy_url,
        cluster_name=cluster_name,
    )
    configure_logs(settings.log_level)
    for note in context.obj:
        log.warning("Option %s", note)
    serve(settings, os.environ | ({"KUBECONFIG": kubeconfig} if kubeconfig else {}))


def _items(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def serve(settings: Settings, environment: Mapping[str, str]) -> None:
    """Run the controller until SIGTERM, on the cluster that ``environment`` names.

    Raises:
        StartError: it cannot start.
    """
    asyncio.run(_operate(settings, environment))


async def _operate(settings: Settings, environment: Mapping[str, str]) -> None:
    from controller.shell.kubernetes.access import find_access  # noqa: PLC0415 -- kopf and aiohttp take a second
    from controller.shell.operator import operate  # noqa: PLC0415 -- which `canary run --help` does not need
    from controller.web.server import open_page  # noqa: PLC0415

    access = find_access(environment)
    log.info("Connecting to the Kubernetes API at %s", access.server)
    try:
        await operate(access, settings, open_page)
    except StoppedError as error:
        log.critical("The controller stops: %s", error)
        logging.shutdown()
        os._exit(1)  # not by unwinding: kopf 1.45 can refuse the cancellation with which asyncio ends its tasks


def parse_settings(*, minimum_interval: str, **options: Any) -> Settings:
    """The settings that the options stand for. Raises StartError with every option that is wrong."""
    try:
        floor = parse_duration(minimum_interval)
    except ValueError as error:
        raise StartError(f"--minimum-interval: {error}") from None
    try:
        return Settings(minimum_interval=floor, **options)
    except pydantic.ValidationError as error:
        problems = [f"{_option(str(each['loc'][0]), each['input'])}: {each['msg']}" for each in error.errors()]
        raise StartError("; ".join(dict.fromkeys(problems))) from None


def _option(name: str, value: Any) -> str:
    """An option with its value, unless that may be secret."""
    option = f"--{name.replace('_', '-')}"
    return option if name in ("slack_url", "msteams_url") else f"{option} {value!r}"
