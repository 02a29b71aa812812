"""What has to be proven before an app of this stack may change its version: read from this stack and another one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pulumi

from controller.api import CanaryError
from controller.shell.elsewhere import ask_rollouts
from stack.cluster import ClusterAccess
from stack.errors import ends_when_refused
from stack.promotion import Images, Past, PromotionConfig, find_frozen, find_unproven, remember


class PromotionRefused(pulumi.RunError):
    """Apps that may not have their version. Pulumi prints the message alone, without a stack trace."""

    def __init__(self, refused: list[str]) -> None:
        count = "1 app" if len(refused) == 1 else f"{len(refused)} apps"
        said = f"{count} may not have the version of this stack (docs/environments.md):"
        super().__init__("\n  ".join([said, *refused]))


@dataclass(frozen=True)
class Promotion:
    """`proven` is what every app waits for; `versions` what the next update has to know of this one."""

    proven: list[pulumi.Input[pulumi.Resource]]
    versions: pulumi.Input[Mapping[str, Any]]


def prove(config: PromotionConfig, apps: Mapping[str, Images], cluster: ClusterAccess) -> Promotion:
    """Refuse the apps whose version nothing proves; it is said in the preview, and nothing of an app is touched.

    The stack reads its own outputs, as its last update left them: what it had needs no proof.
    """
    if not config.remembers:
        return Promotion([], {app: [images] for app, images in apps.items()})
    own = pulumi.StackReference(full_name(pulumi.get_stack()))
    first = pulumi.StackReference(full_name(config.from_)) if config.from_ else own
    for app, by in sorted(config.override.items()):
        pulumi.log.warn(f"{app}: {by.version} needs no proof, says {by.by}: {by.why}")

    @ends_when_refused()
    def look(past: Past) -> Past:
        now = datetime.now(UTC)
        refused, frozen = [*find_unproven(config, apps, past, now)], [*find_frozen(config, apps, past, now)]
        if pulumi.runtime.is_dry_run():
            for each in frozen:
                pulumi.log.warn(each)
        else:
            refused += frozen
        if refused:
            raise PromotionRefused(refused)
        return past

    async def remembered(outputs: list[Any]) -> Past:
        return await _up_to_date(config, apps, Past(outputs[0] or {}, outputs[1]), cluster.kubeconfig)

    known: Any = pulumi.Output.all(own.get_output("versions"), first.get_output("rollouts")).apply(remembered)
    past: pulumi.Output[Past] = known.apply(look)
    return Promotion(
        [past.apply(lambda _: own)],
        past.apply(lambda found: {app: remember(app, images, found) for app, images in apps.items()}),
    )


async def _up_to_date(config: PromotionConfig, apps: Mapping[str, Images], past: Past, kubeconfig: str) -> Past:
    """With what the cluster of the other stack has now, where apps are refused that may be under way there."""
    lacking = [each.partition(":")[0] for each in find_unproven(config, apps, past, datetime.now(UTC))]
    canaries = [*filter(None, map(past.canary_of, lacking))]
    if not (config.context and canaries):
        return past
    try:
        return replace(past, now=await ask_rollouts(canaries, config.context, kubeconfig))
    except CanaryError as error:
        pulumi.log.warn(f"the cluster of {config.from_} cannot be asked how far it is: {error}")
        return past


def full_name(stack: str) -> str:
    """`organization/project/stack`; what is not named is as it is of this stack."""
    named = stack.split("/")
    return "/".join([*[pulumi.get_organization(), pulumi.get_project()][: 3 - len(named)], *named])
