"""What is kept of rollouts: numbered, at most so many, and never too large for etcd."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from controller.api.history import Measured, Outcome, Rollout, Sample, read_rollouts
from controller.api.status import Phase
from controller.core.kept import (
    MOST_BYTES,
    MOST_ROLLOUTS,
    history_data,
    history_object,
    is_history_of,
    merged,
    read_history,
)
from tests.builders import NOW, canary_manifest

CANARY = canary_manifest()


def rollout(day: int, *, samples: int = 3, metrics: int = 1, text: str = "", **fields: Any) -> Rollout:
    begun = NOW + timedelta(days=day)
    names = [f"a-metric-with-a-name-{index}" for index in range(metrics)]
    measured = tuple(Measured(name=name, verdict="INCONCLUSIVE", ratio=1.234, requests=12345.0) for name in names)
    course = [
        Sample(at=begun + timedelta(seconds=10 * index), phase=Phase.PROGRESSING, weight=index // 10, metrics=measured)
        for index in range(samples)
    ]
    made: dict[str, Any] = {"outcome": Outcome.PROMOTED, "message": text, **fields}
    return Rollout(revision=f"r{day}", started_at=begun, samples=tuple(course), **made)


def kept(*rollouts: Rollout) -> dict[str, Any]:
    return history_object(CANARY, history_data(None, rollouts), None)


def test_rollouts_are_numbered_from_one_and_known_ones_go_on():
    first, second, third = rollout(1), rollout(2, outcome=None), rollout(3)
    went_on = second.model_copy(update={"outcome": Outcome.ABORTED})
    found = merged(merged((), [first, second]), [went_on, third])
    assert [(each.number, each.revision, each.outcome) for each in found] == [
        (1, "r1", Outcome.PROMOTED),
        (2, "r2", Outcome.ABORTED),
        (3, "r3", Outcome.PROMOTED),
    ]


def test_the_last_twenty_are_kept_and_numbers_go_on():
    live = kept(*(rollout(day) for day in range(25)))
    found = read_history({**live, "data": history_data(live, [rollout(30)])})
    assert [each.number for each in found] == list(range(7, 27))
    assert len(found) == MOST_ROLLOUTS


@pytest.mark.parametrize(
    ("rollouts", "numbers", "thinned"),
    [
        pytest.param([rollout(day, samples=10) for day in range(5)], [1, 2, 3, 4, 5], False, id="what fits stays"),
        pytest.param(
            [rollout(day, samples=100, metrics=5) for day in range(20)],
            list(range(1, 21)),
            True,
            id="series that are long are thinned",
        ),
        pytest.param(
            [rollout(day, text="x" * 30_000) for day in range(10)],
            [5, 6, 7, 8, 9, 10],
            False,
            id="where thinning is not enough, the oldest go",
        ),
    ],
)
def test_the_size_is_bounded(rollouts, numbers, thinned):
    data = history_data(None, rollouts)
    assert sum(map(len, data.values())) <= MOST_BYTES
    found = read_rollouts(data)
    assert [each.number for each in found] == numbers
    lengths = [len(each.samples) for each in found]
    assert lengths == sorted(lengths)
    assert (lengths[0] < len(rollouts[0].samples)) is thinned


def test_one_rollout_that_is_too_large_alone_is_kept_without_its_series():
    data = history_data(None, [rollout(1, samples=100, metrics=500)])
    (found,) = read_rollouts(data)
    assert (found.revision, found.samples) == ("r1", ())
    assert sum(map(len, data.values())) <= MOST_BYTES


def test_a_rollout_that_is_damaged_costs_no_other():
    data = {**history_data(None, [rollout(1), rollout(2)]), "2": "{", "note": "by hand"}
    assert [each.revision for each in read_rollouts(data)] == ["r1"]


def test_the_object_goes_with_its_canary_and_is_known_by_that():
    live = kept(rollout(1))
    assert live["metadata"] == {
        "name": "backend-rollouts",
        "namespace": "prod",
        "ownerReferences": [
            {"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "name": "backend", "uid": "uid-backend"}
        ],
    }
    assert is_history_of(CANARY, live)
    again = {**CANARY, "metadata": {**CANARY["metadata"], "uid": "uid-of-a-later-one"}}
    assert not is_history_of(again, live)
    assert not is_history_of(CANARY, {"metadata": {"name": "backend-rollouts"}})
