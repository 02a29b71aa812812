"""Istio by its three official Helm charts: base (the CRDs), istiod, and the ingress gateway."""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi_kubernetes import core, helm, meta

from components._shared.options import child_options
from stack.config import IstioConfig
from stack.merge import merge
from stack.names import GATEWAY_RELEASE, ISTIO_NAMESPACE

GATEWAY_LABELS = {"istio": "gateway"}
"""The labels of the gateway's pods, which the Gateway selects."""

_DEFAULT_VALUES: dict[str, dict[str, Any]] = {
    "base": {},
    "istiod": {
        "autoscaleEnabled": False,
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
        "global": {"proxy": {"resources": {"requests": {"cpu": "10m", "memory": "32Mi"}}}},
    },
    "gateway": {
        "autoscaling": {"enabled": False},
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
        "labels": GATEWAY_LABELS,
    },
}
"""As in the workshop: one replica each, small requests. The stack's values are merged over these."""


class Istio(pulumi.ComponentResource):
    """The mesh, installed in order; a Helm release counts as created only when its workloads are ready.

    `helm.v3.Release` rather than `Chart`: istiod patches its own webhooks, which would be a permanent difference in a
    tracked object, and `helm` itself can list, upgrade and roll back the release.

    A destroy keeps Istio's CRDs: the chart marks them so, since every Istio object of the cluster would be deleted
    with them.
    """

    namespace: core.v1.Namespace
    istiod: helm.v3.Release
    ingress: helm.v3.Release

    def __init__(self, name: str, args: IstioConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("canary:mesh:Istio", name, None, opts)
        self._args = args
        self.namespace = core.v1.Namespace(
            ISTIO_NAMESPACE,
            metadata=meta.v1.ObjectMetaArgs(name=ISTIO_NAMESPACE),
            opts=child_options(self, opts),
        )
        base = self._release("istio-base", "base", child_options(self, opts, self.namespace))
        self.istiod = self._release("istiod", "istiod", child_options(self, opts, base))
        self.ingress = self._release(GATEWAY_RELEASE, "gateway", child_options(self, opts, self.istiod))
        self.gateway_service = f"{GATEWAY_RELEASE}.{ISTIO_NAMESPACE}"
        self.register_outputs({"gatewayService": self.gateway_service})

    def _release(self, release: str, chart: str, opts: pulumi.ResourceOptions) -> helm.v3.Release:
        local = self._args.chart_path
        return helm.v3.Release(
            release,
            name=release,
            namespace=ISTIO_NAMESPACE,
            chart=str(local / chart) if local else chart,
            version=None if local else self._args.version,
            repository_opts=None if local else helm.v3.RepositoryOptsArgs(repo=self._args.repository),
            values=merge(_DEFAULT_VALUES[chart], self._args.values.for_chart(chart)),
            opts=opts,
        )
