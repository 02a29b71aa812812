"""One task per Canary: when it starts, what wakes it, and that it ends."""

from __future__ import annotations

import asyncio

import pytest

from controller.shell.informer.cache import Cache
from controller.shell.reconciler.tasks import OVERDUE_SECONDS, CanaryTasks
from tests.builders import canary_manifest, make_deployment

BACKEND = ("Canary", "prod", "backend")
DEPLOYMENT = ("Deployment", "prod", "backend")


class Stage:
    """Tasks that note each look, and rest until woken."""

    def __init__(self, rest: float | None = None) -> None:
        self.looks: list[str] = []
        self.removed: list[str] = []
        self.ended: list[asyncio.Task[None]] = []
        self.rest = rest
        self.tasks = CanaryTasks()
        self.cache = Cache(self.tasks.changed)
        self.version = 0

    def open(self) -> None:
        self.tasks.open(self.run, removed=lambda key, manifest: self.removed.append(key[2]), ended=self.ended.append)

    async def run(self, key, woken, resting) -> None:
        self.tasks.depend(key, frozenset({("Deployment", key[1], key[2])}))
        while True:
            resting(None)
            woken.clear()
            self.looks.append(key[2])
            resting(self.rest)
            await woken.wait()

    def put(self, manifest, **changes):
        self.version += 1
        metadata = {**manifest["metadata"], "resourceVersion": str(self.version)}
        self.cache.put({**manifest, **changes, "metadata": metadata})

    async def looked(self) -> list[str]:
        for _ in range(5):
            await asyncio.sleep(0)
        looks, self.looks = self.looks, []
        return looks


async def test_nothing_is_looked_at_before_the_caches_are_filled():
    stage = Stage()
    stage.put(canary_manifest())
    assert await stage.looked() == []
    stage.open()
    assert await stage.looked() == ["backend"]
    await stage.tasks.stop()


async def test_a_canary_is_woken_by_what_it_depends_on_and_by_nothing_else():
    stage = Stage()
    stage.open()
    stage.put(canary_manifest())
    assert await stage.looked() == ["backend"]
    stage.put(make_deployment())
    assert await stage.looked() == ["backend"]
    stage.put(make_deployment("other"))
    assert await stage.looked() == []
    stage.put(make_deployment())
    assert await stage.looked() == []
    stage.tasks.depend(BACKEND, frozenset())
    stage.put(make_deployment(image="podinfo:2"))
    assert await stage.looked() == []
    await stage.tasks.stop()


async def test_a_status_wakes_its_own_canary_and_a_spec_all_of_that_target():
    stage = Stage()
    stage.open()
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "one"}
    for name in ("one", "two"):
        stage.put(canary_manifest(name=name))
        assert await stage.looked() == [name]
    stage.put(canary_manifest(name="one"), status={"phase": "Initialized"})
    assert await stage.looked() == ["one"]
    stage.put(canary_manifest(name="one", suspend=True))
    assert await stage.looked() == ["one"]
    stage.put(canary_manifest(name="rival", targetRef=target))
    assert sorted(await stage.looked()) == ["one", "rival"]
    stage.cache.remove(("Canary", "prod", "rival"))
    assert await stage.looked() == ["one"]
    await stage.tasks.stop()


async def test_a_deleted_canary_is_stopped_and_reported():
    stage = Stage()
    stage.open()
    stage.put(canary_manifest())
    await stage.looked()
    assert stage.tasks.counts() == [("prod", 1)]
    stage.cache.remove(BACKEND)
    assert await stage.looked() == []
    assert (stage.removed, stage.tasks.counts()) == (["backend"], [])
    stage.put(make_deployment())
    assert await stage.looked() == []


async def test_a_canary_deleted_before_the_caches_are_filled_never_starts():
    stage = Stage()
    stage.put(canary_manifest())
    stage.cache.remove(BACKEND)
    stage.open()
    assert await stage.looked() == []


async def test_a_loop_that_slept_over_is_overdue():
    stage = Stage(rest=10)
    stage.open()
    stage.put(canary_manifest())
    await stage.looked()
    now = asyncio.get_running_loop().time()
    assert stage.tasks.overdue(now + 10 + OVERDUE_SECONDS / 2) == []
    assert stage.tasks.overdue(now + 11 + OVERDUE_SECONDS) == ["backend.prod"]
    await stage.tasks.stop()


async def test_a_loop_that_ends_is_reported():
    stage = Stage()
    stage.open()

    async def broken(key, woken, resting) -> None:
        raise ZeroDivisionError("bug")

    stage.tasks.open(broken, removed=lambda key, manifest: None, ended=stage.ended.append)
    stage.put(canary_manifest())
    await stage.looked()
    assert [(task.get_name(), repr(task.exception())) for task in stage.ended] == [
        ("Canary backend.prod", "ZeroDivisionError('bug')")
    ]


@pytest.mark.looptime
@pytest.mark.parametrize(("patience", "looks"), [(5, ["rests", "works", "done"]), (1, ["rests", "works"])])
async def test_a_loop_that_works_when_it_is_stopped_goes_on_until_it_rests_or_patience_ends(patience, looks):
    stage = Stage()

    async def run(key, woken, resting) -> None:
        while True:
            resting(None)
            stage.looks.append(key[2])
            if key[2] == "works":
                await asyncio.sleep(3)
                stage.looks.append("done")
            resting(0 if key[2] == "works" else 3600)
            await asyncio.sleep(0 if key[2] == "works" else 3600)

    stage.tasks.open(run, removed=lambda key, manifest: None, ended=stage.ended.append)
    stage.put(canary_manifest(name="rests"))
    stage.put(canary_manifest(name="works"))
    await asyncio.sleep(1)
    await stage.tasks.stop(patience)
    assert (stage.looks, len(stage.ended)) == (looks, 2)
    assert asyncio.get_running_loop().time() <= 3
