"""``canary history`` and ``canary show``: golden text of rollouts that the core has run."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rich.console import Console

from controller.api.history import History
from controller.api.receipt import Override
from controller.cli import history
from controller.cli.errors import CommandError
from controller.core.history import Origin, see
from controller.core.kept import history_data, history_object, merged
from controller.core.probes import Value
from controller.views.record import render_record
from tests.builders import ERROR_RATE, WEIGHTED, canary_manifest
from tests.golden_files import assert_golden_text
from tests.unit.cli.rollouts import rolling_out
from tests.unit.core.cluster import initialized
from tests.unit.core.test_history import ERRORS, Recorder
from tests.unit.shell.fakes import FakeKube


def past() -> tuple[Recorder, History]:
    """One version promoted, one rolled back, one under way."""
    recorded = Recorder(initialized(canary_manifest(analysis={**WEIGHTED, "metrics": [ERROR_RATE]})))
    rollouts: History = ()
    for version, answer, ticks in (("6.1.1", 0.4, 12), ("6.1.2", 7.0, 8), ("6.1.3", 0.2, 3)):
        images = {"backend": f"ghcr.io/shop/backend:{version}"}
        recorded.origin = Origin(images, {"backend": "ghcr.io/shop/backend:6.1.0"}, "pulumi", recorded.cluster.now)
        recorded.cluster.answers[ERRORS] = Value(answer)
        recorded.cluster.set_image(images["backend"])
        recorded.run(ticks)
        rollouts = merged(rollouts, [recorded.now])
    return recorded, rollouts


def drawn(picture: Any, width: int = 80) -> str:
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(picture)
    return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def test_the_history_is_a_line_for_each_rollout():
    _, rollouts = past()
    assert_golden_text("cli/history.txt", drawn(history.draw_histories([("prod/backend", rollouts)])))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_rollout_is_shown_with_its_course(number):
    _, rollouts = past()
    assert_golden_text(f"cli/show-{number}.txt", drawn(history.draw_rollout("prod/backend", rollouts[number - 1])))


def test_a_comparison_is_shown_as_a_ratio_with_its_interval():
    rollout = see(None, rolling_out().parsed, None, Origin()).rollout
    assert rollout is not None
    shown = drawn(history.draw_rollout("prod/backend", rollout), width=160)
    assert "errors (harm from 9x)" in shown
    assert "2x (0.83 to 4.6)" in shown


def test_a_rollout_is_one_page_without_anything_from_elsewhere():
    _, rollouts = past()
    page = render_record("prod/backend", rollouts[1])
    assert "<title>Rollout 2 of prod/backend: rolled back (ChecksFailed)</title>" in page
    assert page.count("<svg") == 2
    assert ("<script" in page, "src=" in page, "http://" in page) == (False, False, False)


def test_names_of_a_cluster_do_not_become_html_nor_reach_the_terminal():
    _, rollouts = past()
    bad = "<b>\x1b[2J"
    hostile = rollouts[0].model_copy(
        update={"message": bad, "by": bad, "images": {bad: bad}, "overrides": (Override(what=bad, by=bad),)}
    )
    assert "<b>" not in render_record("prod/backend", hostile)
    assert "\x1b" not in drawn(history.draw_rollout("prod/backend", hostile))
    assert "\x1b" not in drawn(history.draw_histories([("prod/backend", (hostile,))]))


def cluster_with(recorded: Recorder, rollouts: History) -> FakeKube:
    canary = recorded.cluster.canary
    return FakeKube(canary, history_object(canary, history_data(None, rollouts), None))


async def test_what_is_under_way_is_read_from_the_status():
    recorded, rollouts = past()
    ((label, found),) = await history.find_histories(cluster_with(recorded, rollouts[:2]), "backend", "prod")
    assert (label, [(each.number, each.outcome) for each in found]) == (
        "prod/backend",
        [(each.number, each.outcome) for each in rollouts],
    )


async def test_a_config_map_of_somebody_else_is_no_history():
    recorded, rollouts = past()
    kube = cluster_with(recorded, rollouts)
    kube.set(
        {
            **kube.object("ConfigMap", "prod", "backend-rollouts"),
            "metadata": {"name": "backend-rollouts", "namespace": "prod"},
        }
    )
    ((_, found),) = await history.find_histories(kube, "backend", "prod")
    assert [each.number for each in found] == [1]


def test_json_has_an_outcome_whether_it_has_ended_or_not():
    _, rollouts = past()
    shown = [json.loads(json.dumps(history._as_json("prod/backend", each))) for each in rollouts]
    assert [(each["namespace"], each["name"], each["outcome"], bool(each["endedAt"])) for each in shown] == [
        ("prod", "backend", "promoted", True),
        ("prod", "backend", "rolled_back", True),
        ("prod", "backend", None, False),
    ]


@pytest.mark.parametrize(
    ("number", "found"),
    [(0, 3), (2, 2), (9, "prod/backend has no rollout 9 any more, or not yet")],
)
def test_a_rollout_is_picked_by_its_number(number, found):
    _, rollouts = past()
    if isinstance(found, int):
        assert history.pick("prod/backend", rollouts, number).number == found
        return
    with pytest.raises(CommandError, match=found):
        history.pick("prod/backend", rollouts, number)


def test_a_canary_without_rollouts_says_so():
    assert drawn(history.draw_histories([("prod/backend", ())])) == "No rollouts have been recorded yet.\n"
    with pytest.raises(CommandError, match="prod/backend has had no rollout yet"):
        history.pick("prod/backend", (), 0)
