"""The one sentence about a Canary, and whether it needs a person."""

from __future__ import annotations

from typing import Any

import pytest

from controller.views.summary import Urgency, summarize
from tests.builders import AB_TESTING, WEIGHTED, canary_manifest, make_deployment

TARGET = {**make_deployment(image="podinfo:6.1.1"), "status": {"readyReplicas": 1}}
PRIMARY = {**make_deployment("backend-primary", image="podinfo:6.1.0"), "status": {"readyReplicas": 1}}
STALLED = {"conditions": [{"type": "Stalled", "status": "True", "reason": "X"}]}
DUE = {"nextCheckTime": "2026-01-01T12:00:10Z"}


@pytest.mark.parametrize(
    ("status", "analysis", "sentence", "urgency"),
    [
        ({}, WEIGHTED, "The controller has not taken it up yet.", Urgency.UNDER_WAY),
        ({"phase": "Initializing"}, WEIGHTED, "The primary of 6.1.1 is set up.", Urgency.UNDER_WAY),
        ({"phase": "Initialized"}, WEIGHTED, "All users have 6.1.0.", Urgency.AT_REST),
        ({"phase": "Succeeded"}, WEIGHTED, "All users have 6.1.0.", Urgency.AT_REST),
        (
            {"phase": "Progressing", "canaryWeight": 20, **DUE},
            WEIGHTED,
            "6.1.1 has 20% of the traffic. Next check at 12:00:10 UTC.",
            Urgency.UNDER_WAY,
        ),
        (
            {"phase": "Progressing", "canaryWeight": 20, "message": "halt: error-rate 3 > 1.", **DUE},
            WEIGHTED,
            "6.1.1 has 20% of the traffic. Halt: error-rate 3 > 1. Next check at 12:00:10 UTC.",
            Urgency.UNDER_WAY,
        ),
        ({"phase": "Progressing"}, WEIGHTED, "6.1.1 has no traffic yet.", Urgency.UNDER_WAY),
        (
            {"phase": "Progressing", "mirrored": True},
            WEIGHTED,
            "6.1.1 gets a copy of the traffic.",
            Urgency.UNDER_WAY,
        ),
        (
            {"phase": "Progressing", "canaryWeight": 100, "iterations": 1},
            AB_TESTING,
            "6.1.1 is in round 1 of 2.",
            Urgency.UNDER_WAY,
        ),
        (
            {"phase": "Progressing", "canaryWeight": 20, "reason": "Paused", **DUE},
            WEIGHTED,
            "6.1.1 has 20% of the traffic. It goes on once somebody resumes it.",
            Urgency.PERSON,
        ),
        (
            {"phase": "WaitingPromotion", "canaryWeight": 50, "reason": "PromotionNotApproved"},
            WEIGHTED,
            "6.1.1 has 50% of the traffic; its steps are done. It goes on once its gate is open.",
            Urgency.PERSON,
        ),
        ({"phase": "Promoting"}, WEIGHTED, "6.1.1 has passed, and is copied to the primary.", Urgency.UNDER_WAY),
        (
            {"phase": "Finalising"},
            WEIGHTED,
            "All traffic is back at the primary, which runs 6.1.0.",
            Urgency.UNDER_WAY,
        ),
        (
            {"phase": "Failed", "message": "Rolling back: errors 30%", **STALLED},
            WEIGHTED,
            "6.1.1 was rolled back; all users have 6.1.0. Rolling back: errors 30%.",
            Urgency.PERSON,
        ),
        (
            {"phase": "Failed", "canaryWeight": 100, **STALLED},
            WEIGHTED,
            "6.1.1 has 100% of the traffic, because the primary did not come up.",
            Urgency.PERSON,
        ),
    ],
)
def test_a_sentence_says_what_goes_on_why_and_what_comes_next(
    status: dict[str, Any], analysis: dict[str, Any], sentence: str, urgency: Urgency
):
    summary = summarize({**canary_manifest(analysis=analysis), "status": status}, TARGET, PRIMARY)
    assert (summary.sentence, summary.urgency) == (sentence, urgency)


def test_an_invalid_spec_needs_a_person_whatever_its_status_says():
    broken = {**canary_manifest(), "status": {"phase": "Initialized"}}
    broken["spec"]["analysis"]["threshold"] = "many"
    summary = summarize(broken)
    assert summary.urgency is Urgency.PERSON
    assert "Invalid: spec.analysis.threshold" in summary.sentence


def test_without_workloads_the_versions_are_not_named():
    assert summarize({**canary_manifest(), "status": {"phase": "Initialized"}}).sentence == (
        "All users have the version of the primary."
    )
