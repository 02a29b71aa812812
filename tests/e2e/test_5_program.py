"""The Pulumi program on a cluster that has it already: charts that change or fail, objects that were lost."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from sandbox.deploy.program import prepare
from sandbox.deploy.project import project_folder
from sandbox.paths import REPO
from sandbox.running import SandboxError
from stack.merge import merge
from tests.e2e.world import World


def chart_values(chart: str, **values: Any) -> dict[str, Any]:
    return {"canary-on-istio:istio": {"values": {chart: values}}}


def planned(world: World, *arguments: str, extra: Mapping[str, Any] | None = None) -> dict[str, str]:
    """What a preview would do to each resource, by name, and nothing for those that stay the same."""
    preview = world.preview("--json", *arguments, extra=extra)
    assert preview.returncode == 0, preview.stdout + preview.stderr
    steps = json.loads(preview.stdout[preview.stdout.index("{") :])["steps"]
    changes = [step for step in steps if step["op"] in {"create", "update", "replace", "delete"}]
    return {step["urn"].rpartition("::")[2]: step["op"] for step in changes}


def revisions(world: World, release: str) -> list[str]:
    """The status of every revision of a Helm release, oldest first."""
    labels = f"owner=helm,name={release}"
    listed = json.loads(world.kubectl("get", "secrets", "-n", "istio-system", "-l", labels, "-o", "json"))["items"]
    kept = [item["metadata"]["labels"] for item in listed]
    return [labels["status"] for labels in sorted(kept, key=lambda labels: int(labels["version"]))]


def test_changed_chart_values_upgrade_that_release_and_nothing_else(world: World):
    extra = chart_values("gateway", podAnnotations={"example.com/changed": "true"})
    assert planned(world, extra=extra) == {"public-gateway-pods": "update"}
    before = revisions(world, "istio-gateway")
    world.deploy_stack(extra)
    pods = world.get("deployment", "istio-gateway", "istio-system")["spec"]["template"]["metadata"]
    assert pods["annotations"]["example.com/changed"] == "true"
    assert revisions(world, "istio-gateway") == ["superseded" for _ in before] + ["deployed"]
    assert planned(world) == {}
    assert world.fetch()[0] == 200


def test_an_upgrade_that_fails_is_rolled_back_and_stays_planned_until_it_is_corrected(world: World):
    serving, before = world.get("deployment", "istiod", "istio-system")["spec"], revisions(world, "istiod")
    with pytest.raises(SandboxError, match=r"(?s)istiod.*quantities must match"):
        world.deploy_stack(chart_values("istiod", resources={"requests": {"cpu": "plenty"}}))
    assert world.get("deployment", "istiod", "istio-system")["spec"] == serving
    assert revisions(world, "istiod") == ["superseded" for _ in before] + ["failed", "deployed"]
    assert planned(world) == {"istio-istiod": "update"}
    world.deploy_stack(chart_values("istiod", resources={"requests": {"cpu": "10m"}}))
    assert planned(world) == {}


def test_a_config_that_changes_is_an_update_of_its_config_map_alone(world: World):
    extra = {"canary-on-istio:apps": {"backend": {"config": {"GREETING": "good night"}}}}
    assert planned(world, extra=extra) == {"backend-config": "update"}


def test_the_comment_of_a_pull_request_says_what_users_get(world: World):
    extra = {"canary-on-istio:apps": {"backend": {"env": {"COLOUR": "red"}}}}
    engine = prepare(world.sandbox.node, merge(world.stack, extra))
    command = [sys.executable, "-m", "preview", "--stack=dev"]
    env = os.environ | engine.environment() | {"PYTHONPATH": str(REPO)}
    folder = project_folder(engine.instance)
    made = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=True, timeout=120)
    row = next(line for line in made.stdout.splitlines() if line.startswith("| prod/backend | "))
    # The variable, or all of them where there was none before.
    assert re.match(r"\| prod/backend \| `spec.containers\[backend\].env(\[COLOUR\])?` \| \d+ steps of \d+s: ", row)
    assert "<summary>1 to update</summary>" in made.stdout
    assert "The cluster does not answer" not in made.stdout


def test_what_was_removed_by_hand_is_seen_by_a_refresh_and_created_again(world: World):
    world.kubectl("delete", "service", "canary-controller", "-n", "istio-system")
    assert planned(world) == {}
    assert planned(world, "--refresh") == {"canary-controller": "create"}
    world.sandbox.engine.run("up", "--yes", "--skip-preview", "--refresh", "--stack=dev", quiet=True)
    assert world.get("service", "canary-controller", "istio-system")["spec"]["type"] == "ClusterIP"


def test_a_cluster_that_does_not_answer_is_named_and_nothing_is_forgotten(world: World):
    file = world.sandbox.node.instance.kubeconfig
    text = file.read_text()
    file.write_text(re.sub(r"https://127\.0\.0\.1:\d+", "https://127.0.0.1:9", text))
    try:
        with pytest.raises(SandboxError, match=r"(?s)cluster is unreachable.*127\.0\.0\.1:9"):
            world.sandbox.engine.run("up", "--yes", "--skip-preview", "--refresh", "--stack=dev", quiet=True)
    finally:
        file.write_text(text)
    assert planned(world) == {}
