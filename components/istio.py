"""Istio by its three official Helm charts: base (the CRDs), istiod for each revision, and the ingress gateway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes import admissionregistration, core, helm, meta

from components._shared.charts import chart_from_folder, chart_from_repository
from components._shared.options import child_options
from components._shared.specs import plain
from stack.charts import gateway_selector, istio_values, tag_webhooks
from stack.gateway import GatewayConfig
from stack.istio import ControlPlane, IstioConfig
from stack.names import BASE_RELEASE, DEFAULT_TAG, GATEWAY_RELEASE, ISTIO_NAMESPACE


@dataclass(frozen=True)
class IstioArgs:
    """`gateway` has the ports that the ingress gateway must offer; no chart is installed before `checked` is known."""

    config: IstioConfig
    gateway: GatewayConfig
    checked: pulumi.Input[Any] = None


class Istio(pulumi.ComponentResource):
    """The mesh, installed in order; a Helm release counts as created only when its workloads are ready.

    `helm.v3.Release` rather than `Chart`: istiod patches its own webhooks, which would be a permanent difference in a
    tracked object, and `helm` itself can list, upgrade and roll back the release.

    Whoever needs sidecars waits for `injectors`, not for the component: a load balancer that never gets its address
    fails the release of the gateway, and must not stop the apps.

    A destroy keeps Istio's CRDs: the chart marks them so, since every Istio object of the cluster would be deleted
    with them.
    """

    injectors: list[pulumi.Resource]
    gateway_service: str
    gateway_selector: dict[str, str]

    def __init__(self, name: str, args: IstioArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("canary:mesh:Istio", name, None, opts)
        self._name, self._args, self._opts = name, args, opts
        self._values = istio_values(args.config, args.gateway)
        config = args.config
        before: list[pulumi.Resource] = []
        if config.create_namespace:
            namespace = core.v1.Namespace(
                f"{name}-system",
                metadata=meta.v1.ObjectMetaArgs(name=ISTIO_NAMESPACE),
                opts=child_options(self, opts, formerly=ISTIO_NAMESPACE),
            )
            before.append(namespace)
        base = self._release(BASE_RELEASE, "base", config.newest_version, *before)
        self.injectors = [each for plane in config.control_planes for each in self._control_plane(plane, base)]
        if args.gateway.enabled:
            version = config.control_plane(config.gateway_revision).version
            self._release(GATEWAY_RELEASE, "gateway", version, *self.injectors, skip_await=not config.await_gateway)
        self.gateway_service = config.gateway_service
        self.gateway_selector = gateway_selector(self._values[GATEWAY_RELEASE])
        self.register_outputs({"gatewayService": self.gateway_service})

    def _control_plane(self, plane: ControlPlane, base: pulumi.Resource) -> list[pulumi.Resource]:
        """An istiod, and the tags by which namespaces name it."""
        istiod = self._release(plane.release, "istiod", plane.version, base)
        tags = {plane.tag, *([DEFAULT_TAG] if plane.tag == "stable" else [])} if plane.is_tagged else set()
        return [
            istiod,
            *(
                admissionregistration.v1.MutatingWebhookConfiguration(
                    f"{self._name}-{tag}",
                    metadata=meta.v1.ObjectMetaArgs(
                        name=f"istio-revision-tag-{tag}",
                        # istiod gives its certificate to the webhooks that have its revision.
                        labels={"app": "sidecar-injector", "istio.io/rev": plane.revision, "istio.io/tag": tag},
                    ),
                    webhooks=[plain(hook) for hook in tag_webhooks(tag, plane)],
                    opts=child_options(self, self._opts, istiod),
                )
                for tag in sorted(tags)
            ),
        ]

    def _release(
        self, release: str, chart: str, version: str, *after: pulumi.Resource, skip_await: bool = False
    ) -> helm.v3.Release:
        config = self._args.config
        folder = config.charts_of(version)
        source = (
            chart_from_folder(folder, chart) if folder else chart_from_repository(config.repository, chart, version)
        )
        return helm.v3.Release(
            f"{self._name}-{release.removeprefix('istio-')}",
            name=release,
            namespace=ISTIO_NAMESPACE,
            values=self._values[release],
            timeout=config.timeout_seconds,
            skip_await=skip_await,
            # A failed upgrade is rolled back. Not the gateway's: that would also uninstall a new one that serves
            # already, and only waits for its load balancer.
            atomic=chart != "gateway",
            **{**source, "chart": pulumi.Output.all(source["chart"], self._args.checked).apply(lambda known: known[0])},
            opts=child_options(self, self._opts, *after, formerly=release),
        )
