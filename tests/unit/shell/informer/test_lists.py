"""Lists: what fills the cache, what waits, and what is found after a kind was listed again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from controller.shell.informer.cache import Cache
from controller.shell.informer.lists import SETTLE_SECONDS, Lists
from controller.shell.kubernetes.errors import NotFound, Rejected, Transient
from controller.shell.kubernetes.kinds import DEPLOYMENT, OPTIONAL, SCALED_OBJECT, SECRET, WATCHED
from tests.builders import make_config, make_deployment, make_scaled_object
from tests.unit.shell.fakes import FakeKube

pytestmark = pytest.mark.looptime

BACKEND = ("Deployment", "prod", "backend")
TOKEN = ("Secret", "prod", "token")


class Stage:
    def __init__(self, kube: FakeKube) -> None:
        self.kube = kube
        self.heard: list[tuple[str, bool]] = []
        self.cache = Cache(lambda key, before, after: self.heard.append((key[2], after is not None)))
        self.lists = Lists(kube, self.cache, ())


@asynccontextmanager
async def filled(kube: FakeKube) -> AsyncIterator[Stage]:
    stage = Stage(kube)
    await stage.lists.fill()
    task = asyncio.create_task(stage.lists.compare_relisted())
    stage.heard.clear()
    try:
        yield stage
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_first_lists_fill_the_cache_and_read_no_secret():
    stage = Stage(FakeKube(make_deployment(), make_config("token", {}, kind="Secret")))
    await stage.lists.fill()
    assert stage.cache.get(BACKEND) is not None
    assert stage.cache.version(TOKEN) > 0
    assert stage.cache.get(TOKEN) is None
    assert len(stage.kube.requests) == len(WATCHED) + len(OPTIONAL) + 2
    assert stage.lists.served == [SCALED_OBJECT]


@pytest.mark.parametrize(
    ("error", "served"),
    [
        (NotFound("GET", 404, "no such kind"), []),
        (Rejected("GET", 403, "forbidden"), []),
        (Transient("GET", 0, "connection refused"), [SCALED_OBJECT]),
    ],
)
async def test_nothing_waits_for_a_kind_that_need_not_be_there(error, served):
    kube = FakeKube(make_scaled_object())
    kube.failures["list"] = [*[None] * (len(WATCHED) + 2), error]
    stage = Stage(kube)
    await stage.lists.fill()
    assert stage.lists.served == served
    assert (stage.cache.get(("ScaledObject", "prod", "backend")) is not None) == bool(served)


@pytest.mark.parametrize(
    ("error", "logged"),
    [
        (
            NotFound("GET", 404, "no"),
            "Waiting: the CRD canaries.flagger.app is not installed. It comes with this controller.",
        ),
        (Rejected("GET", 403, "forbidden"), "is the controller's ClusterRole installed?"),
        (Transient("GET", 0, "connection refused"), "Waiting for the Kubernetes API"),
    ],
)
async def test_what_is_missing_at_the_start_is_logged_once_and_waited_for(caplog, error, logged):
    kube = FakeKube(make_deployment())
    kube.failures["list"] = [error] * 3
    stage = Stage(kube)
    await stage.lists.fill()
    assert stage.cache.get(BACKEND) is not None
    assert caplog.text.count(logged) == 1


async def test_after_a_new_list_what_vanished_is_removed_and_other_kinds_are_not_listed():
    kube = FakeKube(make_deployment(), make_deployment("other"), make_config("token", {}, kind="Secret"))
    async with filled(kube) as stage:
        stage.kube.remove(*BACKEND)
        stage.kube.remove(*TOKEN)
        stage.lists.was_relisted(DEPLOYMENT)
        await asyncio.sleep(SETTLE_SECONDS + 1)
        assert stage.heard == [("backend", False)]
        stage.lists.was_relisted(SECRET)
        await asyncio.sleep(SETTLE_SECONDS + 1)
        assert stage.heard == [("backend", False), ("token", False)]


async def test_an_object_created_after_the_list_is_kept():
    async with filled(FakeKube()) as stage:
        stage.cache.put({**make_deployment(), "metadata": {**make_deployment()["metadata"], "resourceVersion": "99"}})
        stage.lists.was_relisted(DEPLOYMENT)
        await asyncio.sleep(SETTLE_SECONDS + 1)
        assert stage.cache.get(BACKEND) is not None


async def test_a_comparison_that_fails_is_tried_again(caplog):
    async with filled(FakeKube(make_deployment())) as stage:
        stage.kube.failures["list"] = [Transient("GET", 0, "connection refused")] * 3
        stage.kube.remove(*BACKEND)
        stage.lists.was_relisted(DEPLOYMENT)
        await asyncio.sleep(60)
        assert stage.heard == [("backend", False)]
        assert caplog.text.count("could not be compared with the cluster") == 3


async def test_catching_up_takes_in_what_no_watch_has_shown_and_reads_nothing_else():
    kube = FakeKube(make_deployment(), make_deployment("other"), make_deployment("gone"), make_config("colours", {}))
    async with filled(kube) as stage:
        kube.set(make_deployment(image="podinfo:2"))
        kube.set(make_config("colours", {"level": "2"}))
        kube.remove("Deployment", "prod", "gone")
        kube.set(make_deployment("new"))
        kube.failures["list"] = [None, Transient("GET", 0, "connection refused")]
        kube.requests.clear()
        await stage.lists.catch_up()
        for name in ("backend", "other", "new"):
            assert stage.cache.get(("Deployment", "prod", name)) == kube.object("Deployment", "prod", name)
        assert sorted(stage.heard) == [("backend", True), ("colours", True), ("gone", False), ("new", True)]
        assert [what for verb, what in kube.requests if verb == "get"] == ["Deployment/backend", "Deployment/new"]
