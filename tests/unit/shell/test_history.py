"""The history as the cache shows it and as the leader keeps it, on a virtual clock and a fake API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from controller.api.history import Outcome, read_rollouts
from controller.core.kept import history_data, history_object
from controller.shell.history import SETTLE_SECONDS, STANDBY_SECONDS, HistoryKeeper
from controller.shell.informer.cache import Cache
from controller.shell.kubernetes.errors import Rejected, Transient
from tests.builders import canary_manifest
from tests.unit.core.cluster import Cluster, initialized
from tests.unit.core.test_kept import rollout
from tests.unit.shell.fakes import FakeKube

pytestmark = pytest.mark.looptime

KEY = ("Canary", "prod", "backend")
NAME = "backend-rollouts"
KEPT = ("ConfigMap", "prod", NAME)
AWAY = Transient("GET", 0, "Cannot connect to host")


class Replica:
    """A process with a cache of its own, in which a cluster's Canary is seen."""

    def __init__(self, cluster: Cluster, kube: FakeKube) -> None:
        self.cluster = cluster
        self.kube = kube
        self.cache = Cache(lambda *_: None)
        self.keeper = HistoryKeeper(kube, self.cache)
        self.heard: list[Any] = []
        self.keeper.follow(self.heard.append)
        self.look()

    def look(self) -> None:
        target = self.cluster.objects["Deployment", "backend"]
        managed = [
            {
                "manager": "pulumi-kubernetes",
                "time": self.cluster.now.isoformat(),
                "fieldsV1": {"f:spec": {"f:template": {}}},
            }
        ]
        self.cache.put({**target, "metadata": {**target["metadata"], "managedFields": managed}})
        self.cache.put(self.kube.set(self.cluster.canary))
        for item in self.kube.objects("ConfigMap"):
            self.cache.note(item)

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            self.cluster.tick(10)
            self.look()

    @asynccontextmanager
    async def running(self, *, leads: bool = True) -> AsyncIterator[None]:
        if leads:
            self.keeper.lead()
        task = asyncio.create_task(self.keeper.run())
        yield
        task.cancel()

    def kept(self) -> list[tuple[int, str, Outcome | None]]:
        data = self.kube.object(*KEPT)["data"]
        return [(each.number, each.images["backend"], each.outcome) for each in read_rollouts(data)]


def begin(*objects: Any) -> Replica:
    cluster = initialized(canary_manifest())
    cluster.canary["metadata"]["resourceVersion"] = "1"
    replica = Replica(cluster, FakeKube(*objects))
    cluster.set_image("podinfo:2")
    replica.look()
    return replica


async def settle() -> None:
    await asyncio.sleep(SETTLE_SECONDS + 1)


async def test_a_rollout_is_written_once_when_it_has_ended_and_nothing_before():
    it = begin()
    async with it.running():
        it.tick(5)
        await settle()
        assert it.kube.requests == []
        it.tick(4)
        await settle()
        assert it.kube.requests == [("get", f"ConfigMap/{NAME}"), ("create", f"ConfigMap/{NAME}")]
        assert it.kept() == [(1, "podinfo:2", Outcome.PROMOTED)]
        it.tick(3)
        await settle()
        assert len(it.kube.requests) == 2


async def test_the_record_says_who_changed_the_target_and_what_was_replaced():
    it = begin()
    it.tick(3)
    current = it.keeper.current(KEY)
    assert current is not None
    assert (current.by, current.images) == ("pulumi-kubernetes", {"backend": "podinfo:2"})
    assert it.heard == [KEY] * len(current.samples)


async def test_the_next_rollout_is_added_to_the_one_before():
    it = begin()
    async with it.running():
        it.tick(9)
        await settle()
        it.cluster.set_image("podinfo:3")
        it.tick(3)
        it.cluster.set_image("podinfo:4")
        it.tick(9)
        await settle()
        assert it.kept() == [
            (1, "podinfo:2", Outcome.PROMOTED),
            (2, "podinfo:3", Outcome.SUPERSEDED),
            (3, "podinfo:4", Outcome.PROMOTED),
        ]


