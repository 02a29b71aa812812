"""Apps and gateway move from a minor version of Istio to the next one while users go on, in a sandbox of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from sandbox.build.recipes import ISTIO_BEFORE, load
from sandbox.deploy.project import tag_of
from sandbox.lifecycle import down
from sandbox.node.instance import Instance
from sandbox.running import SandboxError
from stack.merge import merge
from tests.e2e.conftest import KEEP
from tests.e2e.traffic import SteadyUsers
from tests.e2e.world import STACK, World

BEFORE, HERE = (tag_of(load().images[name]) for name in ("pilot-before", "pilot"))
REVISION = "-".join(HERE.split(".")[:2])
APPS = ("backend", "frontend")


@pytest.fixture(scope="module")
def mesh(instance: Instance) -> Iterator[World]:
    """A sandbox that begins with the version before."""
    name = f"{instance.name}-upgrade"
    if not KEEP:
        down(name)
    world = World.from_nothing(name, merge(STACK, {"canary-on-istio:istio": {"version": BEFORE}}), [ISTIO_BEFORE])
    world.settle(*APPS)
    for app in APPS:
        world.wait_for_scale(app, 0)
    targets = f"app in ({', '.join(APPS)})"
    world.kubectl("wait", "--for=delete", "pod", "--namespace=prod", f"--selector={targets}", "--timeout=90s")
    yield world
    world.close()
    if not KEEP:
        down(name)


def deploy(world: World, istio: Mapping[str, Any], revision: str) -> None:
    world.stack["canary-on-istio:istio"] = istio
    world.deploy_stack({"canary-on-istio:namespace": {"revision": revision}})


def proxies(world: World) -> Mapping[str, Sequence[str]]:
    """The pods that have a proxy, by its revision, as `canary proxies` says."""
    command = [str(Path(sys.executable).with_name("canary")), "proxies", "--output=json"]
    env = os.environ | {"KUBECONFIG": str(world.sandbox.node.instance.kubeconfig)}
    found: Mapping[str, Sequence[str]] = json.loads(subprocess.check_output(command, env=env))["proxies"]
    return found


def istiods(world: World) -> list[str]:
    listed = json.loads(world.kubectl("get", "deployments", "-n", "istio-system", "-l", "app=istiod", "-o", "json"))
    return sorted(each["metadata"]["name"] for each in listed["items"])


def output(world: World) -> Any:
    return json.loads(world.sandbox.engine.read("stack", "output", "istio", "--json", "--stack", "dev"))


def test_an_istiod_that_pods_need_is_not_taken_from_them(mesh: World):
    assert {*proxies(mesh)} == {"default"}
    refused = r"revision default\) would be removed, and \d+ pods still have its proxy"
    with pytest.raises(SandboxError, match=refused):
        deploy(mesh, {"revisions": {"stable": HERE}}, "stable")
    assert istiods(mesh) == ["istiod"]


def test_the_next_one_comes_beside_it_and_no_pod_changes(mesh: World):
    pods, mark = proxies(mesh), mesh.mark()
    deploy(mesh, {"version": BEFORE, "revisions": {"next": HERE}}, "stable")
    assert (istiods(mesh), proxies(mesh)) == (["istiod", f"istiod-{REVISION}"], pods)
    assert [sight for sight in mesh.sights[mark:] if sight.phase == "Progressing"] == []
    assert output(mesh)["left"] == pods


def test_users_lose_nothing_while_apps_and_gateway_move_to_the_new_proxies_as_canaries(mesh: World):
    mark, routes = mesh.mark(), len(mesh.routes)
    with SteadyUsers(mesh.gateway, per_second=50) as users:
        deploy(mesh, {"version": BEFORE, "revisions": {"next": HERE}, "gatewayRevision": "next"}, "next")
        for app in APPS:
            mesh.wait_for_phase(app, "Progressing", after=mark)
            mesh.wait_for_phase(app, "Succeeded", after=mark)
            mesh.wait_for_scale(app, 0)
        assert len(set(mesh.weights_since("backend", routes))) > 2, "step by step"
        mark = mesh.mark()
        deploy(mesh, {"revisions": {"stable": HERE}}, "stable")
    assert (users.lost, users.calls > 1000) == ([], True)
    assert istiods(mesh) == [f"istiod-{REVISION}"]
    assert {*proxies(mesh)} == {REVISION}
    assert [sight for sight in mesh.sights[mark:] if sight.phase == "Progressing"] == [], "they had the right proxy"
    assert output(mesh) == {"stable": {"version": HERE, "revision": REVISION}, "left": {}}
    preview = mesh.preview("--expect-no-changes")
    assert preview.returncode == 0, preview.stdout + preview.stderr
