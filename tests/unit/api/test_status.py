"""The status: Flagger's is read and written back unchanged, unknown fields are ignored."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.api import CanaryStatus, CheckStatus, InvalidObject, Phase, parse_canary
from tests.unit.api.cases import GOOD

FLAGGERS = {
    "canaryWeight": 0,
    "conditions": [
        {
            "lastTransitionTime": "2026-11-24T00:48:05Z",
            "lastUpdateTime": "2026-11-24T00:48:05Z",
            "message": "Canary analysis failed, Deployment scaled to zero.",
            "reason": "Failed",
            "status": "False",
            "type": "Promoted",
        }
    ],
    "failedChecks": 0,
    "iterations": 0,
    "lastAppliedSpec": "7554554c66",
    "lastPromotedSpec": "9dccb99c5",
    "lastTransitionTime": "2026-11-24T00:49:55Z",
    "phase": "Failed",
    "trackedConfigs": {"configmap/backend-config": "aac83f481075f7ca"},
}


def parse(status) -> CanaryStatus:
    return parse_canary({**GOOD["Canary weighted"], "status": status}).status


def test_flaggers_status_is_written_back_as_it_was_read():
    assert parse(FLAGGERS).to_dict() == FLAGGERS


def test_no_status_is_a_new_canary_with_counters_at_zero():
    status = parse_canary(GOOD["Canary weighted"]).status
    assert status.phase is Phase.NEW
    assert status.to_dict() == {"phase": "", "failedChecks": 0, "canaryWeight": 0, "iterations": 0}


def test_fields_of_another_version_and_nulls_are_ignored():
    status = parse({**FLAGGERS, "lastTransitionTime": None, "trackedConfigs": None, "ofTheFuture": {"x": 1}})
    expected = {k: v for k, v in FLAGGERS.items() if k not in ("lastTransitionTime", "trackedConfigs")}
    assert status.to_dict() == expected


def test_a_status_that_no_controller_wrote_is_refused():
    with pytest.raises(InvalidObject) as caught:
        parse({"phase": "Exploded"})
    assert 'status.phase: Unsupported value: "Exploded": supported values: "", "Initializing"' in str(caught.value)


def test_times_are_utc_in_seconds_and_the_analysis_is_timed_finer():
    moment = datetime(2026, 11, 24, 2, 0, 5, 250_000, tzinfo=timezone(timedelta(hours=2)))
    status = CanaryStatus(last_transition_time=moment, analysed_at=moment)
    assert status.to_dict()["lastTransitionTime"] == "2026-11-24T00:00:05Z"
    assert status.to_dict()["analysedAt"] == "2026-11-24T00:00:05.250000Z"


moments = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants naive bounds
statuses = st.builds(
    CanaryStatus,
    phase=st.sampled_from(Phase),
    failed_checks=st.integers(0, 100),
    canary_weight=st.integers(0, 100),
    iterations=st.integers(-1, 100),
    tracked_configs=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
    last_applied_spec=st.text(max_size=5),
    last_transition_time=st.none() | moments,
    analysed_at=st.none() | moments,
    mirrored=st.booleans(),
    message=st.text(max_size=5),
    checks=st.lists(
        st.builds(
            CheckStatus,
            name=st.text(max_size=5),
            passed=st.booleans(),
            value=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        ),
        max_size=2,
    ).map(tuple),
)


@given(status=statuses)
def test_a_status_survives_being_written_and_read(status):
    assert parse(status.to_dict()) == status
