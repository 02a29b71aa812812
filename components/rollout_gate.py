"""What makes `pulumi up` tell how a rollout ended: it follows the canary, and fails if that is rolled back."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_command import local

from components._shared.cli import canary_command
from components._shared.options import child_options
from stack.cluster import ClusterAccess


@dataclass(frozen=True)
class RolloutGateArgs:
    """`canary` in `namespace` is followed; `triggers` are what a change of starts a rollout.

    A rollout that is not promoted is said to be seen on the page at `page_url`.
    """

    canary: str
    namespace: str
    cluster: ClusterAccess
    triggers: Sequence[pulumi.Input[Any]]
    page_url: str | None = None


class RolloutGate(pulumi.ComponentResource):
    """Follows the rollout of what a target asks for, by its revision and never by time.

    An update that changes nothing of the app runs nothing. One after a rollback fails again until the app has changed
    or its canary was promoted after all, by `canary retry` for example: it tells what is, not what it has done.
    """

    outcome: pulumi.Output[dict[str, Any]]
    """As `canary wait --output json` prints it: outcome, revision, images, digests, checks, receipt, when it ended."""

    def __init__(self, name: str, args: RolloutGateArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("canary:mesh:RolloutGate", name, None, opts)
        words = [canary_command(), "wait", args.canary, f"--namespace={args.namespace}", "--output=json"]
        if args.cluster.context:
            words.append(f"--context={args.cluster.context}")
        if args.page_url:
            words.append(f"--page-url={args.page_url}")
        command = local.Command(
            f"{name}-rollout",
            create=shlex.join(words),
            environment={"KUBECONFIG": args.cluster.kubeconfig} if args.cluster.kubeconfig else None,
            triggers=list(args.triggers),
            opts=child_options(self, opts),
        )
        self.outcome = pulumi.Output.json_loads(command.stdout)
        self.register_outputs({"outcome": self.outcome})
