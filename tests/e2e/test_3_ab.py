"""`frontend`, A/B: only selected users get the canary, and everybody after the promotion."""

from tests.e2e.traffic import FIREFOX, INSIDER
from tests.e2e.world import World


def test_firefox_users_and_insiders_reach_the_canary_and_others_do_not_until_it_is_promoted(world: World):
    mark, heard = world.mark(), len(world.events)
    world.deploy("frontend", tag="6.1.1")
    world.wait_for("frontend", "in its first round", lambda sight: sight.iterations >= 1, after=mark)
    world.wait_for_version(FIREFOX, "6.1.1")
    assert world.version_for(INSIDER) == "6.1.1"
    assert world.version_for() == "6.1.0"
    assert world.version_for({"Cookie": "type=outsider"}) == "6.1.0"
    last = world.wait_for("frontend", "in its last round", lambda sight: sight.iterations == 4, after=mark)
    assert last.weight == 100
    world.wait_for_phase("frontend", "Succeeded", after=mark)
    assert world.version_for() == "6.1.1"
    assert world.version_for(FIREFOX) == "6.1.1"
    for iteration in (1, 2, 3, 4):
        world.wait_for_event("frontend", f"Advance frontend.prod canary iteration {iteration}/4", after=heard)
