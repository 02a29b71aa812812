"""Promotion by proof: which versions an app of this stack may have, from what another stack has made of them.

Pure: what is asked of the stacks is in `components.promotion`, the receipt in docs/cli.md, all in docs/environments.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, Field, ValidationError, model_validator

from controller.api import Problem
from controller.api.base import Duration, Model
from controller.api.durations import parse_duration
from controller.api.receipt import Override, Receipt
from controller.api.status import CanaryStatus, Phase
from stack.values import NonEmpty, Text, matching

KEPT = 5
"""So many versions of an app are remembered as those of this stack: it may always go back to them."""

StackName = Annotated[
    Text, matching(r"([\w.-]+/){0,2}[\w.-]+", "a stack, as in staging, project/staging or organization/project/staging")
]
AppName = Annotated[Text, matching(r"([a-z0-9-]+/)?[a-z0-9-]+", "an app: cart, or shop/cart of another namespace")]
Blocked = dict[AppName, dict[Text, NonEmpty]]
"""By app, versions that are refused, with the reason."""

UNDER_WAY = {Phase.WAITING, Phase.PROGRESSING, Phase.WAITING_PROMOTION, Phase.PROMOTING, Phase.FINALISING}
Images = Mapping[str, str]
"""Images by container."""


class OverrideConfig(Model):
    version: Text = Field(description="The tag or digest that needs no proof.")
    by: NonEmpty = Field(description="Who says so.")
    why: NonEmpty = Field(description="The reason.")


class FreezeConfig(Model):
    from_: AwareDatetime = Field(alias="from", description="Its begin, with a time zone: `2026-12-23T00:00+01:00`.")
    to: AwareDatetime = Field(description="Its end.")
    reason: NonEmpty = Field(description="What for.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.from_ >= self.to:
            raise ValueError(f"from ({self.from_.isoformat()}) must be before to ({self.to.isoformat()})")
        return self


class PromotionConfig(Model):
    from_: StackName | None = Field(
        None, alias="from", description="The stack that promotes a version before this one may have it."
    )
    context: Text | None = Field(
        None,
        description="Context of the kubeconfig for the cluster of that stack. What is refused then says how far the "
        "version is there at this moment.",
    )
    soak: Duration = Field("0s", description="How long a version has to run there.")
    override: dict[AppName, OverrideConfig] = Field(
        default_factory=dict, description="A version of an app that needs no proof and is not kept out by `freeze`."
    )
    freeze: list[FreezeConfig] = Field(
        default_factory=list, description="Times in which `up` refuses another version of an app."
    )

    @property
    def remembers(self) -> bool:
        """Whether it matters what this stack had before."""
        return self.from_ is not None or bool(self.freeze)

    def override_of(self, app: str) -> Override | None:
        """As the app's Canary and its receipt have it."""
        found = self.override.get(app)
        return Override(what="promotion", by=found.by, why=found.why) if found else None


def version_of(images: Images) -> str:
    """The tags of all containers, or their digests, as in ``6.1.2``."""
    return ", ".join(_tag(image) for image in images.values())


def _tag(image: str) -> str:
    name, _, digest = image.partition("@")
    return digest or name.rpartition("/")[2].partition(":")[2] or "latest"


@dataclass(frozen=True)
class Past:
    """What was known before this update.

    Attributes:
        here: the versions of each app that this stack had, the last first; none where it is new.
        there: the output `rollouts` of the stack that promotes first; None where that has no such output.
        now: by Canary what its cluster has at this moment, where it could be asked: the `status`, and the `images` of
            the target.
    """

    here: Mapping[str, Sequence[Images]]
    there: Mapping[str, Any] | None
    now: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def canary_of(self, app: str) -> str:
        """The Canary of an app over there, as ``namespace/name``; empty where no rollout of it was followed."""
        rollout = (self.there or {}).get(app)
        return str(rollout.get("canary") or "") if isinstance(rollout, Mapping) else ""


def remember(app: str, images: Images, past: Past) -> list[Images]:
    """The versions of an app that this stack has had, with the one that it has now."""
    former = (each for each in past.here.get(app, ()) if each != images)
    return [images, *former][:KEPT]


def find_barred(config: PromotionConfig, blocked: Blocked, apps: Mapping[str, Images]) -> Iterator[Problem]:
    """What is wrong whatever the stacks have made of a version: it is blocked, or its override is for another one."""
    if config.context and config.from_ is None:
        yield Problem("promotion.context", "Forbidden: used with promotion.from only")
    for app, found in config.override.items():
        if app not in apps:
            yield Problem(f"promotion.override.{app}", f"Not found: the stack has no app {app}; remove it")
        elif found.version != (version := version_of(apps[app])):
            message = f'Invalid value: "{found.version}": {app} has {version}; set that, or remove it'
            yield Problem(f"promotion.override.{app}.version", message)
    for app, images in apps.items():
        version = version_of(images)
        if reason := blocked.get(app, {}).get(version):
            yield Problem(f"blocked.{app}", f"Forbidden: the stack has {version}: {reason}")


