"""Several Canaries on a real API server: a limit on rollouts in progress, an order, and a group."""

from __future__ import annotations

from typing import Any

from controller.shell.kubernetes.kinds import CANARY
from tests.apiserver.scenes import ERROR_RATE
from tests.apiserver.stage import Stage, eventually
from tests.builders import canary_manifest, make_deployment

QUICK = {"interval": "1s", "threshold": 2, "stepWeight": 50, "maxWeight": 50}
UNDER_WAY = ("Progressing", "WaitingPromotion", "Promoting", "Finalising")


async def statuses(stage: Stage) -> dict[str, dict[str, Any]]:
    listing = await stage.kube.list(CANARY, stage.namespace)
    return {item["metadata"]["name"]: item.get("status") or {} for item in listing.items}


async def initialised(stage: Stage, *names: str, **spec: Any) -> None:
    for name in names:
        await stage.apply(make_deployment(name), canary_manifest(name=name, **{"analysis": QUICK, **spec}))
    for name in names:
        await stage.wait_for_phase("Initialized", name=name)
        await stage.wait_for_scale(0, name=name)


class Watcher:
    """Who has begun, in order; never are more than ``limit`` under way."""

    def __init__(self, stage: Stage, limit: int) -> None:
        self.stage, self.limit, self.begun = stage, limit, list[str]()

    async def until(self, phase: str, *names: str) -> None:
        async def all_there() -> bool:
            seen = await statuses(self.stage)
            running = [name for name, status in seen.items() if status.get("phase") in UNDER_WAY]
            assert len(running) <= self.limit, running
            self.begun += [name for name in running if name not in self.begun]
            return all(seen[name].get("phase") == phase for name in names)

        await eventually(all_there, self.stage.log)


async def test_rollouts_wait_for_their_turn_and_a_restart_keeps_the_order(stage):
    names, watcher = ("a", "b", "c", "d"), Watcher(stage, 1)
    async with stage.controller("--max-rollouts=1"):
        await initialised(stage, *names)
        await stage.set_image("podinfo:2", "c")
        await stage.wait_for_phase("Progressing", name="c")
        for name in ("d", "a", "b"):
            await stage.set_image("podinfo:2", name)
            said = f"waiting for its turn: 1 of 1 rollouts in progress: c.{stage.namespace}"
            assert await stage.wait_for_message("waiting", name) == said
    async with stage.controller("--max-rollouts=1"):  # the one before was killed
        await watcher.until("Succeeded", *names)
    assert watcher.begun == ["c", "d", "a", "b"]


async def test_whoever_waits_takes_the_place_of_a_canary_that_is_deleted(stage):
    async with stage.controller("--max-rollouts-per-namespace=1"):
        await initialised(stage, "a", "b")
        await stage.kube.patch(CANARY, stage.namespace, "a", {"spec": {"analysis": {"interval": "1h"}}})
        await stage.set_image("podinfo:2", "a")
        await stage.wait_for_phase("Progressing", name="a")
        await stage.set_image("podinfo:2", "b")
        await stage.wait_for_message(f"in progress in namespace {stage.namespace}: a.{stage.namespace}", "b")
        before = (await statuses(stage))["b"]
        await stage.delete(CANARY, "a")
        await stage.wait_for_phase("Succeeded", name="b")
    assert before["reason"] == "WaitingForTurn"
    assert {each["type"]: each["status"] for each in before["conditions"]} == {
        "Promoted": "True",
        "Ready": "False",
        "Progressing": "False",
    }


async def test_a_canary_starts_after_those_that_it_depends_on(stage):
    watcher = Watcher(stage, 1)
    async with stage.controller():
        await initialised(stage, "backend")
        await initialised(stage, "frontend", dependsOn=[{"name": "backend"}])
        await stage.set_image("podinfo:2", "frontend")
        await stage.set_image("podinfo:2", "backend")
        await watcher.until("Succeeded", "backend", "frontend")
        assert watcher.begun == ["backend", "frontend"]
        await stage.delete(CANARY, "backend")
        said = await stage.wait_for_message("spec.dependsOn", "frontend")
        assert said == f"Canary {stage.namespace}/backend of spec.dependsOn not found"


async def test_a_group_is_promoted_together_and_rolled_back_together(stage):
    async with stage.controller():
        slow = {**QUICK, "metrics": [ERROR_RATE]}
        quick = {**slow, "stepWeight": 50}
        await initialised(stage, "a", group="shop", analysis=quick)
        await initialised(stage, "b", group="shop", analysis={**slow, "stepWeight": 10})
        for name in ("a", "b"):
            await stage.set_image("podinfo:2", name)
        assert await stage.wait_for_message("of group shop", "a") == f"Waiting for b.{stage.namespace} of group shop"
        for name in ("a", "b"):
            await stage.wait_for_phase("Succeeded", name=name)
        for name in ("a", "b"):
            await stage.set_image("podinfo:3", name)
        await stage.wait_for_message("of group shop", "a")
        stage.prometheus.values["errors"] = "100"
        reasons = {(await stage.wait_for_phase("Failed", name=name))["reason"] for name in ("a", "b")}
        assert reasons in ({"ChecksFailed", "GroupFailed"}, {"ChecksFailed"})
