"""What else Flagger does on Istio, with real traffic: each strategy, gate and object, from the start to its end."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.e2e.apps import NAMESPACE, canary, deployment
from tests.e2e.traffic import MeshUser
from tests.e2e.world import World

OLD, NEW = "6.1.0", "6.1.1"
TESTER = "http://flagger-loadtester.prod"
ROUNDS: Mapping[str, Any] = {"stepWeight": None, "maxWeight": None, "iterations": 3}


def hook(name: str, kind: str, url: str, **metadata: str) -> dict[str, Any]:
    return {"name": name, "type": kind, "url": url, "timeout": "10s", "metadata": metadata}


def made(name: str, analysis: Mapping[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """A Canary; None removes a field."""
    built = canary(name)
    merged = {**built["spec"]["analysis"], **(analysis or {})}
    built["spec"]["analysis"] = {key: value for key, value in merged.items() if value is not None}
    built["spec"] |= spec
    return built


def users(world: World, name: str) -> MeshUser:
    return MeshUser(world.sandbox.node, f"http://{name}.{NAMESPACE}:9898/version")


def inside(world: World, script: str) -> str:
    """What a shell in the mesh prints."""
    tester = ("exec", "--namespace=prod", "deploy/flagger-loadtester", "--container=loadtester")
    return world.kubectl(*tester, "--", "sh", "-c", script)


def gate(world: World, verb: str, name: str) -> None:
    body = json.dumps({"name": name, "namespace": NAMESPACE})
    inside(world, f"curl --silent --fail -d '{body}' {TESTER}/gate/{verb}")


APPS: Mapping[str, dict[str, Any]] = {
    "green": made(
        "green",
        {
            **ROUNDS,
            "webhooks": [
                hook(
                    "token",
                    "pre-rollout",
                    f"{TESTER}/",
                    type="bash",
                    cmd=f"curl -sd test http://green-canary.{NAMESPACE}:9898/token | grep token",
                )
            ],
        },
    ),
    "gated": made("gated", {"webhooks": [hook("approve", "confirm-promotion", f"{TESTER}/gate/check")]}),
    "skipped": made("skipped", skipAnalysis=True),
    "imageless": made("imageless", progressDeadlineSeconds=20),
    "reverted": made("reverted", revertOnDeletion=True),
    "sticky": made("sticky", {"interval": "8s", "stepWeight": 50, "sessionAffinity": {"cookieName": "canary"}}),
    "plain": made("plain", service={"port": 9898, "appProtocol": "tcp"}),
    "delegated": made("delegated", service={"port": 9898, "delegation": True}),
    "grouped": made("grouped", {"interval": "8s", "stepWeight": 50}, group="shop", groupHeader="x-shop-release"),
}
ROOT = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "delegating", "namespace": NAMESPACE},
    "spec": {
        "hosts": ["delegated"],
        "http": [{"match": [{"uri": {"prefix": "/"}}], "delegate": {"name": "delegated", "namespace": NAMESPACE}}],
    },
}
ADOPTED = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "reverted", "namespace": NAMESPACE, "labels": {"team": "blue"}},
    "spec": {"selector": {"app": "reverted"}, "ports": [{"name": "http", "port": 9898}]},
}
ROUTE = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "reverted", "namespace": NAMESPACE},
    "spec": {
        "hosts": [f"reverted.{NAMESPACE}.svc.cluster.local"],
        "http": [{"route": [{"destination": {"host": "reverted"}}], "timeout": "7s"}],
    },
}


@pytest.fixture(scope="module")
def apps(trials: World) -> World:
    """All of them at their first version, and the gate closed."""
    trials.apply(ADOPTED, ROUTE, ROOT, *(deployment(name, tag=OLD) for name in APPS))
    trials.apply(*APPS.values())
    for name in APPS:
        trials.wait_for_phase(name, "Initialized", seconds=150)
    gate(trials, "close", "gated")
    return trials


def push(world: World, name: str, tag: str = NEW) -> int:
    mark = world.mark()
    world.apply(deployment(name, tag=tag))
    return mark


def test_blue_green_sends_nobody_to_the_new_version_before_its_rounds_are_done(apps: World):
    events = len(apps.events)
    with users(apps, "green") as seen:
        mark = push(apps, "green")
        apps.wait_for("green", "at round 2", lambda sight: sight.iterations == 2, after=mark)
        before = set(seen.versions)
        apps.wait_for_phase("green", "Succeeded", after=mark)
        seen.next_versions(5)
    assert before == {OLD}
    assert (seen.versions[-1], seen.versions.count("lost")) == (NEW, 0)
    apps.wait_for_event("green", "Pre-rollout check token passed", after=events)


def test_a_gate_holds_the_promotion_until_a_person_opens_it(apps: World):
    mark = push(apps, "gated")
    apps.wait_for_phase("gated", "WaitingPromotion", after=mark)
    assert image_of(apps, "gated-primary") == OLD
    gate(apps, "open", "gated")
    apps.wait_for_phase("gated", "Succeeded", after=mark)
    assert image_of(apps, "gated-primary") == NEW


def test_a_skipped_analysis_promotes_at_once(apps: World):
    routes, mark = len(apps.routes), push(apps, "skipped")
    apps.wait_for_phase("skipped", "Succeeded", after=mark)
    assert (apps.weights_since("skipped", routes), image_of(apps, "skipped-primary")) == ([], NEW)


def test_an_image_that_cannot_be_pulled_is_named_and_rolled_back(apps: World):
    with users(apps, "imageless") as seen:
        mark = push(apps, "imageless", "0.0.0")
        failed = apps.wait_for_phase("imageless", "Failed", after=mark)
    assert "podinfo:0.0.0" in failed.message
    assert set(seen.versions) == {OLD}


def test_session_affinity_keeps_a_user_on_the_version_that_he_had(apps: World):
    mark = push(apps, "sticky")
    apps.wait_for("sticky", "at 50%", lambda sight: sight.weight == 50, after=mark)
    ask = f"curl --silent --cookie-jar /tmp/jar --cookie /tmp/jar http://sticky.{NAMESPACE}:9898/version"
    found = inside(
        apps,
        f"rm -f /tmp/jar; for try in $(seq 40); do {ask} | grep -q {NEW} && break; done;"
        f" for again in $(seq 20); do {ask} | grep -o '[0-9]*[.][0-9]*[.][0-9]*'; done",
    )
    assert found.split() == [NEW] * 20
    apps.wait_for_phase("sticky", "Succeeded", after=mark)


def test_a_request_that_came_by_a_canary_of_the_group_goes_to_the_canary_and_says_so(apps: World):
    mark = push(apps, "grouped")
    apps.wait_for("grouped", "at 50%", lambda sight: sight.weight == 50, after=mark)
    ask, url = "curl --silent --header 'x-shop-release: {}'", f"http://grouped.{NAMESPACE}:9898"
    led = {
        side: inside(
            apps, f"for n in $(seq 20); do {ask.format(side)} {url}/version | grep -o '6[.][0-9]*[.][0-9]*'; done"
        )
        for side in ("canary", "primary")
    }
    marks = inside(apps, f"for n in $(seq 20); do curl --silent {url}/headers | grep -A1 -i x-shop-release; done")
    assert {side: set(answers.split()) for side, answers in led.items()} == {"canary": {NEW}, "primary": {OLD}}
    assert set(re.findall("canary|primary", marks)) == {"canary", "primary"}
    apps.wait_for_phase("grouped", "Succeeded", after=mark)


def test_connections_are_shared_out_where_the_app_speaks_tcp(apps: World):
    with users(apps, "plain") as seen:
        mark = push(apps, "plain")
        apps.wait_for("plain", "at 50%", lambda sight: sight.weight == 50, after=mark)
        apps.wait_for_phase("plain", "Succeeded", after=mark)
        seen.next_versions(5)
    assert set(seen.versions[:3]) == {OLD}
    assert {OLD, NEW} == set(seen.versions)
    assert seen.versions[-1] == NEW


def test_a_root_that_delegates_sends_its_users_to_the_canary_by_weight(apps: World):
    with users(apps, "delegated") as seen:
        mark = push(apps, "delegated")
        apps.wait_for("delegated", "at 50%", lambda sight: sight.weight == 50, after=mark)
        half = seen.next_versions(20)
        apps.wait_for_phase("delegated", "Succeeded", after=mark)
    assert set(half) <= {OLD, NEW}
    assert NEW in half
    assert seen.versions.count("lost") == 0


def test_a_deletion_gives_back_what_was_adopted_and_loses_no_request(apps: World):
    assert apps.get("service", "reverted", NAMESPACE)["spec"]["selector"] == {"app": "reverted-primary"}
    with users(apps, "reverted") as seen:
        apps.kubectl("delete", "canary", "reverted", "-n", NAMESPACE, "--timeout=60s")
        apps.kubectl("wait", "--for=delete", "deployment/reverted-primary", "-n", NAMESPACE, "--timeout=60s")
        seen.next_versions(20)
    service, route = apps.get("service", "reverted", NAMESPACE), apps.get("virtualservice", "reverted", NAMESPACE)
    assert (service["spec"]["selector"], service["metadata"]["labels"]) == ({"app": "reverted"}, {"team": "blue"})
    assert route["spec"] == ROUTE["spec"]
    assert apps.get("deployment", "reverted", NAMESPACE)["spec"]["replicas"] == 1
    assert set(seen.versions) == {OLD}


def image_of(world: World, name: str) -> str:
    """The tag that a Deployment runs."""
    template = world.get("deployment", name, NAMESPACE)["spec"]["template"]
    return str(template["spec"]["containers"][0]["image"]).rpartition(":")[2]
