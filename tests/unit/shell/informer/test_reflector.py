"""Lists and watches: what fills the cache, what keeps it current, and what waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from controller.shell.informer.cache import Cache
from controller.shell.informer.reflector import COMPARE_SECONDS, SETTLE_SECONDS, Reflector
from controller.shell.kubernetes.errors import Gone, NotFound, Rejected, Transient
from controller.shell.kubernetes.kinds import DEPLOYMENT, WATCHED
from controller.shell.reporting.metrics import DEAF_COMPARISONS, Metrics
from tests.builders import make_config, make_deployment
from tests.unit.shell.fakes import FakeKube

pytestmark = pytest.mark.looptime

BACKEND = ("Deployment", "prod", "backend")
TOKEN = ("Secret", "prod", "token")


def secret(value: str = "b") -> dict:
    return make_config("token", {"a": value}, kind="Secret")


class Stage:
    def __init__(self, kube: FakeKube) -> None:
        self.kube = kube
        self.heard: list[tuple[str, bool]] = []
        self.cache = Cache(lambda key, before, after: self.heard.append((key[2], after is not None)))
        self.telemetry = Metrics("test")
        self.watching = Reflector(kube, self.cache, self.telemetry, ())


@asynccontextmanager
async def following(kube: FakeKube) -> AsyncIterator[Stage]:
    stage = Stage(kube)
    await stage.watching.first_lists()
    task = asyncio.create_task(stage.watching.follow())
    await asyncio.sleep(0.1)
    stage.heard.clear()
    try:
        yield stage
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_first_lists_fill_the_cache_and_read_no_secret():
    stage = Stage(FakeKube(make_deployment(), secret()))
    await stage.watching.first_lists()
    assert stage.cache.get(BACKEND) is not None
    assert stage.cache.version(TOKEN) > 0
    assert stage.cache.get(TOKEN) is None
    assert len(stage.kube.requests) == len(WATCHED) + 2


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            NotFound("GET", 404, "no"),
            "Waiting: the CRD canaries.flagger.app is not installed. It comes with this controller.",
        ),
        (Rejected("GET", 403, "forbidden"), "is the controller's ClusterRole installed?"),
        (Transient("GET", 0, "connection refused"), "Waiting for the Kubernetes API"),
    ],
)
async def test_what_is_missing_at_the_start_is_said_once_and_waited_for(caplog, error, said):
    kube = FakeKube(make_deployment())
    kube.failures["list"] = [error] * 3
    stage = Stage(kube)
    await stage.watching.first_lists()
    assert stage.cache.get(BACKEND) is not None
    assert caplog.text.count(said) == 1


async def test_a_secret_s_changes_are_heard_of_without_its_body():
    async with following(FakeKube(secret())) as stage:
        stage.kube.set(secret("c"))
        await asyncio.sleep(0.1)
        stage.kube.delete(*TOKEN)
        await asyncio.sleep(0.1)
        assert stage.heard == [("token", True), ("token", False)]
        assert ("get", "Secret/token") not in stage.kube.requests


async def test_a_watch_that_breaks_off_is_taken_up_again_without_a_list():
    async with following(FakeKube(secret())) as stage:
        stage.kube.break_watches("Secret", Transient("GET secrets", 0, "connection reset"))
        await asyncio.sleep(2)
        stage.kube.set(secret("c"))
        await asyncio.sleep(0.1)
        assert stage.heard == [("token", True)]
        assert stage.kube.requests.count(("list", "Secret")) == 1


async def test_a_watch_that_is_too_old_lists_anew_and_finds_what_vanished():
    async with following(FakeKube(secret())) as stage:
        queue, stage.kube._watches["Secret"] = stage.kube._watches["Secret"], []
        stage.kube.delete(*TOKEN)
        for each in queue:
            each.put_nowait(Gone("GET secrets", 410, "too old"))
        stage.kube._watches["Secret"] = queue
        await asyncio.sleep(1)
        assert stage.heard == [("token", False)]


async def test_after_kopf_has_listed_anew_what_vanished_is_found():
    async with following(FakeKube(make_deployment(), make_deployment("other"))) as stage:
        stage.kube.delete(*BACKEND)
        changed = stage.kube.object("Deployment", "prod", "other")
        changed["spec"]["replicas"] = 7
        stage.kube.set(changed)
        stage.watching.was_relisted(DEPLOYMENT)
        await asyncio.sleep(SETTLE_SECONDS + 1)
        assert sorted(stage.heard) == [("backend", False), ("other", True)]
        assert stage.telemetry.deaf_kinds() == []


async def test_a_watch_that_misses_something_again_and_again_is_deaf():
    async with following(FakeKube(make_deployment())) as stage:
        for number in range(DEAF_COMPARISONS):
            assert stage.telemetry.deaf_kinds() == []
            stage.kube.set(make_deployment(image=f"podinfo:{number + 2}"))
            await asyncio.sleep(COMPARE_SECONDS + 1)
        assert stage.telemetry.deaf_kinds() == ["Deployment"]
        await asyncio.sleep(COMPARE_SECONDS + 1)
        assert stage.telemetry.deaf_kinds() == []


async def test_a_comparison_that_fails_is_made_again_later(caplog):
    async with following(FakeKube(make_deployment())) as stage:
        stage.kube.failures["list"] = [Transient("GET", 0, "connection refused")] * len(WATCHED)
        stage.kube.delete(*BACKEND)
        await asyncio.sleep(COMPARE_SECONDS + 1)
        assert stage.heard == []
        await asyncio.sleep(COMPARE_SECONDS + 1)
        assert stage.heard == [("backend", False)]
        assert "could not be compared with the cluster" in caplog.text
