"""Istio by its official Helm charts: base (the CRDs), the network plugin if asked, and istiod for each revision."""

from __future__ import annotations

import pulumi
from pulumi_kubernetes import admissionregistration, core, helm, meta

from components._shared.charts import IstioCharts
from components._shared.options import child_options
from components._shared.specs import plain
from stack.charts import istio_values, tag_webhooks
from stack.istio import ControlPlane
from stack.names import BASE_RELEASE, CNI_RELEASE, DEFAULT_TAG, ISTIO_NAMESPACE

IstioArgs = IstioCharts
"""All that there is to say of a mesh is in its charts."""


class Istio(pulumi.ComponentResource):
    """The mesh, installed in order; a Helm release counts as created only when its workloads are ready.

    `helm.v3.Release` rather than `Chart`: istiod patches its own webhooks, which would be a permanent difference in a
    tracked object, and `helm` itself can list, upgrade and roll back the release.

    A destroy keeps Istio's CRDs: the chart marks them so, since every Istio object of the cluster would be deleted
    with them.
    """

    injectors: list[pulumi.Resource]
    """What whoever needs sidecars waits for."""

    def __init__(self, name: str, args: IstioArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("canary:mesh:Istio", name, None, opts)
        self._name, self._args, self._opts = name, args, opts
        self._values = istio_values(args.config)
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
        if config.cni.enabled:
            base = self._release(CNI_RELEASE, "cni", config.newest_version, base, namespace=config.cni.namespace)
        self.injectors = [each for plane in config.control_planes for each in self._control_plane(plane, base)]
        self.register_outputs({})

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
        self, release: str, chart: str, version: str, *after: pulumi.Resource, namespace: str = ISTIO_NAMESPACE
    ) -> helm.v3.Release:
        return helm.v3.Release(
            f"{self._name}-{release.removeprefix('istio-')}",
            name=release,
            namespace=namespace,
            values=self._values[release],
            skip_await=False,
            atomic=True,  # a failed upgrade is rolled back
            **self._args.get(chart, version),
            opts=child_options(self, self._opts, *after, formerly=release),
        )
