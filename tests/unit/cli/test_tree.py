"""``canary watch NAME``: one rollout as a tree, as golden text, of rollouts that the core has run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from controller.api.history import History
from controller.cli.tree import Scene, draw_scene
from controller.cli.watch import draw, read_scene
from controller.core.history import Origin
from controller.core.kept import merged
from controller.core.probes import Value
from tests.builders import AB_TESTING, BLUE_GREEN, ERROR_RATE, WEIGHTED, canary_manifest
from tests.golden_files import assert_golden_text
from tests.unit.cli.test_history import drawn
from tests.unit.core.cluster import initialized
from tests.unit.core.test_history import ERRORS, Recorder
from tests.unit.shell.fakes import FakeKube

CHECKED = {**WEIGHTED, "metrics": [ERROR_RATE]}


def pod(
    name: str, workload: str, created: str, *, ready: bool, waiting: dict[str, str] | None = None
) -> dict[str, Any]:
    container = {"name": "app", "image": "podinfo:2", "ready": ready, "state": {"waiting": waiting} if waiting else {}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "prod",
            "labels": {"app": workload},
            "creationTimestamp": created,
            "ownerReferences": [{"kind": "ReplicaSet", "name": f"{workload}-5d4f"}],
        },
        "status": {
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "containerStatuses": [container],
        },
    }


PULL = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "podinfo:2": ErrImagePull: not found'}
PODS = (
    pod("backend-5d4f-new", "backend", "2026-01-01T12:00:30Z", ready=False, waiting=PULL),
    pod("backend-5d4f-old", "backend", "2026-01-01T12:00:20Z", ready=True),
    pod("backend-primary-5d4f-a", "backend-primary", "2026-01-01T11:00:00Z", ready=True),
)


def event(second: int, message: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"event-{second}", "namespace": "prod"},
        "involvedObject": {"kind": "Canary", "name": "backend"},
        "lastTimestamp": f"2026-01-01T12:00:{second:02}Z",
        "message": message,
    }


EVENTS = tuple(event(second, f"event of second {second}") for second in (9, 50, 40, 30, 20, 15, 10))


def scene(recorded: Recorder) -> Scene:
    rollouts: History = merged((), [recorded.now])
    workloads = [item for (kind, _), item in recorded.cluster.objects.items() if kind == "Deployment"]
    now = recorded.cluster.now + timedelta(seconds=4)
    return Scene(
        manifest=recorded.cluster.canary,
        workloads=workloads,
        pods=PODS,
        events=EVENTS,
        history=rollouts,
        now=now,
    )


def rolling(analysis: Any, ticks: int, value: float = 0.4, **spec: Any) -> Recorder:
    recorded = Recorder(initialized(canary_manifest(analysis=analysis, **spec)))
    recorded.origin = Origin({"backend": "podinfo:2"}, {"backend": "podinfo:1"}, "pulumi", recorded.cluster.now)
    recorded.cluster.answers[ERRORS] = Value(value)
    recorded.cluster.set_image("podinfo:2")
    return recorded.run(ticks)


@pytest.mark.parametrize(
    ("name", "recorded"),
    [
        ("under-way", rolling(CHECKED, 3)),
        ("promoted", rolling(CHECKED, 9)),
        ("rolled-back", rolling(CHECKED, 8, value=7.0)),
        ("ab-testing", rolling(AB_TESTING, 2)),
        ("blue-green", rolling(BLUE_GREEN, 3)),
    ],
)
def test_a_rollout_is_drawn_as_a_tree(name, recorded):
    assert_golden_text(f"cli/watch-{name}.txt", drawn(draw_scene(scene(recorded))))


def test_an_invalid_spec_is_said():
    manifest = canary_manifest()
    manifest["spec"]["analysis"]["interval"] = "soon"
    shown = drawn(draw_scene(Scene(manifest=manifest, now=scene(rolling(CHECKED, 1)).now)))
    assert 'invalid: spec.analysis.interval: Invalid value: "soon"' in " ".join(shown.split())


async def test_a_scene_is_read_with_what_belongs_to_the_canary_alone():
    recorded = rolling(CHECKED, 3)
    other = {**event(9, "of another"), "involvedObject": {"kind": "Canary", "name": "other"}}
    other["metadata"] = {"name": "other", "namespace": "prod"}
    foreign = pod("other-1", "other", "2026-01-01T12:00:00Z", ready=True)
    kube = FakeKube(recorded.cluster.canary, *recorded.cluster.objects.values(), *PODS, foreign, *EVENTS, other)
    found = await read_scene(kube, recorded.cluster.canary)
    assert [each["metadata"]["name"] for each in found.workloads] == ["backend-primary", "backend"]
    assert {each["metadata"]["name"] for each in found.pods} == {each["metadata"]["name"] for each in PODS}
    assert [each["message"] for each in found.events] == [each["message"] for each in EVENTS]
    assert [each.number for each in found.history] == [1]


async def test_the_name_of_one_canary_is_a_tree_and_anything_else_blocks():
    kube = FakeKube(canary_manifest(name="a"), canary_manifest(name="b"))
    assert "├" in drawn(await draw(kube, "a", "prod"))
    assert "├" not in drawn(await draw(kube, "", "prod"))