def find_frozen(config: PromotionConfig, apps: Mapping[str, Images], past: Past, now: datetime) -> Iterator[str]:
    """Which apps would change their version while that is not done, in one sentence each."""
    freeze = next((each for each in config.freeze if each.from_ <= now < each.to), None)
    for app, images in apps.items():
        if freeze and app not in config.override and [*past.here.get(app, ())][:1] != [images]:
            until = f"{freeze.to:%Y-%m-%d %H:%M %Z}"
            yield f"{app}: {version_of(images)} is another version, and none may change before {until}: {freeze.reason}"


def find_unproven(config: PromotionConfig, apps: Mapping[str, Images], past: Past, now: datetime) -> Iterator[str]:
    """Which apps may not have their version, in one sentence each; what this stack had already needs no proof."""
    for app, images in apps.items():
        if config.from_ is None or app in config.override or images in past.here.get(app, ()):
            continue
        if lack := _lack(app, images, past.there, config, now):
            at_work = _under_way(images, past.now.get(past.canary_of(app), {}), config, now)
            yield f"{app}: {at_work or lack}"


def _lack(app: str, images: Images, there: Mapping[str, Any] | None, config: PromotionConfig, now: datetime) -> str:
    """What is missing of the proof for a version; empty if nothing is."""
    source, version = config.from_, version_of(images)
    if there is None:
        return f"{version} has no proof: stack {source} has no output `rollouts`; it needs rollouts.follow, and an `up`"
    rollout = there.get(app)
    if not isinstance(rollout, Mapping):
        return f"{version} was never in {source}, which follows no rollout of {app}"
    receipt = _receipt(rollout)
    if receipt is None or not _proves(receipt, images):
        return _unproven(images, rollout, receipt, source)
    if receipt.skipped:
        return f"{version} was promoted in {source} without analysis ({receipt.skipped})"
    soaked, soak = (
        (now - receipt.promoted_at).total_seconds() if receipt.promoted_at else 0.0,
        parse_duration(config.soak),
    )
    return f"{version} has run in {source} for {_span(soaked)} of {_span(soak)}" if soaked < soak else ""


def _under_way(images: Images, found: Mapping[str, Any], config: PromotionConfig, now: datetime) -> str:
    """How far a version is over there at this moment; empty where that is not known, or another one is under way."""
    try:
        status = CanaryStatus.model_validate(found.get("status") or {})
    except ValidationError:
        return ""
    if status.phase not in UNDER_WAY or status.started_at is None or not _match(images, found.get("images") or {}):
        return ""
    weight = "waits for its start" if status.phase is Phase.WAITING else f"is at {status.canary_weight}%"
    since = _span((now - status.started_at).total_seconds())
    return f"{version_of(images)} {weight} in {config.from_}, since {since} ({status.phase})"


def _receipt(rollout: Mapping[str, Any]) -> Receipt | None:
    try:
        return Receipt.model_validate(rollout.get("receipt"))
    except ValidationError:
        return None


def _proves(receipt: Receipt, images: Images) -> bool:
    return _match(images, receipt.images, receipt.image_ids)


def _match(images: Images, *known: Images) -> bool:
    """By digest where this stack names one, else by the reference that the first of `known` has."""
    return all(
        image == known[0].get(name)
        or ((wanted := _digest(image)) is not None and wanted in [_digest(each.get(name)) for each in known])
        for name, image in images.items()
    )


def _digest(image: str | None) -> str | None:
    found = re.search(r"sha256:[0-9a-f]{64}$", image or "")
    return found.group() if found else None


def _unproven(images: Images, rollout: Mapping[str, Any], receipt: Receipt | None, source: str | None) -> str:
    """Why there is no receipt for a version, as far as the last rollout there tells."""
    version, last, outcome = version_of(images), rollout.get("images") or {}, rollout.get("outcome")
    if last == images and outcome != "promoted":
        return f"{version} is not promoted in {source}: {outcome}, {rollout.get('message') or rollout.get('reason')}"
    if last == images:
        return f"{version} has no receipt in {source}: no rollout has promoted it there"
    runs = (receipt.images if receipt else last) or {}
    if version_of(runs) == version:
        return f"{', '.join(images.values())} has no receipt in {source}, which runs {', '.join(runs.values())}"
    return f"{version} has no receipt in {source}, which runs {version_of(runs) or 'nothing that is known'}"


def _span(seconds: float) -> str:
    """``20m``, ``1h30m``; whole minutes from the first one on."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    hours, minutes = divmod(whole // 60, 60)
    return "".join(f"{number}{unit}" for number, unit in ((hours, "h"), (minutes, "m")) if number)
