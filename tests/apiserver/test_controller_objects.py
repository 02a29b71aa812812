"""What the controller does with objects, its own and those of others, on a real API server."""

from __future__ import annotations

import asyncio
from typing import Any

from controller.core.objects.ownership import ADOPTED_BY
from controller.shell.kubernetes.kinds import (
    AUTOSCALER,
    CANARY,
    CONFIG_MAP,
    DEPLOYMENT,
    DESTINATION_RULE,
    SERVICE,
    VIRTUAL_SERVICE,
    Kind,
)
from tests.apiserver.scenes import backend
from tests.apiserver.stage import Stage, eventually
from tests.builders import NAMESPACE, canary_manifest, make_config, make_deployment

ADMISSION = "admissionregistration.k8s.io/v1"
POLICY = Kind("ValidatingAdmissionPolicy", "validatingadmissionpolicies", ADMISSION)
POLICY_BINDING = Kind("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", ADMISSION)
REMOVED = (
    (VIRTUAL_SERVICE, "shop"),
    (DESTINATION_RULE, "shop-primary"),
    (DESTINATION_RULE, "shop-canary"),
    (SERVICE, "shop-primary"),
    (SERVICE, "shop-canary"),
)


def apex() -> dict[str, Any]:
    """A NodePort Service that clients call already."""
    ports = [
        {"name": "http", "port": 9898, "targetPort": 9898, "nodePort": 31898},
        {"name": "grpc", "port": 9999, "targetPort": 9999, "nodePort": 31999},
    ]
    spec = {"type": "NodePort", "selector": {"app": "backend"}, "ports": ports, "sessionAffinity": "ClientIP"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop", "namespace": NAMESPACE}, "spec": spec}


async def test_a_service_that_was_there_is_adopted_and_given_back_and_what_is_not_needed_is_deleted(stage: Stage):
    await stage.apply(apex(), *backend(stage, service={"name": "shop"}))
    before = await stage.read(SERVICE, "shop")
    assert before is not None
    async with stage.controller():
        await stage.wait_for_phase("Initialized")
        adopted = await stage.read(SERVICE, "shop")
        assert adopted is not None
        assert adopted["metadata"]["annotations"][ADOPTED_BY] == "backend"
        assert adopted["spec"] == {**before["spec"], "selector": {"app": "backend-primary"}}
        primary = await stage.read(SERVICE, "shop-primary")
        assert primary is not None
        assert [port["port"] for port in primary["spec"]["ports"]] == [9898, 9999]
        message = f"Adopting Service shop.{stage.namespace}, which existed before"
        await stage.wait_for_event(message)

        patch = {"spec": {"service": {"name": "store"}, "autoscalerRef": None}}
        await stage.kube.patch(CANARY, stage.namespace, "backend", patch)

        async def removed() -> bool:
            left = [await stage.read(kind, name) for kind, name in (*REMOVED, (AUTOSCALER, "backend-primary"))]
            return left == [None] * len(left)

        await eventually(removed, stage.log, seconds=40)

        async def given_back() -> bool:
            after = await stage.read(SERVICE, "shop")
            return after is not None and after["spec"] == before["spec"]

        await eventually(given_back, stage.log)
        after = await stage.read(SERVICE, "shop")
        assert after is not None
        assert ADOPTED_BY not in after["metadata"].get("annotations", {})
        assert await stage.weights("store") == [100, 0]
        assert await stage.read(CONFIG_MAP, "backend-config-primary") is not None


async def test_a_service_that_was_there_is_given_back_when_the_canary_is_deleted(stage: Stage):
    ports = [{"name": "http", "port": 9898, "targetPort": 9898}]
    there = {**apex(), "spec": {"selector": {"app": "backend"}, "ports": ports}}
    await stage.apply(there, *backend(stage, service={"name": "shop"}))
    before = await stage.read(SERVICE, "shop")
    assert before is not None
    async with stage.controller():
        await stage.wait_for_phase("Initialized")
        await stage.delete(CANARY, "backend")

        async def given_back() -> bool:
            after = await stage.read(SERVICE, "shop")
            return (
                after is not None
                and after["spec"] == before["spec"]
                and ADOPTED_BY not in after["metadata"].get("annotations", {})
            )

        await eventually(given_back, stage.log)


async def test_objects_of_others_are_named_and_left_alone(stage: Stage):
    theirs = make_deployment("backend-primary", image="postgres", labels={"app": "db"})
    await stage.apply(theirs, make_config("backend-config-primary", {"theirs": "yes"}), *backend(stage))
    async with stage.controller():
        message = await stage.wait_for_message("Deployment backend-primary")
        assert "is not managed by this Canary" in message
        assert "ConfigMap backend-config-primary" in message
        database = await stage.read(DEPLOYMENT, "backend-primary")
        assert database is not None
        assert database["spec"]["template"]["spec"]["containers"][0]["image"] == "postgres"
        for kind, name in ((DEPLOYMENT, "backend-primary"), (CONFIG_MAP, "backend-config-primary")):
            await stage.delete(kind, name)
        await stage.wait_for_phase("Initialized")


async def test_of_two_canaries_with_one_service_name_the_first_works_and_the_other_says_so(stage: Stage):
    first = canary_manifest(name="cart", service={"name": "shop"})
    second = canary_manifest(name="pay", service={"name": "shop"})
    await stage.apply(make_deployment("cart"), make_deployment("pay"), first)
    async with stage.controller():
        await stage.wait_for_phase("Initialized", name="cart")
        await stage.apply(second)
        message = await stage.wait_for_message("uses already", "pay")
        assert message.startswith(f"spec.service.name leads to Service shop.{stage.namespace}, which Canary cart.")
        await asyncio.sleep(2)  # until the first has scaled its target to zero
        before = await stage.requests()
        await asyncio.sleep(1)
        assert await stage.requests() == before
        service = await stage.read(SERVICE, "shop")
        assert service is not None
        assert service["spec"]["selector"] == {"app": "cart-primary"}
        assert await stage.read(DEPLOYMENT, "pay-primary") is None


async def test_whatever_ports_containers_declare_the_services_are_accepted(stage: Stage):
    others = backend(stage, service={"portDiscovery": True})
    target = next(item for item in others if item["kind"] == "Deployment")
    target["spec"]["template"]["spec"]["containers"][0]["ports"] = [
        {"name": "http", "containerPort": 9003},
        {"containerPort": 53},
        {"containerPort": 53, "protocol": "UDP"},
    ]
    await stage.apply(*others)
    async with stage.controller():
        await stage.wait_for_phase("Initialized")
        service = await stage.read(SERVICE, "backend-canary")
        assert service is not None
        assert [(port["name"], port["port"], port["protocol"]) for port in service["spec"]["ports"]] == [
            ("http", 9898, "TCP"),
            ("http-9003", 9003, "TCP"),
            ("tcp-backend-1", 53, "TCP"),
            ("udp-backend-2", 53, "UDP"),
        ]
        await stage.wait_for_scale(0)
        before = await stage.requests()
        await stage.kube.patch(DEPLOYMENT, stage.namespace, "backend", {"metadata": {"labels": {"a": "b"}}})
        await asyncio.sleep(1)
        assert await stage.requests() == before


async def test_a_changed_target_port_reaches_the_primary_with_the_promotion(stage: Stage):
    await stage.apply(*backend(stage, service={"port": 80, "targetPort": 9898}))
    async with stage.controller():
        await stage.wait_for_phase("Initialized")
        seen = []

        async def succeeded() -> bool:
            services = [await stage.read(SERVICE, f"backend-{side}") for side in ("primary", "canary")]
            ports = [service["spec"]["ports"][0]["targetPort"] for service in services if service is not None]
            if ports not in seen:
                seen.append(ports)
            return (await stage.status()).get("phase") == "Succeeded"

        assert not await succeeded()
        await stage.kube.patch(CANARY, stage.namespace, "backend", {"spec": {"service": {"targetPort": 9899}}})
        await eventually(succeeded, stage.log)
        assert seen == [[9898, 9898], [9898, 9899], [9899, 9899]]


async def test_a_primary_that_may_not_be_written_keeps_its_configs_too(stage: Stage):
    """An admission policy refuses ``podinfo:2`` for the primary, and it alone."""
    await stage.apply(*backend(stage, progressDeadlineSeconds=3))
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["deployments"]}
    signed = "object.spec.template.spec.containers[0].image != 'podinfo:2'"
    inside = {"matchLabels": {"kubernetes.io/metadata.name": stage.namespace}}
    policy = {
        "metadata": {"name": stage.namespace},
        "spec": {
            "matchConstraints": {"namespaceSelector": inside, "resourceRules": [rule]},
            "validations": [
                {
                    "expression": f"object.metadata.name != 'backend-primary' || {signed}",
                    "message": "podinfo:2 is not signed",
                }
            ],
        },
    }
    binding = {
        "metadata": {"name": stage.namespace},
        "spec": {"policyName": stage.namespace, "validationActions": ["Deny"]},
    }
    async with stage.controller():
        await stage.wait_for_phase("Initialized")
        await stage.create_any(POLICY, policy)
        await stage.create_any(POLICY_BINDING, binding)
        await asyncio.sleep(2)  # policies come into force a moment later
        await stage.kube.patch(CONFIG_MAP, stage.namespace, "backend-config", {"data": {"colour": "green"}})
        await stage.set_image("podinfo:2")
        message = await stage.wait_for_message("podinfo:2 is not signed")
        assert "backend-primary" in message
        await stage.wait_for_phase("Failed")
        assert await stage.weights() == [100, 0]
        copied = await stage.read(CONFIG_MAP, "backend-config-primary")
        assert copied is not None
        assert copied["data"] == {"colour": "blue"}


async def test_a_canary_with_flaggers_finalizer_can_be_deleted(stage: Stage):
    await stage.apply(*backend(stage))
    async with stage.controller():
        await stage.wait_for_phase("Initialized")
        finalizers = {"metadata": {"finalizers": ["finalizer.flagger.app"]}}
        await stage.kube.patch(CANARY, stage.namespace, "backend", finalizers)
        await stage.delete(CANARY, "backend")

        async def gone() -> bool:
            return await stage.read(CANARY, "backend") is None

        await eventually(gone, stage.log)
