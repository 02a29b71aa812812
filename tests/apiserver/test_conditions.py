"""The conditions, as ``kubectl wait`` reads them on a real API server."""

from __future__ import annotations

import asyncio

from sandbox.paths import Cache
from tests.apiserver.scenes import backend
from tests.apiserver.stage import Stage


async def kubectl_waits(stage: Stage, condition: str, seconds: int) -> bool:
    """Whether the Canary gets the condition in time."""
    arguments = ("wait", "canary/backend", f"--for=condition={condition}", f"--timeout={seconds}s")
    process = await asyncio.create_subprocess_exec(
        str(Cache.default().bin / "kubectl"),
        f"--kubeconfig={stage.kubeconfig}",
        f"--namespace={stage.namespace}",
        *arguments,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    return await process.wait() == 0


async def test_kubectl_waits_for_a_rollout_to_end_well_or_to_be_stuck(stage):
    await stage.apply(*backend(stage))
    async with stage.controller():
        assert await kubectl_waits(stage, "Ready", 60)
        assert not await kubectl_waits(stage, "Stalled", 1)
        await stage.set_image("podinfo:2")
        assert await kubectl_waits(stage, "Progressing", 60)
        assert await kubectl_waits(stage, "Ready", 60)
        assert (await stage.status())["phase"] == "Succeeded"
        stage.prometheus.values["errors"] = "100"
        await stage.set_image("podinfo:bad")
        assert await kubectl_waits(stage, "Stalled", 60)
        assert not await kubectl_waits(stage, "Ready", 1)
        assert (await stage.status())["phase"] == "Failed"
