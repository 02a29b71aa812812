"""What starts a canary, what starts it again, and that a lost controller changes nothing."""

from tests.e2e.test_2_weighted import LADDER
from tests.e2e.world import World


def test_a_config_starts_a_canary_a_newer_version_restarts_it_and_a_killed_controller_does_not_hurt(world: World):
    mark = world.mark()
    world.deploy("backend", config={"GREETING": "good morning"})
    first = world.wait_for("backend", "at 10%", lambda sight: sight.weight == 10, after=mark)

    again, routes, heard = world.mark(), len(world.routes), len(world.events)
    world.deploy("backend", env={"REVISION": "newer"})
    world.wait_for("backend", "restarted", lambda sight: sight.applied != first.applied, after=again)
    world.wait_for_event("backend", "New revision detected! Restarting analysis for backend.prod", after=heard)

    world.wait_for("backend", "at 20% again", lambda sight: sight.weight == 20, after=world.mark())
    world.kubectl("delete", "pod", "-n", "istio-system", "-l", "app=canary-controller", "--force", "--grace-period=0")
    world.wait_for_phase("backend", "Succeeded", after=again, seconds=180)
    since_restart = world.weights_since("backend", routes)
    assert since_restart[since_restart.index(0) + 1 : -1] == LADDER
    assert since_restart[-1] == 0
    assert world.get("configmap", "backend-config-primary")["data"] == {"GREETING": "good morning"}
