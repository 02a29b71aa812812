"""The controller as a process, on a real API server, through whole rollouts."""

from __future__ import annotations

import asyncio
import json

import pytest

from controller.shell.kubernetes.kinds import (
    AUTOSCALER,
    CANARY,
    CONFIG_MAP,
    DEPLOYMENT,
    DESTINATION_RULE,
    METRIC_TEMPLATE,
    SERVICE,
    VIRTUAL_SERVICE,
)
from tests.apiserver.scenes import ERROR_RATE, backend
from tests.apiserver.stage import eventually
from tests.builders import canary_manifest


async def test_a_good_version_is_initialised_analysed_and_promoted(stage):
    await stage.apply(*backend(stage))
    async with stage.controller() as process:
        await stage.wait_for_phase("Initialized")
        assert await stage.weights() == [100, 0]
        for kind, name in (
            (SERVICE, "backend"),
            (SERVICE, "backend-primary"),
            (SERVICE, "backend-canary"),
            (DESTINATION_RULE, "backend-primary"),
            (DESTINATION_RULE, "backend-canary"),
            (CONFIG_MAP, "backend-config-primary"),
            (AUTOSCALER, "backend-primary"),
        ):
            assert await stage.read(kind, name), name
        await stage.wait_for_scale(0)

        await stage.set_image("podinfo:2")
        seen: list[list[int]] = []

        async def succeeded() -> bool:
            weights = await stage.weights()
            if not seen or seen[-1] != weights:
                seen.append(weights)
            return (await stage.status()).get("phase") == "Succeeded"

        await eventually(succeeded, stage.log)
        assert seen == [[100, 0], [75, 25], [50, 50], [100, 0]]
        primary = await stage.read(DEPLOYMENT, "backend-primary")
        assert primary["spec"]["template"]["spec"]["containers"][0]["image"] == "podinfo:2"
        status = await stage.status()
        assert (status["receipt"]["revision"], status["receipt"]["images"]) == (
            status["revision"],
            {"backend": "podinfo:2"},
        )
        assert "pendingReceipt" not in status
        await stage.wait_for_scale(0)

        async def hook_called() -> bool:
            return "Post-rollout check after passed" in await stage.events()

        await eventually(hook_called, stage.log)
        expected = [
            "New revision detected! Scaling up backend." + stage.namespace,
            f"Advance backend.{stage.namespace} canary weight 25",
            f"Advance backend.{stage.namespace} canary weight 50",
            f"Copying backend.{stage.namespace} template spec to backend-primary.{stage.namespace}",
            f"Promotion completed! Scaling down backend.{stage.namespace}",
        ]
        logged = stage.messages()
        assert [message for message in logged if message in expected] == expected
        assert set(expected) <= set(await stage.events())
        assert "all the metrics providers are available!" in logged
        paths = [path for path, _ in stage.hooks.calls]
        assert paths.count("/conformance") == 1
        assert paths.count("/after") == 1
        conformance = next(body for path, body in stage.hooks.calls if path == "/conformance")
        assert conformance["metadata"] == {"a": "b"}
        event = next(body for path, body in stage.hooks.calls if path == "/events")
        assert set(event["metadata"]) == {"eventMessage", "eventType", "timestamp"}

        process.terminate()
        assert await process.wait() == 0
        assert stage.messages()[-1] == "Stopped"


async def test_it_writes_nothing_on_a_canary_but_its_status_and_on_a_target_but_its_replicas(stage):
    await stage.apply(*backend(stage))
    async with stage.controller():
        await stage.wait_for_phase("Initialized")
        await stage.wait_for_scale(0)
        canary, target = await stage.read(CANARY, "backend"), await stage.read(DEPLOYMENT, "backend")
        assert canary["metadata"].get("finalizers", []) == []
        assert canary["metadata"].get("annotations", {}) == {}
        assert {owner.get("subresource") for owner in _managed(canary)} == {"status"}
        assert [owner["fieldsV1"] for owner in _managed(target)] == [{"f:spec": {"f:replicas": {}}}]


async def test_a_version_that_fails_its_checks_is_rolled_back(stage):
    await stage.apply(*backend(stage))
    async with stage.controller():
        await stage.wait_for_phase("Initialized")
        stage.prometheus.values["errors"] = "100"
        await stage.set_image("podinfo:bad")
        status = await stage.wait_for_phase("Failed")
        assert await stage.weights() == [100, 0]
        await stage.wait_for_scale(0)
        primary = await stage.read(DEPLOYMENT, "backend-primary")
        assert primary["spec"]["template"]["spec"]["containers"][0]["image"] == "podinfo:1"
        detail = "error-rate 100.00 > 1"
        assert status["checks"] == [{"name": "error-rate", "passed": False, "value": 100, "detail": detail}]
        messages = stage.messages()
        assert f"Halt backend.{stage.namespace} advancement {detail}" in messages
        assert f"Rolling back backend.{stage.namespace} failed checks threshold reached 2" in messages
        metrics = await stage.metrics()
        labels = f'{{name="backend",namespace="{stage.namespace}"}}'
        assert metrics[f"flagger_canary_status{labels}"] == 2
        outcome = (
            f'name="backend",namespace="{stage.namespace}",deployment_strategy="canary",analysis_status="completed"'
        )
        assert metrics[f"flagger_canary_failures_total{{{_sorted(outcome)}}}"] == 1


