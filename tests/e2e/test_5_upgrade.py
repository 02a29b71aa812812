"""Apps and gateway move from one istiod to another while users go on.

The sandbox has one version of Istio. So the second istiod is of the same build under the number of the next minor
version: what is tested is the move, not that two versions of Istio understand each other.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from sandbox.build.recipes import load
from sandbox.deploy.project import project_folder, tag_of
from sandbox.running import SandboxError
from stack.merge import merge
from tests.e2e.traffic import SteadyUsers
from tests.e2e.world import World

HERE, NEXT = tag_of(load().images["pilot"]), "1.32.0"
APPS = ("backend", "frontend")


@pytest.fixture(scope="module")
def mesh(world: World) -> World:
    """The charts of the next version, and its images, are those of this one."""
    charts = project_folder(world.sandbox.node.instance).parent / "charts"
    if not (charts / NEXT).exists():
        (charts / NEXT).symlink_to((charts / HERE).resolve())
    world.settle(*APPS)
    return world


def deploy(world: World, istio: Mapping[str, Any], revision: str) -> None:
    values = merge(
        world.stack.get("canary-on-istio:istio", {}).get("values", {}), {"istiod": {"global": {"tag": HERE}}}
    )
    world.stack["canary-on-istio:istio"] = {**istio, "values": values}
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
        deploy(mesh, {"revisions": {"stable": NEXT}}, "stable")
    assert istiods(mesh) == ["istiod"]


def test_the_next_one_comes_beside_it_and_no_pod_changes(mesh: World):
    pods, mark = proxies(mesh), mesh.mark()
    deploy(mesh, {"version": HERE, "revisions": {"next": NEXT}}, "stable")
    assert (istiods(mesh), proxies(mesh)) == (["istiod", "istiod-1-32"], pods)
    assert [sight for sight in mesh.sights[mark:] if sight.phase == "Progressing"] == []
    assert output(mesh)["left"] == pods


def test_users_lose_nothing_while_apps_and_gateway_move_to_the_new_proxies_as_canaries(mesh: World):
    mark, routes = mesh.mark(), len(mesh.routes)
    with SteadyUsers(mesh.gateway, per_second=50) as users:
        deploy(mesh, {"version": HERE, "revisions": {"next": NEXT}, "gatewayRevision": "next"}, "next")
        for app in APPS:
            mesh.wait_for_phase(app, "Progressing", after=mark)
            mesh.wait_for_phase(app, "Succeeded", after=mark)
            mesh.wait_for_scale(app, 0)
        assert len(set(mesh.weights_since("backend", routes))) > 2, "step by step"
        mark = mesh.mark()
        deploy(mesh, {"revisions": {"stable": NEXT}}, "stable")
    assert (users.lost, users.calls > 1000) == ([], True)
    assert istiods(mesh) == ["istiod-1-32"]
    assert {*proxies(mesh)} == {"1-32"}
    assert [sight for sight in mesh.sights[mark:] if sight.phase == "Progressing"] == [], "they had the right proxy"
    assert output(mesh) == {"stable": {"version": NEXT, "revision": "1-32"}, "left": {}}
    preview = mesh.preview("--expect-no-changes")
    assert preview.returncode == 0, preview.stdout + preview.stderr
