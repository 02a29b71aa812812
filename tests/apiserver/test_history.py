"""The history on a real API server: kept over a restart, bounded, and never in somebody else's ConfigMap."""

from __future__ import annotations

from typing import Any

from controller.api.history import read_rollouts
from controller.core.kept import MOST_ROLLOUTS, history_data, history_object
from controller.shell.kubernetes.kinds import CANARY, CONFIG_MAP
from tests.apiserver.scenes import backend
from tests.apiserver.stage import Stage, eventually
from tests.unit.core.test_kept import rollout

NAME = "backend-rollouts"
QUICK: dict[str, Any] = {"maxWeight": 25, "webhooks": []}


async def kept(stage: Stage) -> list[tuple[int, str, str, str]]:
    live = await stage.read(CONFIG_MAP, NAME)
    return [
        (each.number, each.images.get("backend", ""), str(each.outcome or ""), each.by)
        for each in read_rollouts((live or {}).get("data") or {})
    ]


async def promoted(stage: Stage, image: str) -> None:
    await stage.set_image(image)

    async def there() -> bool:
        status = await stage.status()
        return status.get("phase") == "Succeeded" and status["receipt"]["images"] == {"backend": image}

    await eventually(there, stage.log)


async def until(stage: Stage, *expected: tuple[int, str, str, str]) -> None:
    async def there() -> bool:
        return await kept(stage) == list(expected)

    await eventually(there, stage.log)


async def test_two_rollouts_with_a_restart_in_the_middle_of_the_second(stage):
    await stage.apply(*backend(stage, analysis=QUICK))
    first = (1, "podinfo:2", "promoted", "tests")
    async with stage.controller() as process:
        await stage.wait_for_phase("Initialized")
        await promoted(stage, "podinfo:2")
        await until(stage, first)
        await stage.set_image("podinfo:3")
        await stage.wait_for_phase("Progressing")
        process.terminate()
        await process.wait()
    assert await kept(stage) == [first, (2, "podinfo:3", "", "tests")], "a controller that is told to stop writes"
    async with stage.controller():
        await until(stage, first, (2, "podinfo:3", "promoted", "tests"))
    live = await stage.read(CONFIG_MAP, NAME)
    weights = [[each.weight for each in rollout.samples] for rollout in read_rollouts(live["data"])]
    assert [sorted({*series}) for series in weights] == [[0, 25], [0, 25]]


async def test_the_twenty_first_takes_the_place_of_the_first(stage):
    await stage.apply(*backend(stage, analysis=QUICK))
    async with stage.controller():
        await stage.wait_for_phase("Initialized")
        canary = await stage.read(CANARY, "backend")
        data = history_data(None, [rollout(day) for day in range(MOST_ROLLOUTS)])
        await stage.apply(history_object(canary, data, None))
        await promoted(stage, "podinfo:2")

        async def there() -> bool:
            return [number for number, *_ in await kept(stage)] == list(range(2, MOST_ROLLOUTS + 2))

        await eventually(there, stage.log)


async def test_a_config_map_of_that_name_which_is_not_ours_stays_as_it_is(stage):
    foreign = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "data": {"mine": "yes"}}
    await stage.apply(*backend(stage, analysis=QUICK), foreign)
    async with stage.controller():
        await stage.wait_for_phase("Initialized")
        await promoted(stage, "podinfo:2")

        async def said() -> bool:
            return f"no history is kept: ConfigMap {NAME} is not this Canary's; rename or delete it" in stage.messages()

        await eventually(said, stage.log)
    live = await stage.read(CONFIG_MAP, NAME)
    assert live is not None
    assert live["data"] == {"mine": "yes"}