async def test_a_version_that_does_not_start_is_rolled_back(stage):
    await stage.apply(*backend(stage))
    stage.broken_images.add("podinfo:broken")
    async with stage.controller():
        await stage.wait_for_phase("Initialized")
        await stage.set_image("podinfo:broken")
        status = await stage.wait_for_phase("Failed")
        assert "progress deadline" in status["message"]
        assert await stage.weights() == [100, 0]


async def test_a_changed_config_map_alone_starts_a_rollout(stage):
    await stage.apply(*backend(stage))
    async with stage.controller():
        await stage.wait_for_phase("Initialized")
        await stage.kube.patch(CONFIG_MAP, stage.namespace, "backend-config", {"data": {"colour": "green"}})
        await stage.wait_for_phase("Succeeded")
        assert (await stage.read(CONFIG_MAP, "backend-config-primary"))["data"] == {"colour": "green"}


async def test_killed_mid_canary_it_goes_on_where_it_was_and_not_early(stage):
    await stage.apply(*backend(stage, analysis={"interval": "3s"}))
    async with stage.controller() as process:
        await stage.wait_for_phase("Initialized")
        await stage.set_image("podinfo:2")

        async def first_step() -> bool:
            return (await stage.status()).get("canaryWeight") == 25

        await eventually(first_step, stage.log)
        stepped_at = asyncio.get_running_loop().time()
        process.kill()
        await process.wait()
    async with stage.controller():
        seen = [25]

        async def moved_on() -> bool:
            weight = (await stage.status()).get("canaryWeight", 0)
            if weight != seen[-1]:
                seen.append(weight)
            return weight == 50

        await eventually(moved_on, stage.log)
        assert seen == [25, 50]
        assert asyncio.get_running_loop().time() - stepped_at >= 2.5
        await stage.wait_for_phase("Succeeded")
        hooks = [path for path, _ in stage.hooks.calls]
        assert hooks.count("/conformance") == 1


async def test_a_canary_edited_during_a_look_is_looked_at_again_and_takes_no_step_twice(stage):
    await stage.apply(*backend(stage, analysis={"interval": "2s"}))
    stage.hooks.delays["/load"] = 0.5
    async with stage.controller():
        await stage.wait_for_phase("Initialized")
        await stage.set_image("podinfo:2")

        async def asked() -> bool:
            return any(path == "/load" for path, _ in stage.hooks.calls)

        await eventually(asked, stage.log)
        await stage.kube.patch(CANARY, stage.namespace, "backend", {"metadata": {"annotations": {"edited": "now"}}})
        seen = [25]

        async def succeeded() -> bool:
            status = await stage.status()
            if status["canaryWeight"] not in (0, seen[-1]):
                seen.append(status["canaryWeight"])
            return status["phase"] == "Succeeded"

        await eventually(succeeded, stage.log)
        assert seen == [25, 50]
        ticks = f'canary_ticks_total{{name="backend",namespace="{stage.namespace}",result="Conflict"}}'
        assert (await stage.metrics())[ticks] >= 1


async def test_at_rest_it_sends_no_request_whatever_an_autoscaler_says(stage):
    await stage.apply(*backend(stage))
    async with stage.controller():
        await stage.wait_for_phase("Initialized")
        await asyncio.sleep(2)
        before, ticks = await stage.requests(), await _ticks(stage)
        autoscaler = await stage.read(AUTOSCALER, "backend-primary")
        status = {"currentReplicas": 1, "desiredReplicas": 1, "conditions": []}
        await stage.kube.replace_status({**autoscaler, "status": status})
        await asyncio.sleep(1)
        assert await _ticks(stage) == ticks
        await stage.kube.patch(DEPLOYMENT, stage.namespace, "backend-primary", {"metadata": {"labels": {"a": "b"}}})

        async def looked() -> bool:
            return await _ticks(stage) > ticks

        await eventually(looked, stage.log)
        assert await stage.requests() == before


async def test_a_deleted_virtual_service_is_made_again(stage):
    await stage.apply(*backend(stage))
    async with stage.controller():
        await stage.wait_for_phase("Initialized")
        before = await stage.read(VIRTUAL_SERVICE, "backend")
        await stage.delete(VIRTUAL_SERVICE, "backend")

        async def again() -> bool:
            after = await stage.read(VIRTUAL_SERVICE, "backend")
            return after is not None and after["metadata"]["uid"] != before["metadata"]["uid"]

        await eventually(again, stage.log)
        assert await stage.weights() == [100, 0]


