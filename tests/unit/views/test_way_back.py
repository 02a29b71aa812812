"""How a page says to go back, phase by phase."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from controller.api.history import Outcome, Rollout
from controller.api.parse import parse_canary
from controller.views.way_back import way_back
from tests.builders import canary_manifest

AT = datetime(2026, 1, 1, tzinfo=UTC)
OLD, NEW = {"app": "podinfo:6.1.0", "proxy": "envoy:1"}, {"app": "podinfo:6.1.1", "proxy": "envoy:1"}


def rollout(number: int, outcome: Outcome | None, replaced: Mapping[str, str], images: Mapping[str, str]) -> Rollout:
    return Rollout(
        number=number, revision="r", outcome=outcome, replaced={**replaced}, images={**images}, started_at=AT
    )


PROMOTED = rollout(3, Outcome.PROMOTED, OLD, NEW)
FAILED = rollout(4, Outcome.ROLLED_BACK, NEW, {"app": "podinfo:6.1.2", "proxy": "envoy:1"})
RUNNING = rollout(4, None, NEW, FAILED.images)
SKIPPED = rollout(5, Outcome.SKIPPED, NEW, {"app": "podinfo:7; rm", "proxy": "envoy:2"})
SETTINGS = rollout(6, Outcome.PROMOTED, NEW, NEW)
UNKNOWN = "No version before this one is known here. To go back, apply it to the target."


@pytest.mark.parametrize(
    ("phase", "rollouts", "said", "command"),
    [
        ("Progressing", (PROMOTED,), "Abort does it: the primary still runs the version before.", ""),
        ("WaitingPromotion", (), "Abort does it: the primary still runs the version before.", ""),
        ("Promoting", (), "Not now: the new version is on its way to all users. Go back once it is there.", ""),
        ("Finalising", (), "Not now: the new version is on its way to all users. Go back once it is there.", ""),
        ("Progressing", (PROMOTED, RUNNING), "Abort does it: the primary still runs podinfo:6.1.1.", ""),
        ("Failed", (PROMOTED, FAILED), "Nothing to do: all users have podinfo:6.1.1.", ""),
        ("Waiting", (PROMOTED,), "Nothing to do: all users have the version before.", ""),
        ("Initialized", (), UNKNOWN, ""),
        ("Succeeded", (FAILED,), UNKNOWN, ""),
        (
            "Succeeded",
            (PROMOTED, SETTINGS),
            "Rollout 6 changed no image. To go back, apply the settings before it to the target.",
            "",
        ),
        (
            "Succeeded",
            (PROMOTED, FAILED),
            "Before rollout 3 this ran podinfo:6.1.0. Apply that where the version comes from, or by hand:",
            "kubectl set image deployment/backend app=podinfo:6.1.0 --namespace=prod",
        ),
        (
            "Succeeded",
            (PROMOTED, SKIPPED),
            "Before rollout 5 this ran podinfo:6.1.1, envoy:1. Apply that where the version comes from, or by hand:",
            "kubectl set image deployment/backend app=podinfo:6.1.1 proxy=envoy:1 --namespace=prod",
        ),
    ],
)
def test_how_to_go_back(phase, rollouts, said, command):
    canary = parse_canary({**canary_manifest(), "status": {"phase": phase}})
    assert way_back(canary, rollouts) == (said, command)


def test_a_canary_that_kept_its_traffic_is_not_called_gone():
    canary = parse_canary({**canary_manifest(), "status": {"phase": "Failed", "canaryWeight": 50}})
    said, _ = way_back(canary, (PROMOTED,))
    assert said.startswith("The primary did not come up, so the canary keeps its traffic:")


def test_the_command_is_quoted_for_a_shell():
    canary = parse_canary({**canary_manifest(), "status": {"phase": "Succeeded"}})
    _, command = way_back(canary, (rollout(1, Outcome.PROMOTED, {"app": "a; rm -rf /"}, NEW),))
    assert "'app=a; rm -rf /'" in command
