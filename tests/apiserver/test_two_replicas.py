"""Two controllers as processes on a real API server: who works when one is killed, stopped, or paused."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from controller.api.names import LEASE_NAME
from controller.shell.kubernetes.kinds import CONFIGS, WATCHED, Key, key_of, version_of
from tests.apiserver.scenes import backend
from tests.apiserver.stage import Stage, eventually

HAND_OVER_SECONDS = 15


@dataclass
class Replica:
    """A controller, and the stage on which its log is."""

    process: asyncio.subprocess.Process
    stage: Stage

    def says(self, text: str) -> bool:
        return any(text in message for message in self.stage.messages())

    async def logs(self, text: str) -> None:
        async def said() -> bool:
            return self.says(text)

        await eventually(said, self.stage.log)


@asynccontextmanager
async def replica(stage: Stage, name: str) -> AsyncIterator[Replica]:
    folder = stage.folder / name
    folder.mkdir()
    own = replace(stage, folder=folder)
    async with own.controller("--leader-election", f"--leader-election-namespace={stage.namespace}") as process:
        yield Replica(process, own)


@asynccontextmanager
async def in_the_middle_of_a_canary(stage: Stage) -> AsyncIterator[tuple[Replica, Replica]]:
    """The leader, and one that stands by, while a new version gets traffic, and no hook is being called."""
    await stage.apply(*backend(stage, analysis={"interval": "2s", "stepWeight": 10, "maxWeight": 40}))
    async with replica(stage, "one") as leader:
        await leader.logs("Leading: ")
        async with replica(stage, "two") as other:
            await other.logs(f"Lease {LEASE_NAME}.{stage.namespace} is held by")
            await leader.stage.wait_for_phase("Initialized")
            await stage.set_image("podinfo:2")
            await leader.logs("canary weight 20")  # so the hook before the rollout was called, and that is recorded
            yield leader, other


async def hand_over(other: Replica, since: float) -> float:
    """The seconds from ``since`` until the other one leads."""
    await other.logs("Leading: ")
    seconds = time.monotonic() - since
    print(f"\nhand-over after {seconds:.2f} s")  # noqa: T201 -- the measurement
    return seconds


async def finished_by(other: Replica) -> None:
    """The rollout goes on where it was, and every hook of an end is called once."""
    await other.stage.wait_for_phase("Succeeded")
    assert await other.stage.weights() == [100, 0]

    async def called() -> bool:
        return bool(other.says("Post-rollout check after passed"))

    await eventually(called, other.stage.log)
    paths = [path for path, _ in other.stage.hooks.calls]
    assert (paths.count("/conformance"), paths.count("/after")) == (1, 1)


async def written(stage: Stage) -> dict[Key, int]:
    """The version of every object of the namespace that a controller writes."""
    lists = [await stage.kube.list(kind, stage.namespace) for kind in (*WATCHED, *CONFIGS)]
    return {key_of(item): version_of(item) for listing in lists for item in listing.items}


async def test_a_leader_that_is_killed_is_replaced_within_15_seconds(stage):
    async with in_the_middle_of_a_canary(stage) as (leader, other):
        assert (await leader.stage.metrics())["canary_leader"] == 1
        assert (await other.stage.metrics())["canary_leader"] == 0
        leader.process.kill()
        assert await hand_over(other, time.monotonic()) < HAND_OVER_SECONDS
        await finished_by(other)


async def test_a_leader_that_is_stopped_is_replaced_at_once(stage):
    async with in_the_middle_of_a_canary(stage) as (leader, other):
        leader.process.terminate()
        assert await hand_over(other, time.monotonic()) < 3
        assert await leader.process.wait() == 0
        await finished_by(other)


@pytest.mark.parametrize("at", range(2))
async def test_a_leader_paused_past_its_lease_stays_silent(stage, at):
    async with in_the_middle_of_a_canary(stage) as (leader, other):
        await asyncio.sleep(0.7 * at)  # at any moment of its interval
        leader.process.send_signal(signal.SIGSTOP)
        assert await hand_over(other, time.monotonic()) < HAND_OVER_SECONDS
        await finished_by(other)
        await stage.wait_for_scale(0)
        said = len(leader.stage.messages())
        versions, events, calls = await written(stage), await stage.events(), len(stage.hooks.calls)
        leader.process.send_signal(signal.SIGCONT)
        assert await asyncio.wait_for(leader.process.wait(), 20) == 1
        assert any("is lost: not renewed" in message for message in leader.stage.messages()[said:])
        assert (await written(stage), await stage.events(), len(stage.hooks.calls)) == (versions, events, calls)
