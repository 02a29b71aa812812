"""Several Canaries in one controller: no more rollouts than places, however slow the API is, and each wakes in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from controller.core.model import Options
from controller.core.probes import Refused, Value
from controller.core.rollout.phases import UNDER_WAY
from controller.shell.kubernetes.errors import Rejected
from tests.builders import WEIGHTED, canary_manifest, make_deployment, webhook
from tests.unit.shell.reconciler.test_reconciler import INTERVAL, METRIC, Stage

pytestmark = pytest.mark.looptime

GATED = {**WEIGHTED, "webhooks": [webhook("go", "confirm-rollout")]}
GATE = "webhook/confirm-rollout/go"


@asynccontextmanager
async def stage_of(*names: str, specs: dict[str, dict[str, Any]] | None = None, **options: Any) -> AsyncIterator[Stage]:
    """Canaries that are initialised."""
    canaries = (canary_manifest(name=name, **(specs or {}).get(name, {})) for name in names)
    stage = Stage(*canaries, *(make_deployment(name) for name in names))
    stage.reconciler = replace(stage.reconciler, options=Options(minimum_interval=1.0, **options))
    await stage.open()
    try:
        await stage.settle()
        await stage.settle(2 * INTERVAL)
        assert {phase_of(stage, name) for name in names} == {"Initialized"}
        yield stage
    finally:
        await stage.close()


def status_of(stage: Stage, name: str) -> dict[str, Any]:
    return dict(stage.kube.object("Canary", "prod", name).get("status") or {})


def phase_of(stage: Stage, name: str) -> str:
    return str(status_of(stage, name)["phase"])


def push(stage: Stage, *names: str, image: str = "podinfo:2") -> None:
    for name in names:
        deployment = stage.kube.object("Deployment", "prod", name)
        deployment["spec"]["template"] = make_deployment(name, image=image)["spec"]["template"]
        deployment["metadata"]["generation"] += 1
        stage.kube.set(deployment)


def under_way(stage: Stage) -> list[str]:
    return [each["metadata"]["name"] for each in stage.kube.objects("Canary") if each["status"]["phase"] in UNDER_WAY]


async def begun(stage: Stage, *names: str, limit: int = 1) -> list[str]:
    """Who begins, in order, until all have succeeded."""
    order: list[str] = []
    for _ in range(60 * len(names)):
        await stage.settle(2.0)
        running = under_way(stage)
        assert len(running) <= limit, running
        order += [name for name in running if name not in order]
        if all(phase_of(stage, name) == "Succeeded" for name in names):
            return order
    raise AssertionError({name: status_of(stage, name) for name in names})


def slowly(stage: Stage) -> None:
    """Every write takes a second."""
    for verb in ("patch", "replace_status"):
        write: Callable[..., Any] = getattr(stage.kube, verb)

        async def late(*args: Any, write: Callable[..., Any] = write) -> Any:
            await asyncio.sleep(1.0)
            return await write(*args)

        setattr(stage.kube, verb, late)


async def test_while_one_begins_no_other_takes_its_place():
    async with stage_of("a", "b", "c", max_rollouts=1) as stage:
        slowly(stage)
        push(stage, "c", "b", "a")
        await stage.sync()
        assert sorted(await begun(stage, "a", "b", "c")) == ["a", "b", "c"]


async def test_a_gate_that_takes_its_time_is_no_way_past_the_limit():
    async with stage_of("a", "b", specs={name: {"analysis": GATED} for name in "ab"}, max_rollouts=1) as stage:
        stage.runner.answers = {}
        measure = stage.runner.measure

        async def slow(canary: Any, asked: Any) -> Any:
            await asyncio.sleep(3.0 if any(probe.key == GATE for probe in asked.probes) else 0)
            return await measure(canary, asked)

        stage.runner.measure = slow  # type: ignore[method-assign]
        push(stage, "a", "b")
        await stage.sync()
        assert sorted(await begun(stage, "a", "b")) == ["a", "b"]


async def test_who_has_waited_longest_begins_first_in_a_new_process_too():
    async with stage_of("a", "b", "c", max_rollouts=1) as stage:
        for name in ("b", "c", "a"):
            push(stage, name)
            await stage.settle(1.0)
        assert [status_of(stage, name)["reason"] for name in "ca"] == ["WaitingForTurn"] * 2
        manifests = [item for kind in ("Canary", "Deployment", "Service") for item in stage.kube.objects(kind)]
        manifests += [item for kind in ("VirtualService", "DestinationRule") for item in stage.kube.objects(kind)]
    successor = Stage(*manifests)
    successor.reconciler = replace(successor.reconciler, options=Options(minimum_interval=1.0, max_rollouts=1))
    await successor.open()
    assert await begun(successor, "a", "b", "c") == ["b", "c", "a"]
    await successor.close()


async def test_whoever_waits_writes_nothing_meanwhile_and_goes_when_the_one_before_is_deleted():
    async with stage_of("a", "b", max_rollouts=1) as stage:
        stage.runner.answers = {}
        push(stage, "a")
        await stage.settle(1.0)
        push(stage, "b")
        await stage.settle(1.0)
        assert status_of(stage, "b")["message"] == "waiting for its turn: 1 of 1 rollouts in progress: a.prod"
        before = status_of(stage, "b")
        await stage.settle(INTERVAL)
        assert status_of(stage, "b") == before
        stage.kube.remove("Canary", "prod", "a")
        stage.cache.remove(("Canary", "prod", "a"))
        await stage.settle(1.0)
        assert phase_of(stage, "b") == "Progressing"


async def test_whoever_cannot_begin_keeps_nobody_waiting():
    """What the API server refuses to one Canary is no reason for the others to wait."""
    async with stage_of("a", "b", "c", max_rollouts=1) as stage:
        push(stage, "c")
        await stage.settle(1.0)
        push(stage, "a")
        await stage.settle(1.0)
        push(stage, "b")
        await stage.settle(1.0)
        stage.kube.failures["patch Deployment/a"] = [Rejected("PATCH deployments/a", 403, "exceeded quota")] * 1000
        await begun(stage, "b", "c")
        await stage.settle(INTERVAL)
        assert (phase_of(stage, "a"), status_of(stage, "a")["reason"]) == ("Initialized", "WaitingForTurn")
        assert "exceeded quota" in status_of(stage, "a")["message"]
        assert "queuedSince" not in status_of(stage, "a")


async def test_a_canary_follows_the_one_that_it_depends_on():
    specs = {"frontend": {"dependsOn": [{"name": "backend"}]}}
    async with stage_of("backend", "frontend", specs=specs) as stage:
        push(stage, "frontend")
        await stage.settle(1.0)
        assert status_of(stage, "frontend")["reason"] == "DependencyNotReady"
        push(stage, "backend")
        assert await begun(stage, "backend", "frontend") == ["backend", "frontend"]
        push(stage, "backend", image="podinfo:3")
        stage.runner.answers[GATE] = Refused("no")
        await stage.settle(1.0)
        push(stage, "frontend", image="podinfo:3")
        await stage.settle(2 * INTERVAL)
        said = "waiting for Canary prod/backend (Progressing) of spec.dependsOn"
        assert (phase_of(stage, "frontend"), status_of(stage, "frontend")["message"]) == ("Succeeded", said)


async def test_a_circle_is_told_and_ends_with_the_edit_of_any_of_its_canaries():
    specs = {one: {"dependsOn": [{"name": other}]} for one, other in ("ab", "bc", "ca")}
    async with stage_of("a", "b", "c", specs=specs) as stage:
        said = "spec.dependsOn leads in a circle: prod/a -> prod/b -> prod/c -> prod/a; remove one of these references"
        assert status_of(stage, "a")["message"] == said
        canary = stage.kube.object("Canary", "prod", "c")
        del canary["spec"]["dependsOn"]
        stage.kube.set(canary)
        await stage.settle()
        assert "message" not in status_of(stage, "a")


async def test_a_group_is_promoted_together_and_rolled_back_together():
    analysis = {**WEIGHTED, "metrics": [METRIC], "threshold": 1}
    specs = {
        "a": {"group": "shop", "analysis": analysis},
        "b": {"group": "shop", "analysis": {**analysis, "stepWeight": 10}},
    }
    async with stage_of("a", "b", specs=specs) as stage:
        push(stage, "a", "b")
        seen = list[tuple[str, str]]()
        while not seen or seen[-1] != ("Succeeded", "Succeeded"):
            await stage.settle(1.0)
            seen.append((phase_of(stage, "a"), phase_of(stage, "b")))
        assert not [pair for pair in seen if "Progressing" in pair and "Succeeded" in pair], seen
        waited = "Waiting for b.prod of group shop"
        assert waited in [message for message, _ in stage.events]
        push(stage, "a", "b", image="podinfo:3")
        await stage.settle(2 * INTERVAL)
        stage.runner.answers["metric/error-rate"] = Value(100.0)
        await stage.settle(INTERVAL + 2.0)
        assert (phase_of(stage, "a"), phase_of(stage, "b")) == ("Failed", "Failed")
        assert "GroupFailed" in [status_of(stage, name)["reason"] for name in "ab"]


async def test_of_a_group_nobody_is_rolled_back_while_another_is_promoted():
    """``b`` waits for ``a``. It fails a check, slowly; meanwhile ``a`` finds that all have done their steps."""
    analysis = {**WEIGHTED, "metrics": [METRIC], "threshold": 1}
    specs = {
        "a": {"group": "shop", "analysis": analysis},
        "b": {"group": "shop", "analysis": {**analysis, "stepWeight": 25}},
    }
    async with stage_of("a", "b", specs=specs) as stage:
        measure, failed = stage.runner.measure, list[str]()

        async def slow(canary: Any, asked: Any) -> Any:
            if canary.status.reason != "WaitingForGroup":
                return await measure(canary, asked)
            await asyncio.sleep(4.0)
            failed.append(canary.name)
            return {probe.key: Value(100.0) for probe in asked.probes}

        stage.runner.measure = slow  # type: ignore[method-assign]
        push(stage, "a", "b")
        for _ in range(80):
            await stage.settle(1.0)
        assert (failed, phase_of(stage, "a"), phase_of(stage, "b")) == (["b"], "Succeeded", "Succeeded")
