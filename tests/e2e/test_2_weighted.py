"""`backend`, by weights: a good version is promoted; bad ones are rolled back for what they do to users."""

from typing import Any

import pytest

from tests.e2e.traffic import MeshUser, SteadyUsers
from tests.e2e.world import PATIENCE, World

BACKEND = "http://backend.prod:9898/version"
LADDER = [5, 10, 15, 20, 25, 30, 35, 40, 45, 50]
GOOD_LOAD = "hey -z 8s -q 10 -c 2 http://backend.prod:9898/"
PROMOTED = (
    "New revision detected! Scaling up backend.prod",
    "Starting canary analysis for backend.prod",
    "Pre-rollout check conformance-test passed",
    *(f"Advance backend.prod canary weight {weight}" for weight in LADDER),
    "Copying backend.prod template spec to backend-primary.prod",
    "Routing all traffic to primary",
    "Promotion completed! Scaling down backend.prod",
)


def analysis(load_test: str, threshold: int) -> dict[str, Any]:
    return {"threshold": threshold, "webhooks": {"load-test": {"metadata": {"cmd": load_test}}}}


def test_a_good_version_goes_up_the_ladder_and_is_promoted_without_a_lost_request(world: World):
    mark, routes, heard = world.mark(), len(world.routes), len(world.events)
    with SteadyUsers(world.gateway) as outside, MeshUser(world.sandbox.node, BACKEND) as inside:
        world.deploy("backend", tag="6.1.1")
        world.wait_for("backend", "at 15%", lambda sight: sight.weight == 15, after=mark)
        looks = [world.preview("--expect-no-changes", "--diff", "--refresh"), world.drift()]
        top = world.wait_for("backend", "at 50%", lambda sight: sight.weight == 50, after=mark)
        during = list(inside.versions)
        world.wait_for_phase("backend", "Succeeded", after=mark)
    looks += [world.preview("--expect-no-changes", "--diff", "--refresh"), world.drift()]
    assert [look.stdout + look.stderr for look in looks if look.returncode != 0] == []
    assert [weight for weight in world.weights_since("backend", routes) if weight] == LADDER
    assert top.phase == "Progressing"
    for message in PROMOTED:
        world.wait_for_event("backend", message, after=heard)

    primary = world.get("deployment", "backend-primary")
    assert primary["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":6.1.1")
    world.wait_for_scale("backend", 0)
    assert set(during) == {"6.1.0", "6.1.1"}
    assert 0 < during.count("6.1.1") < during.count("6.1.0")
    assert (inside.versions[-1], inside.versions.count("lost")) == ("6.1.1", 0)
    assert outside.calls > 200
    assert outside.lost == []


def test_the_controller_tells_prometheus_how_it_went(world: World):
    here = 'namespace="prod"'
    world.measure(f'flagger_canary_status{{name="backend",{here}}}', 1)
    world.measure(f'flagger_canary_weight{{workload="backend",{here}}}', 0)
    world.measure(f'flagger_canary_weight{{workload="backend-primary",{here}}}', 100)
    world.measure(f'flagger_canary_successes_total{{name="backend",deployment_strategy="canary",{here}}} >= bool 1', 1)


@pytest.mark.parametrize(
    ("path", "verdict"),
    [
        ("status/500", "Halt backend.prod advancement error-rate 100.00 > 1"),
        ("delay/1", "Halt backend.prod advancement latency "),
    ],
    ids=["answers with errors", "is slow"],
)
def test_a_bad_version_is_halted_and_rolled_back(world: World, path, verdict):
    mark, routes, heard = world.mark(), len(world.routes), len(world.events)
    before = world.get("deployment", "backend-primary")["spec"]["template"]
    load = f"hey -z 20s -q 10 -c 4 http://backend-canary.prod:9898/{path}"
    world.deploy("backend", tag="6.1.2", analysis=analysis(load, threshold=4))
    world.wait_for_phase("backend", "Progressing", after=mark)
    failed = world.wait_for_phase("backend", "Failed", after=mark)
    with MeshUser(world.sandbox.node, BACKEND) as inside:
        halted = world.wait_for_event("backend", verdict, after=heard)
        world.wait_for_event("backend", "Rolling back backend.prod failed checks threshold reached 4", after=heard)
        world.wait_for_event("backend", "Canary failed! Scaling down backend.prod", after=heard)
        world.deploy("backend", analysis=analysis(GOOD_LOAD, threshold=PATIENCE))  # no rollout comes of that
    assert halted.endswith((" > 1", " > 500"))
    assert failed.weight == 0
    assert failed.message.startswith("Rolling back backend.prod failed checks threshold reached 4")
    # A look at latency may come before its first slow answer.
    assert world.weights_since("backend", routes) in ([5, 0], [5, 10, 0])
    assert world.get("deployment", "backend-primary")["spec"]["template"] == before
    world.wait_for_scale("backend", 0)
    assert len(inside.versions) > 5
    assert set(inside.versions) == {"6.1.1"}
    back = world.mark()
    world.deploy("backend", tag="6.1.1")
    world.wait_for_phase("backend", "Initialized", after=back)
