"""What Flagger's objects and routes do, on a real API server."""

from __future__ import annotations

from typing import Any

import pytest

from controller.api.names import FINALIZER
from controller.shell.kubernetes.errors import Rejected
from controller.shell.kubernetes.kinds import CANARY, DEPLOYMENT, SERVICE, VIRTUAL_SERVICE
from tests.apiserver.scenes import WEIGHTED, backend
from tests.apiserver.stage import Stage, eventually
from tests.builders import NAMESPACE, canary_manifest, make_deployment

AFFINITY = {"cookieName": "canary", "primaryCookieName": "stable", "path": "/"}
ADOPTED = (
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "backend", "namespace": NAMESPACE},
        "spec": {"selector": {"app": "backend"}, "ports": [{"name": "http", "port": 9898, "targetPort": 9898}]},
    },
    {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "backend", "namespace": NAMESPACE},
        "spec": {"hosts": ["backend"], "http": [{"route": [{"destination": {"host": "backend"}}]}]},
    },
)


async def routes(stage: Stage) -> dict[str, Any]:
    return dict((await stage.kube.get(VIRTUAL_SERVICE, stage.namespace, "backend"))["spec"])


async def test_a_delegate_has_neither_hosts_nor_gateways(stage: Stage):
    await stage.apply(make_deployment(), canary_manifest(analysis=WEIGHTED, service={"delegation": True}))
    async with stage.controller():
        await stage.wait_for_phase("Initialized")
        assert (await routes(stage)).keys() == {"http"}
        patch = {"spec": {"service": {"hosts": ["shop.test"]}}}
        with pytest.raises(Rejected, match="hosts and gateways must be empty with delegation"):
            await stage.kube.patch(CANARY, stage.namespace, "backend", patch)


async def test_connections_are_routed_by_weight(stage: Stage):
    await stage.apply(make_deployment(), canary_manifest(analysis=WEIGHTED, service={"appProtocol": "tcp"}))
    async with stage.controller():
        await stage.wait_for_phase("Initialized")
        seen: list[list[int]] = []

        async def promoted() -> bool:
            (route,) = (await routes(stage))["tcp"]
            weights = [share.get("weight", 0) for share in route["route"]]
            seen.extend([weights] if weights not in seen else [])
            return (await stage.status())["phase"] == "Succeeded"

        await stage.set_image("podinfo:2")
        await eventually(promoted, stage.log)
        assert seen == [[100, 0], [75, 25], [50, 50]]
        assert "http" not in await routes(stage)


async def test_a_rollout_has_a_cookie_that_expires_when_it_is_over(stage: Stage):
    await stage.apply(*backend(stage, analysis={"sessionAffinity": AFFINITY}))
    async with stage.controller():
        await stage.wait_for_phase("Initialized")
        assert [route.get("name") for route in (await routes(stage))["http"]] == [None]
        await stage.set_image("podinfo:2")

        async def sticky() -> str:
            return str((await stage.status()).get("sessionAffinityCookie", ""))

        cookie = await eventually(sticky, stage.log)
        own, twin, weighted = (await routes(stage))["http"]
        assert own["match"] == [{"headers": {"Cookie": {"regex": f".*{cookie.replace('=', '.*')}.*"}}}]
        assert [share.get("weight", 0) for share in own["route"]] == [0, 100]
        assert [share.get("weight", 0) for share in twin["route"]] == [100, 0]
        given = weighted["route"][1]["headers"]["response"]["add"]["Set-Cookie"]
        assert given == f"{cookie}; Max-Age=86400; Path=/"
        status = await stage.wait_for_phase("Succeeded")
        assert status["previousSessionAffinityCookie"] == cookie
        assert "sessionAffinityCookie" not in status
        dropped, _ = (await routes(stage))["http"]
        assert dropped["headers"]["response"]["add"]["Set-Cookie"] == f"{cookie}; Max-Age=-1; Path=/"
        assert [share.get("weight", 0) for share in dropped["route"]] == [100, 0]


async def gone(stage: Stage) -> bool:
    return await stage.read(CANARY, "backend") is None


async def test_a_deletion_with_a_revert_gives_everything_back_before_the_canary_goes(stage: Stage):
    await stage.apply(*ADOPTED, make_deployment(replicas=3), canary_manifest(analysis=WEIGHTED, revertOnDeletion=True))
    before = {kind: (await stage.read(kind, "backend") or {})["spec"] for kind in (SERVICE, VIRTUAL_SERVICE)}
    async with stage.controller():
        await stage.wait_for_phase("Initialized")
        await stage.wait_for_scale(0)
        canary = await stage.read(CANARY, "backend")
        assert canary is not None
        assert canary["metadata"]["finalizers"] == [FINALIZER]
        await stage.delete(CANARY, "backend")
        await stage.wait_for_scale(3)
        assert await stage.read(DEPLOYMENT, "backend-primary") is not None
        await eventually(lambda: gone(stage), stage.log)
        for kind, spec in before.items():
            after = await stage.read(kind, "backend")
            assert after is not None
            assert (after["spec"], after["metadata"].get("annotations") or {}) == (spec, {})
        said = await stage.events()
        assert [event for event in said if "erminat" in event] == [
            f"Terminating canary backend.{stage.namespace}",
            f"Terminated canary backend.{stage.namespace}",
        ]


async def test_a_target_that_does_not_start_holds_a_deletion_up_no_longer_than_its_deadline(stage: Stage):
    await stage.apply(
        make_deployment(), canary_manifest(analysis=WEIGHTED, revertOnDeletion=True, progressDeadlineSeconds=5)
    )
    async with stage.controller():
        await stage.wait_for_phase("Initialized")
        await stage.wait_for_scale(0)
        stage.broken_images.add("podinfo:1")
        await stage.delete(CANARY, "backend")
        await eventually(lambda: gone(stage), stage.log, seconds=20)
        await stage.wait_for_event("after 5s without a whole revert")


@pytest.mark.parametrize("revert", [True, False])
async def test_a_canary_deleted_while_nobody_looked_goes(stage: Stage, revert: bool):
    canary = canary_manifest(analysis=WEIGHTED, revertOnDeletion=revert)
    canary["metadata"]["finalizers"] = [FINALIZER]
    await stage.apply(make_deployment(), canary)
    await stage.delete(CANARY, "backend")
    assert not await gone(stage)
    async with stage.controller():
        await eventually(lambda: gone(stage), stage.log)
