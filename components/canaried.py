"""A Canary, and an autoscaler if asked, around any workload: one of this program, or one that is there already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi_kubernetes import apps, autoscaling, meta
from pulumi_kubernetes.apiextensions import CustomResource

from components._shared.options import child_options
from controller.api.names import API_VERSION, CANARY_KIND
from stack.objects import valid_autoscaler_spec, valid_canary_spec

Fields = Mapping[str, Any]
"""Fields of a spec, under Kubernetes' names; the mapping, and whatever is in it, may be an output."""
Workload = apps.v1.Deployment | apps.v1.DaemonSet
Autoscaler = autoscaling.v2.HorizontalPodAutoscaler


class Canaried(pulumi.ComponentResource):
    """New versions of `target` are released by the canary controller.

    Pulumi owns the Canary and the autoscaler that it makes; the controller owns everything it generates from them
    (primary, Services, routes). The two never write the same field, so a preview shows no change, even mid-canary: of
    the target the controller only scales it, so a target of this program has no `replicas`.

    Nothing here waits for a rollout. A Canary may be Progressing or Failed long after an update, so no phase is waited
    for. The outcome of a canary is in its status.
    """

    canary: CustomResource

    def __init__(
        self,
        name: str,
        *,
        target: Workload | pulumi.Input[str],
        service: pulumi.Input[Fields],
        analysis: pulumi.Input[Fields],
        autoscaler: Autoscaler | pulumi.Input[Fields] | None = None,
        namespace: pulumi.Input[str] | None = None,
        kind: pulumi.Input[str] = "Deployment",
        labels: pulumi.Input[Mapping[str, pulumi.Input[str]]] | None = None,
        annotations: pulumi.Input[Mapping[str, pulumi.Input[str]]] | None = None,
        spec: Fields | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """A Canary of the target's name.

        Args:
            name: that of the component and of the resources inside it.
            target: the workload, or its name.
            service: `spec.service` of the Canary.
            analysis: `spec.analysis` of the Canary.
            autoscaler: that of the target, or the spec of one to make for it, without `scaleTargetRef`. One that is
                made elsewhere, a ScaledObject of KEDA for example, is named in `spec` as `autoscalerRef`.
            namespace: of a target that is given by its name; the provider's own when unset.
            kind: of a target that is given by its name: Deployment or DaemonSet.
            labels: of the Canary and the autoscaler.
            annotations: of the Canary.
            spec: other fields of the Canary's spec, as in `dependsOn` and `rollbackWindow`.
            opts: as of every resource; the provider is that of the resources inside, too.

        Raises:
            pulumi.RunError: the Canary or the autoscaler is not valid; as soon as all that they are made of is known.
        """
        super().__init__("canary:mesh:Canaried", name, None, opts)
        after: list[pulumi.Resource] = []
        if isinstance(target, Workload):
            after.append(target)
            kind = type(target).__name__
            target, namespace = target.metadata.name, target.metadata.namespace
        metadata = meta.v1.ObjectMetaArgs(name=target, namespace=namespace, labels=labels)
        target_ref = _reference("apps/v1", kind, target)
        fields = {**(spec or {}), "targetRef": target_ref, "service": service, "analysis": analysis}
        if autoscaler is not None and not isinstance(autoscaler, Autoscaler):
            parts = {"name": target, "namespace": namespace, "spec": autoscaler, "targetRef": target_ref}
            autoscaler = Autoscaler(
                name,
                metadata=metadata,
                spec=pulumi.Output.from_input(parts).apply(valid_autoscaler_spec),
                opts=self._options(opts, *after),
            )
        if autoscaler is not None:
            after.append(autoscaler)
            fields["autoscalerRef"] = _reference("autoscaling/v2", Autoscaler.__name__, autoscaler.metadata.name)
        parts = {"name": target, "namespace": namespace, "spec": fields}
        self.canary = CustomResource(
            name,
            api_version=API_VERSION,
            kind=CANARY_KIND,
            metadata=meta.v1.ObjectMetaArgs(name=target, namespace=namespace, labels=labels, annotations=annotations),
            spec=pulumi.Output.from_input(parts).apply(valid_canary_spec),
            opts=self._options(opts, *after),
        )
        self.register_outputs({"canary": target})

    def _options(self, opts: pulumi.ResourceOptions | None, *after: pulumi.Resource) -> pulumi.ResourceOptions:
        """Those of a child; the component around this one may have made the same object by itself, earlier."""
        formerly = [pulumi.Alias(parent=opts.parent)] if opts and opts.parent else None
        return pulumi.ResourceOptions.merge(child_options(self, opts, *after), pulumi.ResourceOptions(aliases=formerly))


def _reference(api_version: pulumi.Input[str], kind: pulumi.Input[str], name: pulumi.Input[str]) -> Fields:
    return {"apiVersion": api_version, "kind": kind, "name": name}
