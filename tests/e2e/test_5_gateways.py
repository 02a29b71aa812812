"""A gateway with pods of its own in another namespace, beside the public one: each answers for its hosts only."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

import pytest

from sandbox.deploy.project import gateway_values
from tests.e2e.apps import caller
from tests.e2e.world import World

HOST = "backend.internal.example"
OTHER_GATEWAYS, NAMESPACES, APPS = (f"canary-on-istio:{section}" for section in ("gateways", "namespaces", "apps"))
PUBLIC, INTERNAL = "http://istio-gateway.istio-system", "http://internal.edge"

ANSWERS: Mapping[tuple[str, str], str] = {
    # (gateway, host that is asked for) -> whose pods answer, or the status
    (INTERNAL, HOST): "backend-primary",
    (INTERNAL, "shop.example"): "404",
    (PUBLIC, HOST): "frontend-primary",  # it serves all hosts, and the backend is not on it
    (PUBLIC, "shop.example"): "frontend-primary",
}


@pytest.fixture(scope="module")
def two_gateways(world: World) -> Iterator[World]:
    internal = {"namespace": "edge", "hosts": ["*.internal.example"], "ownPods": True, "values": gateway_values()}
    world.deploy_stack(
        {
            NAMESPACES: {"edge": {}},
            OTHER_GATEWAYS: {"internal": internal},
            APPS: {"backend": {"service": {"gateways": ["edge/internal", "mesh"], "hosts": [HOST]}}},
        }
    )
    image = world.get("deployment", "flagger-loadtester")["spec"]["template"]["spec"]["containers"][0]["image"]
    world.apply(caller("user", "edge", image, inject=False))
    try:
        world.kubectl("rollout", "status", "deployment/user", "--namespace=edge", "--timeout=60s")
        yield world
    finally:
        # The entries go, whatever the stack has else.
        for section in (OTHER_GATEWAYS, NAMESPACES):
            world.stack = {key: value for key, value in world.stack.items() if key != section}
        world.deploy_stack({APPS: {"backend": {"service": {"gateways": [], "hosts": []}}}})


def who_answers(world: World, gateway: str, host: str) -> str:
    """The workload of the pod that answers somebody outside the mesh, or the status of an answer that is none."""
    ask = f"curl --silent --max-time 5 --header 'Host: {host}' --write-out '\\n%{{http_code}}' {gateway}/api/info"
    said = world.kubectl("exec", "--namespace=edge", "deploy/user", "--", "sh", "-c", f"{ask} || true")
    *body, status = said.splitlines()
    names = [line.split('"')[3].rsplit("-", 2)[0] for line in body if '"hostname"' in line]
    return names[0] if names else status


def test_each_gateway_answers_for_its_own_hosts(two_gateways: World):
    deadline = time.monotonic() + 60  # a gateway takes a moment to hear of its routes
    while (found := {each: who_answers(two_gateways, *each) for each in ANSWERS}) != ANSWERS:
        assert time.monotonic() < deadline, found
    release = two_gateways.get("deployment", "internal", "edge")
    assert release["spec"]["template"]["metadata"]["labels"]["istio"] == "internal"


def test_a_second_preview_of_both_changes_nothing(two_gateways: World):
    preview = two_gateways.preview("--expect-no-changes")
    assert preview.returncode == 0, preview.stdout
