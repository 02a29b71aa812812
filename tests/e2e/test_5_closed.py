"""A namespace with `mtls: STRICT` and `callers`, seen from the inside: whom its pods refuse, and that a canary runs.

And the page of the rollouts behind the gateway, seen from the outside: whom that refuses.

The sandbox's network enforces no NetworkPolicy: tests/components/test_reach.py has what they let in.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from tests.e2e.apps import caller
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


CONTROLLER = "canary-on-istio:controller"
HOST, ISSUER, AUDIENCE = "rollouts.example.com", "https://login.example.com", "rollouts"
KEY, OTHER_KEY = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
PAGE: Mapping[str, Any] = {
    "gateway": {
        "host": HOST,
        "auth": {
            "jwt": {
                "issuer": ISSUER,
                "audiences": [AUDIENCE],
                "jwks": json.dumps({"keys": [RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True)]}),
                "header": "X-Token",
            }
        },
    }
}


def token(key: rsa.RSAPrivateKey = KEY, seconds: float = 3600, **claims: str) -> str:
    said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": int(time.time() + seconds), **claims}
    return jwt.encode(said, key, "RS256")


KNOWN = token()
CANARIES = "/canaries/prod/backend"
VISITS: Mapping[str, tuple[str, str, dict[str, str], tuple[int, bool]]] = {
    # who -> (host, path, headers, (status, whether that is the page))
    "a stranger": (HOST, "/", {}, (403, False)),
    "a stranger, with the port": (f"{HOST}:8080", "/", {}, (403, False)),
    "a stranger, in capitals": (HOST.upper(), CANARIES, {}, (403, False)),
    "a stranger with a Kubernetes token": (HOST, "/", {"Authorization": f"Bearer {token(OTHER_KEY)}"}, (403, False)),
    "a forged token": (HOST, "/", {"X-Token": token(OTHER_KEY)}, (401, False)),
    "a token of another issuer": (HOST, "/", {"X-Token": token(iss="https://other.example.com")}, (401, False)),
    "a token for others": (HOST, "/", {"X-Token": token(aud="shop")}, (403, False)),
    "a token of yesterday": (HOST, "/", {"X-Token": token(seconds=-86400)}, (401, False)),
    "a known one": (HOST, "/", {"X-Token": KNOWN}, (200, True)),
    "a known one, with the port": (f"{HOST}:8080", CANARIES, {"X-Token": KNOWN}, (200, True)),
    "a user of an app": ("shop.example.com", "/version", {}, (200, False)),
    "a user of an app with a token of its own": (
        "shop.example.com",
        "/version",
        {"Authorization": f"Bearer {token(OTHER_KEY, iss='https://shop.example.com')}"},
        (200, False),
    ),
    "a user of an app who looks for the page": ("shop.example.com", CANARIES, {"X-Token": KNOWN}, (404, False)),
}


@pytest.fixture(scope="module")
def closed(world: World) -> Iterator[World]:
    """The stack with a closed namespace, and pods of another one that would like to call its own."""
    image = world.get("deployment", "flagger-loadtester")["spec"]["template"]["spec"]["containers"][0]["image"]
    world.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ELSEWHERE}})
    callers = {
        name: caller(name, ELSEWHERE, image, inject=inject)
        for name, inject in (("in-the-mesh", True), ("outside-the-mesh", False))
    }
    world.apply(*callers.values())
    try:
        world.deploy_stack({NAMESPACE: {"mtls": "STRICT", "callers": []}, CONTROLLER: {"page": PAGE}})
        for name in callers:
            world.kubectl("rollout", "status", f"deployment/{name}", f"--namespace={ELSEWHERE}", "--timeout=60s")
        yield world
    finally:
        world.deploy_stack({NAMESPACE: {"mtls": None, "callers": None}, CONTROLLER: {"page": {"gateway": None}}})
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


def visit(world: World, host: str, path: str, headers: Mapping[str, str]) -> tuple[int, bool]:
    status, body = world.fetch(path, {"Host": host, **headers})
    return status, "<title>Canaries</title>" in body or "<title>prod/backend</title>" in body


def test_the_page_behind_the_gateway_is_for_those_whom_the_issuer_knows_and_other_hosts_are_as_before(closed: World):
    expected = {who: seen for who, (*_, seen) in VISITS.items()}

    def seen() -> dict[str, tuple[int, bool]]:
        return {who: visit(closed, host, path, headers) for who, (host, path, headers, _) in VISITS.items()}

    deadline = time.monotonic() + 30  # as above
    while (found := seen()) != expected and time.monotonic() < deadline:
        pass
    assert found == expected


def test_behind_the_gateway_the_page_is_live_and_actions_take_a_kubernetes_token(closed: World):
    connection = HTTPConnection(*closed.gateway, timeout=20)
    try:
        connection.request("GET", f"{CANARIES}/live", headers={"Host": HOST, "X-Token": KNOWN})
        news = connection.getresponse()
        lines = iter(news.readline, b"")
        assert any(b"</span> backend-primary-" in line for line in lines)
    finally:
        connection.close()
    connection = HTTPConnection(*closed.gateway, timeout=20)
    try:
        sent = {"Host": HOST, "X-Token": KNOWN, "Content-Type": "application/json"}
        connection.request("POST", f"{CANARIES}/actions", '{"action": "pause"}', sent)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (401, b"Changing a Canary needs a Kubernetes token.\n")
    finally:
        connection.close()


def test_a_canary_is_tested_measured_and_promoted_in_a_closed_namespace(closed: World):
    mark = closed.mark()
    closed.deploy("backend", env={"REVISION": "closed"})
    closed.wait_for("backend", "under way", lambda sight: sight.weight > 0, after=mark)
    ended = closed.wait_for(
        "backend", "at its end", lambda sight: sight.phase in AT_REST, after=closed.mark(), seconds=180
    )
    assert ended.phase == "Succeeded", closed.report("backend")
