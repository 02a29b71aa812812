"""The policy pack and the package as Pulumi's engine runs them: in processes of their own, over its protocols.

The sandbox's language host is too old to start a pack or a package from its folder, so small scripts stand in for it.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from package.components import NAME
from package.manifest import PROMETHEUS
from package.provider import build_provider
from preview.policies import Violation
from preview.pulumi import preview_stack
from sandbox.node.apiserver import api_server
from sandbox.paths import REPO, Cache

KINDS = ("alertproviders.flagger.app", "canaries.flagger.app", "metrictemplates.flagger.app")
IN_YAML = """
import json, sys, pulumi

class Remote(pulumi.ComponentResource):
    def __init__(self, kind, name, properties, outputs, opts):
        super().__init__(kind, name, {**properties, **dict.fromkeys(outputs)}, opts, remote=True)

before = []
for name, each in json.loads(pulumi.Config().require("resources")).items():
    kind = each["type"].replace(":", ":index:")
    made = Remote(kind, name, each["properties"], each.get("outputs", []), pulumi.ResourceOptions(depends_on=before))
    before = [made]
    for output in each.get("outputs", []):
        pulumi.export(output, getattr(made, output))
"""
"""What the language host of YAML does with resources that need no more than their order."""


def start(path: Path, *command: str | Path) -> None:
    """A script that starts Python."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, (sys.executable, "-u", *command)))} "$@"\n')
    path.chmod(0o755)


def run(*arguments: str) -> str:
    done = subprocess.run(["pulumi", *arguments, "--non-interactive"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def write_project(folder: Path, main: Path) -> None:
    project = {"name": "packs", "runtime": "python", "main": str(main)}
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump(project))
    run("stack", "init", "prod")


def import_canary(namespace: str, name: str, **service: Any) -> None:
    """What an update before has left: a Canary with this service, and nothing else."""
    state = json.loads(run("stack", "export"))
    kind, stack = "kubernetes:flagger.app/v1beta1:Canary", "pulumi:pulumi:Stack"
    metadata = {"namespace": namespace, "name": name}
    root = {"urn": f"urn:pulumi:prod::packs::{stack}::packs-prod", "type": stack}
    canary = {
        "urn": f"urn:pulumi:prod::packs::{kind}::{name}",
        "type": kind,
        "custom": True,
        "id": f"{namespace}/{name}",
        "inputs": {"metadata": metadata, "spec": {"service": service}},
    }
    state["deployment"]["resources"] = [root, canary]
    Path("state.json").write_text(json.dumps(state))
    run("stack", "import", "--file", "state.json")


def test_a_preview_says_what_the_pack_found_and_what_is_mandatory_for_the_stack(pulumi: Path) -> None:
    write_project(pulumi, REPO / "examples/apps")
    import_canary(
        "team-1", "shop", gateways=["istio-system/public-gateway"], hosts=["shop.example.com", "old.example.com"]
    )
    start(pulumi.parent / "bin/pulumi-analyzer-policy-here", "-m", "pulumi.policy")
    pack = pulumi / "policy"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").write_text("runtime: here\nversion: 1.0.0\n")
    for name in ("__main__.py", "canary_policy", "prod.json"):
        (pack / name).symlink_to(REPO / "policy" / name)
    preview = preview_stack("prod")
    limit = "Deployment team-1/shop: container shop may use all memory of its node. Set resources.limits.memory"
    image = "Deployment team-1/shop: container shop has the image registry.example/shop:1.4.2, which may be moved."
    lost = "Canary team-1/shop loses old.example.com. Say why in lostRoutes: {old.example.com: ...}"
    assert preview.violations == [
        Violation("memory-is-limited", limit, is_mandatory=True),
        Violation("no-lost-routes", lost, is_mandatory=True),
        *(
            Violation("alerts-are-sent", f"Canary team-1/{app} tells nobody of a rollback. Add analysis.alerts", False)
            for app in ("search", "shop")
        ),
        Violation("images-by-digest", f"{image} Name its digest", is_mandatory=False),
    ]
    assert preview.is_refused
    assert "kubernetes:apps/v1:Deployment" in preview.diff


def test_the_package_tells_its_schema(pulumi: Path) -> None:
    plugin = pulumi / f"pulumi-resource-{NAME}"
    start(plugin, REPO / "package")
    told: Mapping[str, Any] = json.loads(run("package", "get-schema", str(plugin)))
    own = json.loads(build_provider().schema or "")
    assert (told["name"], told["version"]) == (own["name"], own["version"])
    assert told["resources"].keys() == own["resources"].keys()
    assert told["types"].keys() == own["types"].keys()


def test_a_program_of_another_language_gets_what_its_resources_say(pulumi: Path) -> None:
    (pulumi / "__main__.py").write_text(IN_YAML)
    write_project(pulumi, pulumi)
    start(pulumi.parent / f"home/plugins/resource-{NAME}-v0.1.0/pulumi-resource-{NAME}", REPO / "package")
    resources = yaml.safe_load((REPO / "examples/yaml/Pulumi.yaml").read_text())["resources"]
    resources["platform"]["outputs"] = ["gatewayService"]
    charts = {"chartPath": str(Cache.default().share / "charts")}
    resources["platform"]["properties"] |= {"istio": charts, "observability": {"grafana": {"enabled": False}}}
    run("config", "set", "resources", json.dumps(resources).replace("${image}", "registry.example/controller:1"))
    steps = json.loads(run("preview", "--json"))["steps"]
    made = {(each["newState"]["type"].rpartition(":")[2], each["urn"].rpartition("::")[2]) for each in steps}
    assert {
        ("Release", "platform-istio-istiod"),
        ("Deployment", "platform-canary-controller"),
        ("Namespace", "team-1"),
        ("Deployment", "shop"),
        ("Canary", "shop"),
        ("Canary", "search"),
    } <= made
    canaries = {each["urn"].rpartition("::")[2]: each["newState"] for each in steps if each["urn"].count(":Canary::")}
    search = canaries["search"]["inputs"]["spec"]["analysis"]
    assert search == resources["search"]["properties"]["analysis"]


def test_the_manifest_of_a_release_installs_the_kinds_and_the_controller_without_pulumi(pulumi: Path) -> None:
    image = "registry.example/canary-controller:1.0.0"
    made = subprocess.run(
        [sys.executable, "-m", "package.manifest", image], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    with api_server() as server:
        kubectl = [str(Cache.default().bin / "kubectl"), f"--kubeconfig={server.kubeconfig}"]
        subprocess.run([*kubectl, "create", "namespace", "istio-system"], check=True)
        subprocess.run([*kubectl, "apply", "--server-side", "-f", "-"], input=made.stdout, text=True, check=True)
        there = ["deployment/canary-controller", "serviceaccount/canary-controller", "service/canary-controller"]
        read = subprocess.check_output([*kubectl, "get", "--namespace=istio-system", *there, "--output=json"])
        kinds = subprocess.check_output([*kubectl, "get", "crd", "--output=name"], text=True)
    pod = json.loads(read)["items"][0]["spec"]["template"]["spec"]
    assert (pod["serviceAccountName"], pod["containers"][0]["image"]) == ("canary-controller", image)
    assert f"--metrics-server={PROMETHEUS}" in pod["containers"][0]["args"]
    assert sorted(kinds.split()) == sorted(f"customresourcedefinition.apiextensions.k8s.io/{name}" for name in KINDS)
    assert "pulumi" not in made.stdout
