"""Istio by its three official Helm charts: base (the CRDs), istiod, and the ingress gateway."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import core, helm, meta

from components._shared.charts import chart_from_folder, chart_from_repository
from components._shared.options import child_options
from stack.charts import gateway_selector, istio_values
from stack.config import IstioConfig
from stack.gateway import GatewayConfig
from stack.names import GATEWAY_RELEASE, ISTIO_NAMESPACE


@dataclass(frozen=True)
class IstioArgs:
    """`gateway` has the ports that the ingress gateway must offer."""

    config: IstioConfig
    gateway: GatewayConfig


class Istio(pulumi.ComponentResource):
    """The mesh, installed in order; a Helm release counts as created only when its workloads are ready.

    `helm.v3.Release` rather than `Chart`: istiod patches its own webhooks, which would be a permanent difference in a
    tracked object, and `helm` itself can list, upgrade and roll back the release.

    Whoever needs sidecars waits for `istiod`, not for the component: a load balancer that never gets its address fails
    the release of the gateway, and must not stop the apps.

    A destroy keeps Istio's CRDs: the chart marks them so, since every Istio object of the cluster would be deleted
    with them.
    """

    istiod: helm.v3.Release
    gateway_service: str
    gateway_selector: dict[str, str]

    def __init__(self, name: str, args: IstioArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("canary:mesh:Istio", name, None, opts)
        self._name, self._config = name, args.config
        self._values = istio_values(args.config, args.gateway)
        before: list[pulumi.Resource] = []
        if args.config.create_namespace:
            namespace = core.v1.Namespace(
                f"{name}-system",
                metadata=meta.v1.ObjectMetaArgs(name=ISTIO_NAMESPACE),
                opts=child_options(self, opts, formerly=ISTIO_NAMESPACE),
            )
            before.append(namespace)
        base = self._release("istio-base", "base", opts, *before)
        self.istiod = self._release("istiod", "istiod", opts, base)
        if args.gateway.enabled:
            self._release(GATEWAY_RELEASE, "gateway", opts, self.istiod, skip_await=not args.config.await_gateway)
        self.gateway_service = args.config.gateway_service
        self.gateway_selector = gateway_selector(self._values["gateway"])
        self.register_outputs({"gatewayService": self.gateway_service})

    def _release(
        self,
        release: str,
        chart: str,
        opts: pulumi.ResourceOptions | None,
        *after: pulumi.Resource,
        skip_await: bool = False,
    ) -> helm.v3.Release:
        config = self._config
        return helm.v3.Release(
            f"{self._name}-{chart}",
            name=release,
            namespace=ISTIO_NAMESPACE,
            values=self._values[chart],
            timeout=config.timeout_seconds,
            skip_await=skip_await,
            # A failed upgrade is rolled back. Not the gateway's: that would also uninstall a new one that serves
            # already, and only waits for its load balancer.
            atomic=chart != "gateway",
            **(
                chart_from_folder(config.chart_path, chart)
                if config.chart_path
                else chart_from_repository(config.repository, chart, config.version)
            ),
            opts=child_options(self, opts, *after, formerly=release),
        )
