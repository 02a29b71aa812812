"""`backend`, by weights: a good version is promoted; bad ones are rolled back for what they do to users."""

from typing import Any

import pytest

from tests.e2e.world import SteadyUsers, World

LADDER = [5, 10, 15, 20, 25, 30, 35, 40, 45, 50]


def load_test(command: str) -> dict[str, Any]:
    return {"webhooks": {"load-test": {"metadata": {"cmd": command}}}}


def test_a_good_version_goes_up_the_ladder_and_is_promoted_without_a_lost_request(world: World):
    mark, routes = world.mark(), len(world.routes)
    with SteadyUsers(world) as users:
        world.deploy("backend", tag="6.1.1")
        world.wait_for("backend", "at 15%", lambda sight: sight.weight == 15, after=mark)
        preview = world.preview("--expect-no-changes", "--diff", "--refresh")
        world.wait_for_phase("backend", "Succeeded", after=mark, seconds=180)
    assert preview.returncode == 0, preview.stdout + preview.stderr
    assert [weight for weight in world.weights_since("backend", routes) if weight] == LADDER
    primary, target = world.get("deployment", "backend-primary"), world.get("deployment", "backend")
    assert primary["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":6.1.1")
    assert target["spec"]["replicas"] == 0
    assert users.calls > 200
    assert users.lost == []
    told = world.events("backend")
    for message in (
        "New revision detected! Scaling up backend.prod",
        "Starting canary analysis for backend.prod",
        "Pre-rollout check conformance-test passed",
        "Advance backend.prod canary weight 5",
        "Advance backend.prod canary weight 50",
        "Copying backend.prod template spec to backend-primary.prod",
        "Routing all traffic to primary",
        "Promotion completed! Scaling down backend.prod",
    ):
        assert message in told


@pytest.mark.parametrize(
    ("revision", "path", "verdict"),
    [
        ("errors", "status/500", "Halt backend.prod advancement error-rate 100.00 > 1"),
        ("slow", "delay/1", "Halt backend.prod advancement latency "),
    ],
)
def test_a_bad_version_is_halted_and_rolled_back(world: World, revision, path, verdict):
    mark = world.mark()
    before = world.get("deployment", "backend-primary")["spec"]["template"]
    load = f"hey -z 20s -q 10 -c 4 http://backend-canary.prod:9898/{path}"
    world.deploy("backend", env={"REVISION": revision}, analysis=load_test(load))
    world.wait_for_phase("backend", "Progressing", after=mark)
    failed = world.wait_for_phase("backend", "Failed", after=mark)
    told = world.events("backend")
    assert any(message.startswith(verdict) for message in told), told
    assert "Rolling back backend.prod failed checks threshold reached 4" in told
    assert "Canary failed! Scaling down backend.prod" in told
    assert failed.weight == 0
    assert failed.message.startswith("Rolling back backend.prod failed checks threshold reached 4")
    assert [route["weight"] for route in world.get("virtualservice", "backend")["spec"]["http"][0]["route"]] == [100, 0]
    assert world.get("deployment", "backend-primary")["spec"]["template"] == before
    assert world.get("deployment", "backend")["spec"]["replicas"] == 0
    # The program's load test again, for the tests that follow.
    good = "hey -z 8s -q 10 -c 2 http://backend-canary.prod:9898/"
    world.deploy("backend", env={"REVISION": None}, analysis=load_test(good))
    world.wait_for("backend", "back", lambda sight: sight.phase == "Initialized", after=mark)
