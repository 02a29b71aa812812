"""From nothing: what `up` has made, and that doing it again changes nothing."""

import json

import pytest

from tests.e2e.world import World

APPS = ("backend", "frontend")


def names(world: World, kind: str, namespace: str = "prod") -> set[str]:
    listed = json.loads(world.kubectl("get", kind, "-n", namespace, "-o", "json"))
    return {item["metadata"]["name"] for item in listed["items"]}


@pytest.mark.parametrize("app", APPS)
def test_each_canary_is_initialized_with_the_objects_of_the_workshop(world: World, app):
    canary = world.get("canary", app)
    assert canary["status"]["phase"] == "Initialized"
    assert canary["status"]["conditions"][0]["type"] == "Promoted"
    assert {app, f"{app}-primary"} <= names(world, "deployments")
    assert {app, f"{app}-primary", f"{app}-canary"} <= names(world, "services")
    assert {app, f"{app}-primary"} <= names(world, "hpa")
    assert {f"{app}-primary", f"{app}-canary"} <= names(world, "destinationrules")
    assert world.get("virtualservice", app)["spec"]["http"][-1]["route"][0] == {
        "destination": {"host": f"{app}-primary"},
        "weight": 100,
    }
    assert world.get("deployment", app)["spec"]["replicas"] == 0
    assert world.get("deployment", f"{app}-primary")["status"]["readyReplicas"] == 1


def test_the_primary_has_a_config_of_its_own(world: World):
    assert world.get("configmap", "backend-config-primary")["data"] == {"GREETING": "hello"}


def test_the_page_is_served_through_the_gateway(world: World):
    status, page = world.fetch("/", {"User-Agent": "Mozilla/5.0", "Accept": "text/html"})
    assert status == 200
    assert "podinfo" in page
    assert world.version_for() == "6.1.0"


def test_columns_are_those_of_flagger(world: World):
    head = world.kubectl("get", "canaries", "-n", "prod").splitlines()[0]
    assert head.split() == ["NAME", "STATUS", "WEIGHT", "LASTTRANSITIONTIME"]


def test_a_preview_right_after_up_shows_no_change(world: World):
    preview = world.preview("--expect-no-changes", "--diff", "--refresh")
    assert preview.returncode == 0, preview.stdout + preview.stderr


def test_every_container_of_the_controller_is_unprivileged(world: World):
    pod = world.get("deployment", "canary-controller", "istio-system")["spec"]["template"]["spec"]
    security = pod["containers"][0]["securityContext"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert (security["readOnlyRootFilesystem"], security["allowPrivilegeEscalation"]) == (True, False)
    assert security["capabilities"] == {"drop": ["ALL"]}
