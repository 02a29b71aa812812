"""A namespace with `mtls: STRICT` and `callers`, seen from the inside: whom its pods refuse, and that a canary runs.

The sandbox's network enforces no NetworkPolicy: tests/components/test_reach.py has what they let in.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.e2e.world import AT_REST, World

ELSEWHERE = "elsewhere"
NAMESPACE = "canary-on-istio:namespace"
BACKEND, FRONTEND = "http://backend.prod:9898/version", "http://frontend.prod:9898/version"
PRIMARY = "http://backend-primary.prod:9898/version"
LOAD_TESTER = "http://flagger-loadtester.prod/healthz"

ANSWERS: Mapping[tuple[str, str], str] = {
    # (namespace and Deployment of the caller, what it calls) -> status of the answer; 000 for none
    ("elsewhere/in-the-mesh", BACKEND): "403",
    ("elsewhere/in-the-mesh", PRIMARY): "403",
    ("elsewhere/in-the-mesh", FRONTEND): "403",
    ("elsewhere/in-the-mesh", LOAD_TESTER): "403",
    ("elsewhere/outside-the-mesh", BACKEND): "000",
    ("elsewhere/outside-the-mesh", PRIMARY): "000",
    ("elsewhere/outside-the-mesh", FRONTEND): "000",
    ("prod/flagger-loadtester", BACKEND): "200",
    ("prod/flagger-loadtester", PRIMARY): "200",
    ("prod/flagger-loadtester", FRONTEND): "200",
    ("prod/flagger-loadtester", LOAD_TESTER): "200",
}


def caller(name: str, image: str, *, inject: bool) -> dict[str, Any]:
    labels = {"app": name}
    container = {"name": "shell", "image": image, "imagePullPolicy": "IfNotPresent", "command": ["sleep", "1h"]}
    metadata = {"labels": {**labels, "sidecar.istio.io/inject": str(inject).lower()}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": ELSEWHERE},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": metadata, "spec": {"containers": [container]}},
        },
    }


@pytest.fixture(scope="module")
def closed(world: World) -> Iterator[World]:
    """The stack with a closed namespace, and pods of another one that would like to call its own."""
    image = world.get("deployment", "flagger-loadtester")["spec"]["template"]["spec"]["containers"][0]["image"]
    world.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ELSEWHERE}})
    callers = {
        name: caller(name, image, inject=inject)
        for name, inject in (("in-the-mesh", True), ("outside-the-mesh", False))
    }
    world.apply(*callers.values())
    try:
        world.deploy_stack({NAMESPACE: {"mtls": "STRICT", "callers": []}})
        for name in callers:
            world.kubectl("rollout", "status", f"deployment/{name}", f"--namespace={ELSEWHERE}", "--timeout=60s")
        yield world
    finally:
        world.deploy_stack({NAMESPACE: {"mtls": None, "callers": None}})
        world.kubectl("delete", "namespace", ELSEWHERE)


def status(world: World, who: str, url: str) -> str:
    namespace, _, name = who.partition("/")
    ask = f"curl --silent --output /dev/null --max-time 5 --write-out '%{{http_code}}' {url} || true"
    return world.kubectl("exec", f"--namespace={namespace}", f"deploy/{name}", "--", "sh", "-c", ask)


def test_a_pod_elsewhere_gets_no_answer_and_those_of_the_namespace_do(closed: World):
    deadline = time.monotonic() + 30  # a proxy takes a moment to hear of a policy
    while (found := {call: status(closed, *call) for call in ANSWERS}) != ANSWERS and time.monotonic() < deadline:
        pass
    assert found == ANSWERS
    assert closed.fetch("/version")[0] == 200


def test_a_canary_is_tested_measured_and_promoted_in_a_closed_namespace(closed: World):
    mark = closed.mark()
    closed.deploy("backend", env={"REVISION": "closed"})
    closed.wait_for("backend", "under way", lambda sight: sight.weight > 0, after=mark)
    ended = closed.wait_for(
        "backend", "at its end", lambda sight: sight.phase in AT_REST, after=closed.mark(), seconds=180
    )
    assert ended.phase == "Succeeded", closed.report("backend")
