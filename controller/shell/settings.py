"""The controller's options, as the command line gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Literal

from pydantic import DirectoryPath, Field, StringConstraints
from pydantic.dataclasses import dataclass

from controller.api.alert_provider import AlertProviderSpec
from controller.api.durations import DEFAULT_INTERVAL_FLOOR_SECONDS
from controller.api.metric_template import MetricProvider
from controller.api.names import SELECTOR_LABELS
from controller.core.messages import USERNAME
from controller.core.model import Options

HttpUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^/\s]+")]
OptionalUrl = HttpUrl | Literal[""]
Label = Annotated[str, StringConstraints(pattern=r"^[\w./-]+$")]
Patterns = tuple[Annotated[str, StringConstraints(min_length=1)], ...]
LogLevel = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Options of one run.

    Attributes:
        metrics_server: Prometheus' address, for metrics that name no provider of their own.
        metrics_server_headers: sent to it, by name.
        metrics_server_secret: the folder with its Secret, as for a MetricTemplate; None if it needs none.
        log_level: lowest severity that is logged.
        minimum_interval: lower bound of every Canary's ``analysis.interval``, seconds.
        selector_labels: labels that can distinguish primary and canary pods, in order of preference.
        label_prefixes: of the labels that primaries and their copies have of what they are copied from; ``*``: all.
        cross_namespace_refs: whether a Canary may refer to objects of another namespace.
        max_rollouts: how many rollouts may be in progress at a time; 0: any number.
        max_rollouts_per_namespace: the same for each namespace.
        allowed_hosts: patterns of ``spec.service.hosts`` beside the namespace's own Services; empty: all.
        allowed_gateways: patterns of ``spec.service.gateways``; empty: all.
        allowed_addresses: patterns of the host names that webhooks, metric providers and alerts may have; empty: all.
        namespaces: the only ones the controller works in; empty: all.
        port: of ``/metrics`` and ``/healthz``.
        page_port: of the page; None: there is none.
        page_url: where people open it; alerts lead there.
        leader_election: whether several controllers run, of which one leads.
        leader_election_namespace: where their Lease is.
        event_webhook: gets every event of the Canaries that have no webhook of type ``event``; empty: none.
        slack_url, msteams_url: incoming webhooks that get the alerts of Canaries without any of their own. Secret.
        slack_user, slack_channel: who posts to Slack, and where.
        slack_proxy_url, msteams_proxy_url: HTTP proxies on the way.
        cluster_name: shown in alerts.
    """

    metrics_server: HttpUrl = "http://prometheus:9090"
    metrics_server_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    metrics_server_secret: DirectoryPath | None = None
    log_level: LogLevel = "info"
    minimum_interval: Annotated[float, Field(gt=0)] = DEFAULT_INTERVAL_FLOOR_SECONDS
    selector_labels: Annotated[tuple[Label, ...], Field(min_length=1)] = SELECTOR_LABELS
    label_prefixes: Patterns = ("*",)
    cross_namespace_refs: bool = True
    max_rollouts: Annotated[int, Field(ge=0)] = 0
    max_rollouts_per_namespace: Annotated[int, Field(ge=0)] = 0
    allowed_hosts: Patterns = ()
    allowed_gateways: Patterns = ()
    allowed_addresses: Patterns = ()
    namespaces: tuple[str, ...] = ()
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    page_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    page_url: OptionalUrl = ""
    leader_election: bool = False
    leader_election_namespace: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+$")] = "kube-system"
    event_webhook: OptionalUrl = ""
    slack_url: OptionalUrl = field(default="", repr=False)
    slack_user: str = USERNAME
    slack_channel: str = ""
    slack_proxy_url: OptionalUrl = ""
    msteams_url: OptionalUrl = field(default="", repr=False)
    msteams_proxy_url: OptionalUrl = ""
    cluster_name: str = ""

    @property
    def alert_providers(self) -> tuple[AlertProviderSpec, ...]:
        """The receivers of alerts that the options name."""
        slack = {"type": "slack", "address": self.slack_url, "proxy": self.slack_proxy_url or None}
        slack |= {"username": self.slack_user, "channel": self.slack_channel}
        teams = {"type": "msteams", "address": self.msteams_url, "proxy": self.msteams_proxy_url or None}
        return tuple(AlertProviderSpec.model_validate(each) for each in (slack, teams) if each["address"])

    @property
    def metrics_provider(self) -> MetricProvider:
        """The Prometheus for metrics that name no provider of their own."""
        headers = {name: (value,) for name, value in self.metrics_server_headers.items()}
        return MetricProvider(type="prometheus", address=self.metrics_server, headers=headers)

    @property
    def addresses(self) -> tuple[str, ...]:
        """The URLs that the options name; they need no pattern in ``allowed_addresses``."""
        own = (self.metrics_server, self.event_webhook, self.slack_url, self.msteams_url)
        return tuple(url for url in (*own, self.slack_proxy_url, self.msteams_proxy_url) if url)

    @property
    def options(self) -> Options:
        """What the core reads of them."""
        return Options(
            minimum_interval=self.minimum_interval,
            selector_labels=self.selector_labels,
            label_prefixes=self.label_prefixes,
            cross_namespace_refs=self.cross_namespace_refs,
            allowed_hosts=self.allowed_hosts,
            allowed_gateways=self.allowed_gateways,
            alerts=bool(self.alert_providers),
            cluster_name=self.cluster_name,
            page_url=self.page_url.rstrip("/"),
            max_rollouts=self.max_rollouts,
            max_rollouts_per_namespace=self.max_rollouts_per_namespace,
        )
