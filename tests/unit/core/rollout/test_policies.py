"""The order of the policies is the controller; whoever changes it changes this list and says why."""

from __future__ import annotations

import pytest

from controller.api.status import Phase
from controller.core.decision import Decision
from controller.core.model import Observation, State
from controller.core.rollout.decide import GUARDS, POLICIES, decide
from tests.unit.core.cluster import initialized

INITIALISE = "look_at_pods initialise"
IDLE = (
    "give_back await_configs take_over resume_promotion explain drain stay notice_revert refuse_start"
    " protect_promotion look_at_pods await_start await_gate await_turn start"
)
PROGRESS = (
    "take_over resume_copied notice_revert supersede restart fail_with_group obey_abort restart_outgrown drain"
    " restore_pods give_back look_at_pods meet_deadline await_start_of_traffic skip_analysis promote_with_group"
    " await_due obey_rollback_hooks analyse"
)
PROMOTE = "take_over leave_untaken protect_promotion give_back look_at_pods await_promoted_primary shift_to_primary"

ORDER = {
    Phase.NEW: INITIALISE,
    Phase.INITIALIZING: INITIALISE,
    Phase.INITIALIZED: IDLE,
    Phase.WAITING: IDLE,
    Phase.PROGRESSING: PROGRESS,
    Phase.WAITING_PROMOTION: PROGRESS,
    Phase.PROMOTING: PROMOTE,
    Phase.FINALISING: "finalise",
    Phase.SUCCEEDED: IDLE,
    Phase.FAILED: IDLE,
    Phase.TERMINATING: "",
    Phase.TERMINATED: "",
}


def test_the_guards_come_first_in_this_order():
    order = "suspended unsupported forbidden contested targetless unselectable foreign overlapping retargeted"
    assert " ".join(guard.__name__ for guard in GUARDS) == order


@pytest.mark.parametrize("phase", list(Phase))
def test_the_policies_of_each_phase_are_tried_in_this_order(phase):
    assert " ".join(policy.__name__ for policy in POLICIES[phase]) == ORDER[phase]


@pytest.mark.parametrize("phase", [Phase.TERMINATING, Phase.TERMINATED])
def test_nothing_is_done_to_a_canary_that_goes_away(phase):
    state = State(phase=phase)
    assert decide(state, Observation(initialized().facts())) == Decision(state)
