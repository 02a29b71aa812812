"""`pulumi up` that follows the rollout which it has started, and fails if that is rolled back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.running import SandboxError
from tests.e2e.world import World

FOLLOW = "canary-on-istio:rollouts"


@pytest.fixture(scope="module")
def followed(world: World) -> Iterator[World]:
    """The same stack with gates, which find that nothing is under way, whatever became of the versions before."""
    mark = world.mark()
    for app in ("backend", "frontend"):
        world.deploy(app, env={"REVISION": "followed"}, skipAnalysis=True)
        world.wait_for_phase(app, "Succeeded", after=mark)
    try:
        world.deploy_stack({FOLLOW: {"follow": True}})
        yield world
    finally:
        apps = {app: {"skipAnalysis": False} for app in ("backend", "frontend")}
        world.deploy_stack({FOLLOW: {"follow": False}, "canary-on-istio:apps": apps})


def rollouts(world: World) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(world.sandbox.engine.read("stack", "output", "rollouts", "--json"))
    return found


def tag(world: World) -> str:
    containers = world.get("deployment", "backend-primary")["spec"]["template"]["spec"]["containers"]
    return str(containers[0]["image"]).rpartition(":")[2]


def test_up_ends_when_the_version_is_promoted_and_its_outputs_tell(followed: World):
    before = rollouts(followed)
    assert {name: found["outcome"] for name, found in before.items()} == {"frontend": "promoted", "backend": "promoted"}
    new = "6.1.2" if tag(followed) != "6.1.2" else "6.1.1"
    followed.deploy("backend", tag=new)
    assert tag(followed) == new
    after = rollouts(followed)
    assert after["frontend"] == before["frontend"]
    assert (after["backend"]["outcome"], after["backend"]["images"]["backend"].rpartition(":")[2]) == ("promoted", new)
    assert "sha256:" in after["backend"]["digests"]["backend"]
    receipt = after["backend"]["receipt"]
    assert (receipt["revision"], receipt["images"]) == (after["backend"]["revision"], after["backend"]["images"])
    assert receipt["skipped"] == "skipAnalysis", "it proves nothing, and says so"
    assert after["backend"]["revision"] != before["backend"]["revision"]


def test_up_fails_when_the_version_is_rolled_back_says_why_and_fails_again_until_it_is_changed(followed: World):
    good = tag(followed)
    rolled_back = r"(?s)prod/backend: rolled back \(DeadlineExceeded\).*podinfo:0\.0\.0"
    with pytest.raises(SandboxError, match=rolled_back):
        followed.deploy("backend", tag="0.0.0", progressDeadlineSeconds=20)
    with pytest.raises(SandboxError, match=rolled_back):
        followed.deploy_stack({})
    followed.deploy("backend", tag=good, progressDeadlineSeconds=600)
    assert rollouts(followed)["backend"]["outcome"] == "promoted"
    assert tag(followed) == good
