"""From nothing: what `up` has made, and that doing it again changes nothing."""

import json
import urllib.request
from pathlib import Path

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
    world.wait_for_scale(app, 0)
    assert world.get("deployment", f"{app}-primary")["status"]["readyReplicas"] == 1


def test_the_primary_has_a_config_of_its_own(world: World):
    assert world.get("configmap", "backend-config-primary")["data"] == {"GREETING": "hello"}


def test_the_page_is_served_through_the_gateway(world: World):
    status, page = world.fetch("/", {"User-Agent": "Mozilla/5.0", "Accept": "text/html"})
    assert status == 200
    assert "podinfo" in page
    assert world.version_for() == "6.1.0"


def test_the_page_of_the_rollouts_shows_both_canaries(world: World):
    port = world.sandbox.node.instance.ports().page
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/?namespace=prod", timeout=10) as answer:
        page = answer.read().decode()
    assert [app for app in APPS if f"prod/{app}</a>" in page] == list(APPS)


def test_columns_are_those_of_flagger(world: World):
    head = world.kubectl("get", "canaries", "-n", "prod").splitlines()[0]
    assert head.split() == ["NAME", "STATUS", "WEIGHT", "LASTTRANSITIONTIME"]


def test_a_preview_right_after_up_shows_no_change(world: World):
    preview = world.preview("--expect-no-changes", "--diff", "--refresh")
    assert preview.returncode == 0, preview.stdout + preview.stderr


def test_a_second_up_changes_nothing(world: World):
    def generations() -> dict[str, int]:
        kinds = "deployments,canaries,virtualservices,destinationrules,metrictemplates,gateways.networking.istio.io"
        listed = json.loads(world.kubectl("get", kinds, "--all-namespaces", "--output=json"))
        return {
            f"{item['kind']} {item['metadata']['name']}": item["metadata"]["generation"] for item in listed["items"]
        }

    before = generations()
    world.sandbox.engine.run("up", "--yes", "--skip-preview", "--stack=dev", "--expect-no-changes", quiet=True)
    assert generations() == before


def test_it_is_reached_from_this_machine_alone_and_takes_less_than_3_gib(world: World):
    instance = world.sandbox.node.instance
    ports = {f"{port:04X}" for port in vars(instance.ports()).values()}
    local = [
        line.split()[1].split(":") for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if " 0A " in line
    ]
    assert {address for address, port in local if port in ports} == {"0100007F"}
    assert {port for _, port in local} >= ports
    assert ports.isdisjoint(
        line.split()[1].split(":")[1] for line in Path("/proc/net/tcp6").read_text().splitlines()[1:]
    )
    assert instance.cgroup.memory() < 3 << 30


def test_every_container_of_the_controller_is_unprivileged(world: World):
    pod = world.get("deployment", "canary-controller", "istio-system")["spec"]["template"]["spec"]
    security = pod["containers"][0]["securityContext"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert (security["readOnlyRootFilesystem"], security["allowPrivilegeEscalation"]) == (True, False)
    assert security["capabilities"] == {"drop": ["ALL"]}
