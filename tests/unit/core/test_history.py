"""The record of a rollout, folded from whole rollouts of the core, version by version of the status."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from controller.api.canary import Canary
from controller.api.history import Limit, Measured, Outcome, Rollout, Sample
from controller.api.receipt import Override
from controller.api.status import Phase
from controller.core.history import MOST_SAMPLES, Origin, from_rest, joined, see, thinned
from controller.core.probes import NoValues, Value
from tests.builders import AB_TESTING, ERROR_RATE, NOW, WEIGHTED, canary_manifest
from tests.unit.core.cluster import Cluster, initialized

CHECKED = {**WEIGHTED, "metrics": [ERROR_RATE]}
ERRORS = "metric/error-rate"


@dataclass
class Recorder:
    """Takes in a Canary version by version, as a replica's cache has it."""

    cluster: Cluster
    rollout: Rollout | None = None
    past: list[Rollout] = field(default_factory=list)
    origin: Origin = field(default_factory=Origin)
    before: Canary | None = None

    def run(self, ticks: int, seconds: float = 10.0) -> Recorder:
        for _ in range(ticks):
            self.before = self.cluster.parsed
            self.cluster.tick(seconds)
            self.look()
        return self

    def look(self) -> None:
        seen = see(self.rollout, self.cluster.parsed, self.before.status if self.before else None, self.origin)
        self.past += [seen.superseded] if seen.superseded else []
        self.rollout = seen.rollout

    @property
    def now(self) -> Rollout:
        assert self.rollout is not None
        return self.rollout

    @property
    def course(self) -> list[tuple[str, int, int]]:
        return [(each.phase, each.weight, each.step) for each in self.now.samples]


def recorder(analysis: Any = CHECKED, **spec: Any) -> Recorder:
    return Recorder(initialized(canary_manifest(analysis=analysis, **spec)))


def test_a_good_rollout_is_recorded_from_start_to_promotion():
    recorded = recorder()
    recorded.origin = Origin({"backend": "podinfo:2"}, {"backend": "podinfo:1"}, "pulumi", recorded.cluster.now)
    recorded.cluster.set_image("podinfo:2")
    begun = recorded.cluster.now + timedelta(seconds=10)
    recorded.run(8)
    rollout = recorded.now
    assert recorded.course == [
        *[("Progressing", weight, 0) for weight in (0, 20, 40, 50)],
        ("Promoting", 50, 0),
        ("Finalising", 0, 0),
        ("Succeeded", 0, 0),
    ]
    assert rollout.samples[2].metrics == (Measured(name="error-rate", verdict="passed", value=0.0),)
    assert rollout.model_copy(update={"samples": (), "verdicts": ()}) == Rollout(
        revision=recorded.cluster.state.promoted,
        images={"backend": "podinfo:2"},
        replaced={"backend": "podinfo:1"},
        strategy="canary",
        started_at=begun,
        ended_at=recorded.cluster.state.transitioned_at,
        outcome=Outcome.PROMOTED,
        reason="Promoted",
        by="pulumi",
        limits=(Limit(name="error-rate", maximum=1),),
    )
    assert [(each.name, each.verdict) for each in rollout.verdicts] == [("error-rate", "passed")]


def rolled_back(recorded: Recorder) -> None:
    recorded.run(2)
    recorded.cluster.answers[ERRORS] = Value(100.0)
    recorded.run(6)


def aborted(recorded: Recorder) -> None:
    recorded.run(3)
    recorded.cluster.ask("abort")
    recorded.run(3)


def reverted(recorded: Recorder) -> None:
    recorded.run(3)
    recorded.cluster.set_image("podinfo:1")
    recorded.run(3)


@pytest.mark.parametrize(
    ("goes", "outcome", "reason"),
    [
        (rolled_back, Outcome.ROLLED_BACK, "ChecksFailed"),
        (aborted, Outcome.ABORTED, "Aborted"),
        (reverted, Outcome.REVERTED, "Reverted"),
    ],
)
def test_what_ended_a_rollout_is_its_outcome(goes, outcome, reason):
    recorded = recorder()
    recorded.cluster.set_image("podinfo:2")
    goes(recorded)
    rollout = recorded.now
    assert (rollout.outcome, rollout.reason) == (outcome, reason)
    assert rollout.ended_at == recorded.cluster.state.transitioned_at
    if outcome is Outcome.ROLLED_BACK:
        assert "error-rate 100.00 > 1" in rollout.verdicts[0].detail
        assert rollout.samples[-2].metrics[0] == Measured(name="error-rate", verdict="failed", value=100.0)


