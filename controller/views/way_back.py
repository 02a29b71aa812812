"""How to go back to the version before: which one that is, and who can do it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from controller.api import Canary, CanaryStatus, Phase
from controller.api.history import History, Outcome
from controller.core.rollout.phases import ANALYSIS, UNDER_WAY

_PROMOTED = (Outcome.PROMOTED, Outcome.SKIPPED)
_KEPT = "The primary did not come up, so the canary keeps its traffic: apply the version before to the target."


def way_back(canary: Canary, rollouts: History) -> tuple[str, str]:
    """What there is to say, and a command that does it; empty where an action of the page does, or nothing can.

    The controller never writes what the target runs: that belongs to whoever applies it.
    """
    if said := _said_of(canary.status, _replaced(rollouts)):
        return said, ""
    last = next((each for each in reversed(rollouts) if each.outcome in _PROMOTED), None)
    if last is None:
        return "No version before this one is known here. To go back, apply it to the target.", ""
    images = _changed(last.replaced, last.images)
    if not images:
        return f"Rollout {last.number} changed no image. To go back, apply the settings before it to the target.", ""
    before = ", ".join(images.values())
    said = f"Before rollout {last.number} this ran {before}. Apply that where the version comes from, or by hand:"
    return said, _set_image(canary, images)


def _said_of(status: CanaryStatus, before: str) -> str:
    """While not all users have the new version."""
    if status.phase in ANALYSIS:
        return f"Abort does it: the primary still runs {before}."
    if status.phase in UNDER_WAY:
        return "Not now: the new version is on its way to all users. Go back once it is there."
    if status.phase in (Phase.WAITING, Phase.FAILED):
        return _KEPT if status.canary_weight else f"Nothing to do: all users have {before}."
    return ""


def _replaced(rollouts: History) -> str:
    """What the primary runs while the last rollout was not promoted, in the images that would have changed."""
    last = rollouts[-1] if rollouts and rollouts[-1].outcome not in _PROMOTED else None
    images = _changed(last.replaced, last.images) if last else {}
    return ", ".join(images.values()) or "the version before"


def _set_image(canary: Canary, images: Mapping[str, str]) -> str:
    """The command that gives the target these images."""
    kind, name = canary.target_key
    words = [f"{container}={image}" for container, image in images.items()]
    return shlex.join(["kubectl", "set", "image", f"{kind.lower()}/{name}", *words, f"--namespace={canary.namespace}"])


def _changed(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    return {name: image for name, image in before.items() if image != after.get(name, image)}
