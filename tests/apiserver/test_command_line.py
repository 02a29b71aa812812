"""The commands as processes, on a real API server."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.apiserver.scenes import backend
from tests.apiserver.stage import Stage
from tests.builders import canary_manifest, make_deployment


async def get(stage: Stage) -> list[dict[str, Any]]:
    command = [str(Path(sys.executable).with_name("canary")), "get", f"--namespace={stage.namespace}", "-o", "json"]
    environment = {**os.environ, "KUBECONFIG": str(stage.kubeconfig)}
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    found: list[dict[str, Any]] = json.loads(output)
    return found


async def test_get_shows_what_the_controller_does(stage):
    await stage.apply(*backend(stage))
    async with stage.controller():
        await stage.wait_for_phase("Initialized")
        await stage.wait_for_scale(0)
        (canary,) = await get(stage)
    assert (canary["name"], canary["phase"], canary["canaryWeight"]) == ("backend", "Initialized", 0)
    assert (canary["primary"], canary["canary"]) == ("1 (1/1)", "1 (0/0)")


async def test_a_canary_may_not_use_more_than_the_options_of_the_controller_allow(stage):
    foreign = {"hosts": ["payments.bank"], "gateways": ["istio-system/internal"]}
    hook = {"name": "elsewhere", "type": "confirm-rollout", "url": stage.hooks_url}
    await stage.apply(
        make_deployment("taken"),
        canary_manifest(name="taken", service=foreign),
        make_deployment("asking"),
        canary_manifest(
            name="asking", analysis={"interval": "1s", "threshold": 2, "stepWeight": 50, "webhooks": [hook]}
        ),
    )
    options = ("--allowed-hosts=*.example.com", "--allowed-gateways={namespace}/*", "--allowed-addresses=*.example.com")
    async with stage.controller(*options):
        message = await stage.wait_for_message("not allowed", name="taken")
        await stage.wait_for_phase("Initialized", name="asking")
        await stage.set_image("podinfo:2", name="asking")
        await stage.wait_for_phase("Waiting", name="asking")
    assert "spec.service.hosts[0]: payments.bank is neither a Service of namespace" in message
    assert "spec.service.gateways[0]: istio-system/internal is not matched by --allowed-gateways" in message
    assert stage.hooks.calls == []
