"""A DaemonSet as the target, on a real API server."""

from __future__ import annotations

import asyncio

from controller.shell.kubernetes.kinds import DAEMON_SET
from tests.apiserver.scenes import ERROR_RATE, WEIGHTED
from tests.builders import canary_manifest, make_daemon_set


async def test_a_daemon_set_is_initialised_promoted_and_rolled_back(stage):
    analysis = {**WEIGHTED, "metrics": [ERROR_RATE]}
    await stage.apply(make_daemon_set(), canary_manifest(kind="DaemonSet", analysis=analysis))
    async with stage.controller():
        await stage.wait_for_phase("Initialized")
        await stage.wait_for_rest()
        target = await stage.read(DAEMON_SET, "backend")
        written = [each["fieldsV1"] for each in target["metadata"]["managedFields"] if each["manager"] != "tests"]
        assert written == [{"f:spec": {"f:template": {"f:spec": {"f:nodeSelector": {}}}}}]

        await stage.set_image("podinfo:2", kind=DAEMON_SET)
        await stage.wait_for_phase("Progressing")
        await stage.wait_for_phase("Succeeded")
        await stage.wait_for_rest()
        assert await running(stage) == ("podinfo:2", None)
        await stage.wait_for_record()
        await asyncio.sleep(2)  # a write that the API server does not store as it was sent would come back for ever
        before = await stage.requests()
        await asyncio.sleep(3)
        assert await stage.requests() == before

        stage.prometheus.values["errors"] = "100"
        await stage.set_image("podinfo:bad", kind=DAEMON_SET)
        await stage.wait_for_phase("Failed")
        await stage.wait_for_rest()
        assert await running(stage) == ("podinfo:2", None)
        assert await stage.weights() == [100, 0]
        conditions = (await stage.status())["conditions"]
        assert "Canary analysis failed, DaemonSet scaled to zero." in [each["message"] for each in conditions]


async def running(stage) -> tuple[str, object]:
    """Image and node selector of the primary."""
    pods = (await stage.read(DAEMON_SET, "backend-primary"))["spec"]["template"]["spec"]
    return pods["containers"][0]["image"], pods.get("nodeSelector")
