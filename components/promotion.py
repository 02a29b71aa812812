"""What has to be proven before an app of this stack may change its version: read from this stack and another one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pulumi

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


def prove(config: PromotionConfig, apps: Mapping[str, Images]) -> Promotion:
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
    def look(outputs: list[Any]) -> Past:
        past = Past(outputs[0] or {}, outputs[1])
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

    past = pulumi.Output.all(own.get_output("versions"), first.get_output("rollouts")).apply(look)
    return Promotion(
        [past.apply(lambda _: own)],
        past.apply(lambda found: {app: remember(app, images, found) for app, images in apps.items()}),
    )


def full_name(stack: str) -> str:
    """`organization/project/stack`; what is not named is as it is of this stack."""
    named = stack.split("/")
    return "/".join([*[pulumi.get_organization(), pulumi.get_project()][: 3 - len(named)], *named])
