"""The setting that is proposed is the quickest that holds its risk on the recorded traffic."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from random import Random
from typing import Any

import pytest

from controller.api.durations import parse_duration
from controller.core.simulation.expectations import Traffic as Pace
from controller.core.simulation.replay import plan_recording
from controller.core.simulation.traffic import measure_traffic
from controller.core.simulation.tune import SETTINGS, Trial, find_candidates, foresee, try_candidates
from tests.builders import make_canary
from tests.unit.core.evidence.traffic import PRIMARIES, Traffic, recorded

ANALYSIS: Mapping[str, Any] = {
    "interval": "30s",
    "threshold": 3,
    "stepWeight": 10,
    "maxWeight": 50,
    "metrics": [{"name": "errors", "compare": {"errors": {}, "harmfulRatio": 7}}],
}
CANARY = make_canary(analysis=ANALYSIS)
(METRIC,) = CANARY.spec.analysis.metrics
PACE = Pace(requests_per_second=300.0, bad_rates={"errors": (0.01,)})
POINTS = 160
REQUESTS = 3000


def trials(bad_of: Callable[[int, int, Random], float], most_runs: int = 20) -> Iterator[Trial]:
    """The trials on eighty minutes of three pods; ``bad_of`` gives a pod's bad rate from its number and the point."""
    random = Random(7)

    def bad(pod: int, point: int) -> int:
        return sum(random.random() < bad_of(pod, point, random) for _ in range(REQUESTS // 10)) * 10

    counted = [{pod: (REQUESTS, bad(n, point)) for n, pod in enumerate(PRIMARIES)} for point in range(POINTS)]
    series = Traffic(POINTS, lambda point: counted[point]).series()
    recording = recorded(POINTS, dict.fromkeys(plan_recording(CANARY, {}), series), step=30.0)
    candidates = find_candidates(CANARY, measure_traffic(CANARY, recording).traffic, METRIC)
    return try_candidates(CANARY, {}, recording, METRIC, candidates, most_runs=most_runs)


def proposed(found: Iterable[Trial]) -> Trial:
    return next(trial for trial in found if trial.holds(0.05))


def test_the_quickest_come_first_and_each_finds_the_doubling_within_its_plan():
    found = find_candidates(CANARY, PACE, METRIC)
    seconds = [candidate.doubling.seconds or 0 for candidate in found]
    assert len(found) > len(SETTINGS) / 2
    assert seconds == sorted(seconds)
    for candidate in found:
        doubling = foresee(candidate.on(CANARY, METRIC).spec.analysis, PACE, METRIC)
        assert doubling is not None
        assert doubling.look is not None


def test_pods_that_are_alike_get_a_quick_setting():
    trial = proposed(trials(lambda *_: 0.01))
    assert (trial.candidate.setting.sensitivity, trial.candidate.setting.warmup, trial.alarms) == ("high", "0s", 0)


def test_pods_that_differ_get_the_first_setting_that_bears_it():
    trial = proposed(found := list(islice(trials(lambda pod, *_: 0.02 if pod else 0.03), 4)))
    assert found.index(trial) > 0
    assert trial.candidate.setting.sensitivity == "medium"


def test_where_pods_differ_without_end_no_setting_holds_the_risk():
    assert not any(trial.holds(0.05) for trial in trials(lambda pod, *_: 0.02 if pod else 0.6, most_runs=3))


def test_a_pod_alone_cannot_be_tried():
    series = Traffic(POINTS, lambda _: {PRIMARIES[0]: (REQUESTS, 30)}).series()
    recording = recorded(POINTS, dict.fromkeys(plan_recording(CANARY, {}), series), step=30.0)
    candidates = find_candidates(CANARY, measure_traffic(CANARY, recording).traffic, METRIC)
    assert candidates
    assert not tuple(try_candidates(CANARY, {}, recording, METRIC, candidates))


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_is_whole_whatever_the_spec_had_before(setting):
    compare = setting.on(CANARY, METRIC).spec.analysis.metrics[0].to_dict()["compare"]
    limits = {key for key in compare if key.startswith("harm")}
    assert not limits
    again = make_canary(analysis={**ANALYSIS, "metrics": [{"name": "errors", "compare": compare}]})
    assert again.spec.analysis.metrics[0].compare == setting.on(CANARY, METRIC).spec.analysis.metrics[0].compare


def test_less_traffic_takes_a_longer_interval_and_hardly_any_has_no_candidates():
    paces = [Pace(requests_per_second=pace, bad_rates={"errors": (0.01,)}) for pace in (2000, 20, 0.001)]
    quickest = [next(iter(find_candidates(CANARY, pace, METRIC)), None) for pace in paces]
    assert quickest[0] is not None
    assert quickest[1] is not None
    assert parse_duration(quickest[0].interval) < parse_duration(quickest[1].interval)
    assert quickest[2] is None