async def test_a_controller_that_restarts_goes_on_with_the_record():
    it = begin()
    async with it.running():
        it.tick(4)
        await it.keeper.flush(1)
    before = it.keeper.current(KEY)
    assert before is not None
    after = Replica(it.cluster, it.kube)
    async with after.running():
        after.tick(5)
        found = await after.keeper.read(KEY)
        await settle()
    (kept,) = read_rollouts(it.kube.object(*KEPT)["data"])
    assert found == (kept,)
    assert (kept.number, kept.outcome, kept.by) == (1, Outcome.PROMOTED, "pulumi-kubernetes")
    assert kept.samples[: len(before.samples)] == before.samples


async def test_an_end_that_nobody_has_written_is_read_from_the_status():
    it = begin()
    async with it.running():
        it.tick(4)
        await it.keeper.flush(1)
    it.tick(5)
    (found,) = await Replica(it.cluster, it.kube).keeper.read(KEY)
    assert found.outcome is Outcome.PROMOTED


async def test_a_replica_that_stands_by_writes_nothing_and_forgets_in_time():
    it = begin()
    async with it.running(leads=False):
        it.tick(9)
        await settle()
        assert it.keeper.current(KEY) is not None
        await asyncio.sleep(STANDBY_SECONDS)
        assert (it.keeper.current(KEY), it.kube.writes()) == (None, [])
        await it.keeper.flush(1)
        assert it.kube.writes() == []


async def test_a_replica_that_comes_to_lead_writes_what_the_one_before_has_not():
    it = begin()
    async with it.running(leads=False):
        it.tick(9)
        await settle()
        it.keeper.lead()
        await settle()
        assert it.kept() == [(1, "podinfo:2", Outcome.PROMOTED)]


async def test_what_cannot_be_written_is_tried_again():
    it = begin()
    it.kube.failures["get"] = [AWAY, AWAY]
    async with it.running():
        it.tick(9)
        await asyncio.sleep(60)
        assert it.kept() == [(1, "podinfo:2", Outcome.PROMOTED)]


async def test_what_is_refused_is_given_up_and_holds_nothing():
    it = begin()
    it.kube.failures["create"] = [Rejected("POST", 403, "quota")] * 20
    async with it.running():
        it.tick(9)
        await asyncio.sleep(3600)
        assert it.keeper.current(KEY) is None
        tries = len(it.kube.requests)
        await asyncio.sleep(3600)
        assert len(it.kube.requests) == tries


FOREIGN = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME, "namespace": "prod"}, "data": {"a": "b"}}


async def test_a_config_map_of_somebody_else_is_never_overwritten(caplog):
    it = begin(FOREIGN)
    async with it.running():
        it.tick(9)
        await settle()
        assert (it.kube.writes(), it.kube.object(*KEPT)["data"]) == ([], {"a": "b"})
        assert "ConfigMap backend-rollouts is not this Canary's; rename or delete it" in caplog.text
        assert await it.keeper.read(KEY) == ()


async def test_what_was_kept_is_read_again_only_when_it_has_changed():
    canary = canary_manifest()
    it = begin(history_object(canary, history_data(None, [rollout(1), rollout(2)]), None))
    for _ in range(3):
        assert [each.revision for each in await it.keeper.read(KEY)] == ["r1", "r2"]
    assert it.kube.requests == [("get", f"ConfigMap/{NAME}")]
    it.kube.set({**it.kube.object(*KEPT), "data": history_data(it.kube.object(*KEPT), [rollout(3)])})
    it.look()
    assert [each.revision for each in await it.keeper.read(KEY)] == ["r1", "r2", "r3"]
    assert len(it.kube.requests) == 2


async def test_a_canary_that_is_deleted_leaves_nothing_behind():
    it = begin()
    it.tick(4)
    it.cache.remove(KEY)
    assert (it.keeper.current(KEY), await it.keeper.read(KEY)) == (None, ())


async def test_a_canary_that_cannot_be_read_stops_no_cache():
    it = begin()
    it.tick(3)
    it.cluster.canary["spec"]["analysis"] = "nonsense"
    it.look()
    assert it.keeper.current(KEY) is not None
