"""The AlertProviders of a stack: the chats and webhooks that are told how rollouts go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import meta
from pulumi_kubernetes.apiextensions import CustomResource

from components._shared.options import child_options
from controller.api.names import ALERT_PROVIDER_KIND, API_VERSION
from stack.observability import AlertConfig


@dataclass(frozen=True)
class AlertsArgs:
    """The AlertProviders are in each of `namespaces`, which are by the prefix of their resources' names."""

    config: Mapping[str, AlertConfig]
    namespaces: Mapping[str, str]


class Alerts(pulumi.ComponentResource):
    """Canaries name them in `analysis.alerts`; a Secret with an address is in the same namespace."""

    def __init__(self, name: str, args: AlertsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("canary:mesh:Alerts", name, None, opts)
        for prefix, namespace in args.namespaces.items():
            for each, config in args.config.items():
                if config.provider:
                    CustomResource(
                        f"{name}-{prefix}{each}",
                        api_version=API_VERSION,
                        kind=ALERT_PROVIDER_KIND,
                        metadata=meta.v1.ObjectMetaArgs(name=each, namespace=namespace),
                        spec=config.provider.to_dict(),
                        opts=child_options(self, opts),
                    )
        self.register_outputs({})
