"""Waiting on a cluster, and what is known of its kinds, against a cluster that answers from a list."""

import threading
from collections.abc import Iterable
from typing import Any

import pytest

from sandbox.plugin.awaiting import WaitError, wait_until_gone, wait_until_ready
from sandbox.plugin.cluster import Cluster, Object, ResourceType
from sandbox.plugin.errors import PluginError
from sandbox.plugin.metadata import Kind
from sandbox.plugin.resource import Run
from sandbox.plugin.served_kinds import ServedKinds
from sandbox.plugin.wire import UNKNOWN

JOB = Kind("batch", "v1", "Job")


class _Script(Cluster):
    """Gives one answer of a list to each look; lists the given Pods."""

    def __init__(
        self, *answers: Object | None, pods: Iterable[Object] = (), kinds: dict[str, bool] | None = None
    ) -> None:
        self.answers, self.pods, self.kinds = list(answers), list(pods), kinds or {}

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def list(self, kind: Kind, namespace: str, label_selector: str) -> list[Object]:
        return self.pods

    def resource_type(self, kind: Kind) -> ResourceType | None:
        return ResourceType(kind.name.lower(), self.kinds[kind.name]) if kind.name in self.kinds else None


class _NoPause(threading.Event):
    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


def _run(said: list[str] | None = None) -> Run:
    return Run(cancelled=_NoPause(), status=said.append if said is not None else lambda _: None)


def _job(**status: Any) -> Object:
    metadata = {"name": "x", "namespace": "prod"}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {}, "status": status}


def _ended(kind: str) -> Object:
    return _job(conditions=[{"type": kind, "status": "True", "reason": "R", "message": "m"}])


def test_it_looks_until_the_object_is_ready_and_says_each_new_reason_once() -> None:
    said: list[str] = []
    cluster = _Script(_job(active=1), _job(active=1), _job(active=2), _ended("Complete"))
    assert wait_until_ready(cluster, _job(), (), _run(said), 60) == _ended("Complete")
    assert said == [
        "the Job has not completed (1 active, 0 failed Pods)",
        "the Job has not completed (2 active, 0 failed Pods)",
        "",
    ]


def test_what_is_ready_at_once_says_nothing() -> None:
    said: list[str] = []
    wait_until_ready(_Script(_ended("Complete")), _job(), (), _run(said), 60)
    assert said == []


@pytest.mark.parametrize(
    ("answers", "seconds", "reason"),
    [
        ([_ended("Failed")], 60, "Job prod/x failed: the Job failed: R: m"),
        ([_job()], 0, "Job prod/x is not ready after 0 s: the Job has not completed (0 active, 0 failed Pods)"),
        ([_job(), None], 60, "Job prod/x was deleted while it was waited for"),
    ],
)
def test_a_wait_that_fails_says_why(answers: list[Object | None], seconds: float, reason: str) -> None:
    with pytest.raises(WaitError) as caught:
        wait_until_ready(_Script(*answers), _job(), (), _run(), seconds)
    assert caught.value.reasons == [reason]


def test_the_pods_that_the_object_selects_add_their_reasons() -> None:
    pod = {"metadata": {"name": "p"}, "status": {"conditions": [{"type": "PodScheduled", "status": "False"}]}}
    failed = {**_ended("Failed"), "spec": {"selector": {"matchLabels": {"a": "b"}}}}
    with pytest.raises(WaitError) as caught:
        wait_until_ready(_Script(failed, pods=[pod]), _job(), (), _run(), 60)
    assert caught.value.reasons[1:] == ["Pod p: None: None"]


def test_an_interruption_keeps_the_object_as_last_seen() -> None:
    run = _run()
    run.cancelled.set()
    with pytest.raises(WaitError, match="interrupted while waiting") as caught:
        wait_until_ready(_Script(_job()), _job(), (), run, 60)
    assert caught.value.live == _job()


def test_a_deletion_is_over_when_the_object_is_gone() -> None:
    wait_until_gone(_Script(_job(), _job(), None), JOB, "prod", "x", run=_run(), seconds=60)


def test_a_deletion_that_hangs_names_the_finalizers() -> None:
    held = _job()
    held["metadata"] = {**held["metadata"], "finalizers": ["a.example.com/held"]}
    with pytest.raises(PluginError, match=r"still exists 0 s after .*; finalizers a\.example\.com/held hold it"):
        wait_until_gone(_Script(held), JOB, "prod", "x", run=_run(), seconds=0)


def _crd(scope: str = "Cluster") -> Object:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "names": {"kind": "Widget"}, "scope": scope},
    }


WIDGET = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}}


def test_the_scope_of_a_kind_is_as_served_else_as_declared_else_assumed_namespaced() -> None:
    kinds = ServedKinds(_Script(None, kinds={"Node": False}))
    widget = Kind("example.com", "v1", "Widget")
    assert not kinds.is_namespaced(Kind("", "v1", "Node"))
    assert kinds.is_namespaced(widget)
    kinds.note_declared(_crd())
    assert not kinds.is_namespaced(widget)


def test_objects_of_a_kind_that_is_to_come_or_to_change_are_not_tried() -> None:
    assert not ServedKinds(_Script(None)).can_be_tried(WIDGET)
    kinds = ServedKinds(_Script(None, kinds={"Widget": False}))
    assert kinds.can_be_tried(WIDGET)
    assert not kinds.can_be_tried({**WIDGET, "spec": {"size": UNKNOWN}})
    kinds.note_changing(_crd())
    assert not kinds.can_be_tried(WIDGET)
