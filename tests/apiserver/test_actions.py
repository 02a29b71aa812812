"""Actions by hand on a real API server: by annotation, by the command line, and across a restart of the controller."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from controller.api.names import ACTION_ANNOTATION
from controller.shell.kubernetes.kinds import CANARY, DEPLOYMENT
from tests.apiserver.scenes import backend
from tests.apiserver.stage import Stage, eventually

SLOW = {"interval": "1h"}
"""No step comes by itself."""


async def annotate(stage: Stage, verb: str, nonce: int) -> str:
    """As ``kubectl annotate --overwrite``, by the field manager ``tests``; returns the value."""
    text = f"{verb} revision={(await stage.status())['revision']} nonce={nonce}"
    await write(stage, text)
    return text


async def write(stage: Stage, text: str) -> None:
    patch = {"metadata": {"annotations": {ACTION_ANNOTATION: text}}}
    await stage.kube.patch(CANARY, stage.namespace, "backend", patch)


async def answer(stage: Stage, text: str) -> dict[str, Any]:
    async def there() -> dict[str, Any]:
        last = (await stage.status()).get("lastAction") or {}
        return dict(last) if last.get("text") == text else {}

    return dict(await eventually(there, lambda: f"an answer to {text!r}\n{stage.log()[-4000:]}"))


async def canary(stage: Stage, *arguments: str) -> tuple[int | None, str]:
    """The command line, as a process of its own."""
    command = [str(Path(sys.executable).with_name("canary")), *arguments, f"--namespace={stage.namespace}"]
    environment = {**os.environ, "KUBECONFIG": str(stage.kubeconfig)}
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=environment
    )
    shown, _ = await process.communicate()
    return process.returncode, shown.decode()


async def started(stage: Stage) -> None:
    """A rollout at its first weight: before, its pods may not be ready, and no step can be asked for."""
    await stage.wait_for_phase("Initialized")
    await stage.set_image("podinfo:2")

    async def stepped() -> bool:
        return bool((await stage.status())["canaryWeight"])

    await eventually(stepped, stage.log)


async def test_a_rollout_is_taken_by_hand_from_its_first_step_to_the_promotion(stage):
    await stage.apply(*backend(stage, analysis=SLOW))
    async with stage.controller():
        await started(stage)
        assert (await stage.status())["canaryWeight"] == 25
        last = await answer(stage, await annotate(stage, "promote", 1))
        assert (last["nonce"], last["by"], "refused" in last) == (1, "tests", False)
        assert await stage.weights() == [50, 50]
        assert f"Action promote on backend.{stage.namespace} by tests" in stage.messages()

        code, shown = await canary(stage, "promote", "backend", "--full")
        assert (code, shown) == (0, f"promote-fully {stage.namespace}/backend: done\n")
        assert (await stage.status())["lastAction"]["by"] == "admin"

        async def taken() -> bool:
            primary = await stage.kube.get(DEPLOYMENT, stage.namespace, "backend-primary")
            return bool(primary["spec"]["template"]["spec"]["containers"][0]["image"] == "podinfo:2")

        await eventually(taken, stage.log)


async def test_a_nonce_is_not_repeated_by_a_controller_that_is_restarted(stage):
    await stage.apply(*backend(stage, analysis={**SLOW, "stepWeight": 10}))
    async with stage.controller():
        await started(stage)
        text = await annotate(stage, "weight 20", 7)
        assert "refused" not in await answer(stage, text)
        assert await stage.weights() == [80, 20]
        await answer(stage, await annotate(stage, "weight 5", 8))
        assert await stage.weights() == [95, 5]
    status = await stage.status()
    async with stage.controller():
        await stage.kube.patch(
            CANARY, stage.namespace, "backend", {"metadata": {"annotations": {ACTION_ANNOTATION: text}}}
        )
        last = await answer(stage, text)
        assert last["refused"] == "nonce 7 is not above 8, the last one that was used"
        assert await stage.weights() == [95, 5]
        assert (await stage.status())["analysedAt"] == status["analysedAt"]


async def test_an_aborted_rollout_is_retried_and_waited_for(stage):
    await stage.apply(*backend(stage, analysis={"interval": "10s", "stepWeight": 5}))
    async with stage.controller():
        await started(stage)
        for verb in ("pause", "abort"):
            code, shown = await canary(stage, verb, "backend")
            assert code == 0, shown
        status = await stage.wait_for_phase("Failed")
        assert await stage.weights() == [100, 0]
        assert status["reason"] == "Aborted"
        code, shown = await canary(stage, "wait", "backend")
        told = f"rolled back (Aborted): Rolling back backend.{stage.namespace} aborted by admin"
        assert (code, shown.splitlines()[-1]) == (1, f"{stage.namespace}/backend: {told}")
        code, shown = await canary(stage, "resume", "backend")
        assert (code, shown) == (
            1,
            "canary resume: refused: not possible in phase Failed, only in Progressing, WaitingPromotion\n",
        )
        assert (await canary(stage, "retry", "backend"))[0] == 0
        await stage.wait_for_phase("Progressing")
        assert (await canary(stage, "promote", "backend", "--full"))[0] == 0
        code, shown = await canary(stage, "wait", "backend", "--timeout=60s")
        assert (code, shown.splitlines()[-1]) == (0, f"{stage.namespace}/backend: promoted"), shown


async def test_a_person_opens_a_gate_without_a_url(stage):
    gate = {"name": "lead", "type": "confirm-promotion"}
    await stage.apply(*backend(stage, analysis={"webhooks": [gate]}))
    async with stage.controller():
        await started(stage)
        await stage.wait_for_phase("WaitingPromotion")
        assert (await canary(stage, "approve", "backend"))[0] == 0
        await stage.wait_for_phase("Succeeded")