def test_a_newer_revision_ends_the_record_and_begins_another():
    recorded = recorder()
    recorded.cluster.set_image("podinfo:2")
    recorded.run(3)
    recorded.cluster.set_image("podinfo:3")
    recorded.run(9)
    (first,) = recorded.past
    assert (first.outcome, first.ended_at) == (Outcome.SUPERSEDED, recorded.now.started_at)
    assert recorded.now.outcome is Outcome.PROMOTED
    assert first.revision != recorded.now.revision


def test_limits_are_those_of_the_analysis_as_it_is_during_the_rollout_and_not_later():
    recorded = recorder()
    recorded.cluster.set_image("podinfo:2")
    recorded.run(2)
    recorded.cluster.edit_analysis(metrics=[{**ERROR_RATE, "thresholdRange": {"max": 2}}])
    recorded.run(8)
    recorded.cluster.edit_analysis(metrics=[])
    recorded.run(1)
    assert recorded.now.limits == (Limit(name="error-rate", maximum=2),)


def test_a_rollout_without_analysis_was_skipped():
    recorded = recorder(skipAnalysis=True)
    recorded.cluster.set_image("podinfo:2")
    recorded.run(5)
    assert recorded.now.outcome is Outcome.SKIPPED
    assert recorded.now.overrides == (Override(what="skipAnalysis"),)


def test_rounds_are_steps():
    recorded = recorder(AB_TESTING)
    recorded.cluster.set_image("podinfo:2")
    recorded.run(8)
    assert [each for each in recorded.course if each[0] == "Progressing"] == [
        ("Progressing", 0, 0),
        ("Progressing", 100, 1),
        ("Progressing", 100, 2),
    ]


def test_who_changed_the_target_before_the_rollout_before_did_not_start_this_one():
    recorded = recorder()
    changed = recorded.cluster.now
    recorded.origin = Origin(by="pulumi", changed_at=changed)
    recorded.cluster.set_image("podinfo:2")
    recorded.run(9)
    first = recorded.now
    recorded.cluster.set_image("podinfo:3")  # as far as anybody saw: a ConfigMap
    recorded.run(3)
    assert (first.by, recorded.now.by) == ("pulumi", "")


def test_values_that_are_missing_are_no_number():
    recorded = recorder()
    recorded.cluster.set_image("podinfo:2")
    recorded.run(2)
    recorded.cluster.answers[ERRORS] = NoValues()
    recorded.run(1)
    assert recorded.now.samples[-1].metrics == (Measured(name="error-rate", verdict="failed"),)


def test_a_record_survives_being_written_and_read():
    recorded = recorder()
    recorded.cluster.set_image("podinfo:2")
    recorded.run(8)
    assert Rollout.model_validate(recorded.now.to_dict()) == recorded.now


def test_a_controller_that_restarts_goes_on_from_what_was_kept():
    """As if it had not: what it missed is a sample at most."""
    recorded, whole = recorder(), recorder()
    for each in (recorded, whole):
        each.origin = Origin({"backend": "podinfo:2"}, by="pulumi", changed_at=NOW)
        each.cluster.set_image("podinfo:2")
        each.run(4)
    kept = recorded.now.model_copy(update={"number": 7})
    recorded.rollout, recorded.before, recorded.origin = None, None, Origin()
    recorded.run(5)
    assert joined(kept, recorded.now) == whole.run(5).now.model_copy(update={"number": 7})


def test_an_end_that_was_not_recorded_is_read_from_the_status():
    recorded = recorder()
    recorded.cluster.set_image("podinfo:2")
    kept = recorded.run(4).now
    recorded.run(5)
    found = from_rest(recorded.cluster.parsed)
    assert found is not None
    assert (found.started_at, found.outcome) == (kept.started_at, Outcome.PROMOTED)
    assert joined(kept, found).ended_at == recorded.now.ended_at


def test_a_canary_that_has_had_no_rollout_has_no_record():
    recorded = recorder()
    recorded.look()
    assert (recorded.rollout, from_rest(recorded.cluster.parsed)) == (None, None)


def test_a_long_rollout_is_thinned_evenly_and_keeps_ends_and_turns():
    weights = [0, 5, *[10] * 500, 20]
    samples = [
        Sample(at=NOW + timedelta(seconds=index), phase=Phase.PROGRESSING, weight=weight)
        for index, weight in enumerate(weights)
    ]
    left = thinned(samples, MOST_SAMPLES)
    assert len(left) == MOST_SAMPLES
    assert [each.weight for each in (*left[:3], left[-1])] == [0, 5, 10, 20]
    gaps = [(after.at - before.at).total_seconds() for before, after in pairwise(left[3:])]
    assert max(gaps) <= 10