async def test_a_deleted_canary_leaves_no_series(stage):
    await stage.apply(*backend(stage))
    async with stage.controller():
        await stage.wait_for_phase("Initialized")

        async def series() -> list[str]:
            return [name for name in await stage.metrics() if stage.namespace in name]

        assert await series()
        await stage.delete(CANARY, "backend")

        async def none_left() -> bool:
            return not await series()

        await eventually(none_left, stage.log)


async def test_a_second_canary_on_a_target_touches_nothing_and_says_so(stage):
    await stage.apply(*backend(stage))
    async with stage.controller():
        await stage.wait_for_phase("Initialized")
        rival = canary_manifest(
            name="other", targetRef={"apiVersion": "apps/v1", "kind": "Deployment", "name": "backend"}
        )
        rival["spec"]["service"]["name"] = "other"
        await stage.apply(rival)
        message = await stage.wait_for_message("already", "other")
        assert f"backend.{stage.namespace}" in message
        assert await stage.read(SERVICE, "other") is None
        await stage.wait_for_event(message, "other")


async def test_a_canary_waits_for_its_target_and_says_so(stage):
    *others, canary = backend(stage)
    await stage.apply(canary)
    async with stage.controller():
        await stage.wait_for_message("not found")
        await stage.apply(*others)
        assert "message" not in await stage.wait_for_phase("Initialized")


async def test_a_missing_metric_template_is_named_and_the_rollout_starts_when_it_comes(stage):
    metric = {"name": "error-rate", "templateRef": {"name": "errors"}, "thresholdRange": {"max": 1}}
    await stage.apply(*backend(stage, analysis={"metrics": [metric]}))
    async with stage.controller():
        await stage.wait_for_phase("Initialized")
        await stage.wait_for_message(f"MetricTemplate {stage.namespace}/errors")
        await stage.set_image("podinfo:2")
        template = {
            "apiVersion": METRIC_TEMPLATE.api_version,
            "kind": METRIC_TEMPLATE.name,
            "metadata": {"name": "errors"},
            "spec": {
                "provider": {"type": "prometheus", "address": stage.prometheus_url},
                "query": "errors{{ target }}",
            },
        }
        await stage.apply(template)
        await stage.wait_for_phase("Succeeded")
        assert "errorsbackend" in stage.prometheus.queries


async def test_a_prometheus_that_is_down_moves_no_traffic_to_the_canary_for_good(stage):
    metric = {**ERROR_RATE, "interval": "30s"}
    await stage.apply(*backend(stage, analysis={"metrics": [metric]}, metricsServer="http://127.0.0.1:9"))
    async with stage.controller():
        await stage.wait_for_phase("Initialized")
        await stage.set_image("podinfo:2")
        status = await stage.wait_for_phase("Failed")
        assert "http://127.0.0.1:9 failed" in status["message"]
        assert await stage.weights() == [100, 0]


async def test_a_webhook_that_times_out_halts_the_rollout_and_says_after_how_long(stage):
    hook = {"name": "slow", "type": "pre-rollout", "url": f"{stage.hooks_url}/slow", "timeout": "200ms"}
    stage.hooks.delays["/slow"] = 1
    await stage.apply(*backend(stage, analysis={"webhooks": [hook]}))
    async with stage.controller():
        await stage.wait_for_phase("Initialized")
        await stage.set_image("podinfo:2")
        await stage.wait_for_phase("Failed")
        said = f"pre-rollout check slow failed POST {stage.hooks_url} gave no answer within 0.2s"
        assert any(said in message for message in stage.messages())
        assert await stage.weights() == [100, 0]


@pytest.mark.parametrize("levels", [500, 9000])
async def test_deep_nesting_in_one_canary_stops_no_other(stage, levels):
    await stage.apply(*backend(stage))
    deep = {**canary_manifest(service={"port": 9898, "headers": "HEADERS"}), "metadata": {"name": "deep"}}
    body = json.dumps(deep).replace('"HEADERS"', '{"a":' * levels + "1" + "}" * levels)
    async with stage.kube._session.post(
        stage.kube._server + CANARY.path(stage.namespace), data=body, headers={"Content-Type": "application/json"}
    ) as response:
        assert response.status == 201, await response.text()
    async with stage.controller():
        await stage.wait_for_phase("Initialized")
        assert any("must not have more than 50 levels" in message for message in stage.messages())


def _managed(manifest) -> list:
    """What the controller owns of an object."""
    return [each for each in manifest["metadata"]["managedFields"] if each["manager"] == "canary-controller"]


async def _ticks(stage) -> float:
    metrics = await stage.metrics()
    return sum(value for name, value in metrics.items() if name.startswith("canary_ticks_total"))


def _sorted(labels: str) -> str:
    """As the exposition format has them."""
    return ",".join(sorted(labels.split(",")))
