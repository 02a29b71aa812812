"""The NetworkPolicies around what the stack installs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import meta, networking

from components._shared.options import child_options
from components._shared.specs import plain
from stack.controller import ControllerConfig
from stack.network import NetworkPoliciesConfig
from stack.observability import ObservabilityConfig
from stack.reach import Pods, guards, network_policy


@dataclass(frozen=True)
class NetworkPoliciesArgs:
    """`load_tested` are the namespaces of the load testers; `page_callers` lead to the page."""

    config: NetworkPoliciesConfig
    observability: ObservabilityConfig
    controller: ControllerConfig
    load_tested: Collection[str] = ()
    page_callers: Sequence[Pods] = ()


class NetworkPolicies(pulumi.ComponentResource):
    """One for each part that has callers of its own, in its namespace. To be made before the pods that they guard."""

    def __init__(self, name: str, args: NetworkPoliciesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("canary:mesh:NetworkPolicies", name, None, opts)
        parts = (args.observability, args.controller, args.load_tested, args.page_callers)
        for guard in guards(args.config, *parts):
            namespace = guard.pods.namespace
            networking.v1.NetworkPolicy(
                f"{name}-{namespace}/{guard.name}",
                metadata=meta.v1.ObjectMetaArgs(name=guard.name, namespace=namespace),
                spec=plain(network_policy(guard)),
                opts=child_options(self, opts),
            )
        self.register_outputs({})
