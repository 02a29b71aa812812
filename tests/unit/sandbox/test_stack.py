from pathlib import Path

import pytest
import yaml

from sandbox.build.recipes import load
from sandbox.deploy.project import overlay, project_folder, read_configured, write_project
from sandbox.node.instance import Instance
from sandbox.paths import REPO, Cache
from sandbox.running import SandboxError

CACHE = Cache(Path("/cache"))


@pytest.fixture
def instance(tmp_path):
    return Instance("test", tmp_path)


def test_the_program_is_configured_with_what_only_the_sandbox_knows(instance):
    assert overlay(instance, CACHE, load(), "canary-controller:dev-1") == {
        "kubernetes:kubeconfig": str(instance.kubeconfig),
        "canary-on-istio:istio": {
            "version": "1.31.0",
            "chartPath": f"{project_folder(instance).parent}/charts/{{version}}",
            "values": {
                "istiod": {
                    "global": {
                        "hub": "registry.istio.io/release",
                        "tag": "{version}",
                        "proxy": {"resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}},
                    },
                    "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
                    "telemetry": {"enabled": False},
                    "env": {"PILOT_ENABLE_METADATA_EXCHANGE": "false", "PILOT_ENABLE_ALPN_FILTER": "false"},
                },
                "gateway": {"service": {"type": "ClusterIP"}, "imagePullPolicy": "IfNotPresent"},
            },
        },
        "canary-on-istio:observability": {
            "prometheus": {"image": "prom/prometheus:v3.15.1"},
            "grafana": {"enabled": False},
        },
        "canary-on-istio:controller": {"image": "canary-controller:dev-1", "build": {"enabled": False}},
        "canary-on-istio:loadTester": {"image": load().images["load-tester"]},
    }
    charts = {each.name: str(each.readlink()) for each in (project_folder(instance).parent / "charts").iterdir()}
    assert charts == {"1.31.0": "/cache/share/charts", "1.30.4": "/cache/istio-before/share/charts"}


def test_a_stack_whose_istiods_all_have_revisions_has_no_version_beside_them(instance):
    revisions = {"revisions": {"stable": "1.30.4"}}
    write_project(instance, CACHE, load(), "controller:1", {"canary-on-istio:istio": revisions})
    stack = yaml.safe_load((project_folder(instance) / "Pulumi.dev.yaml").read_text())["config"]
    assert stack["canary-on-istio:istio"] | revisions == stack["canary-on-istio:istio"]
    assert "version" not in stack["canary-on-istio:istio"]


def test_the_project_has_the_policies_run_by_the_plugin_of_the_sandbox(instance):
    for _ in range(2):
        write_project(instance, CACHE, load(), "controller:1")
    pack = project_folder(instance) / "policy"
    assert yaml.safe_load((pack / "PulumiPolicy.yaml").read_text())["runtime"] == "sandbox"
    assert (pack / "prod.json").samefile(REPO / "policy" / "prod.json")
    assert yaml.safe_load((REPO / "policy" / "PulumiPolicy.yaml").read_text())["runtime"]["name"] == "python"


def test_the_project_leads_to_the_repository_and_keeps_the_engines_salt(instance):
    folder = project_folder(instance)
    write_project(instance, CACHE, load(), "controller:1")
    stack_file = folder / "Pulumi.dev.yaml"
    stack_file.write_text(stack_file.read_text() + "encryptionsalt: v1:salt\n")
    write_project(instance, CACHE, load(), "controller:2", {"canary-on-istio:apps": {"backend": {"tag": "6.1.1"}}})
    stack = yaml.safe_load(stack_file.read_text())
    assert yaml.safe_load((folder / "Pulumi.yaml").read_text())["main"] == str(REPO)
    assert stack["encryptionsalt"] == "v1:salt"
    assert stack["config"]["canary-on-istio:controller"]["image"] == "controller:2"
    assert stack["config"]["canary-on-istio:apps"] == {"frontend": {"tag": "6.1.0"}, "backend": {"tag": "6.1.1"}}


def test_a_stack_file_that_is_not_yaml_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("sandbox.deploy.project.REPO", tmp_path)
    (tmp_path / "Pulumi.dev.yaml").write_text("config:\n  a: 1\nconfig:\n  b: 2\n")
    with pytest.raises(SandboxError, match=r"Pulumi\.dev\.yaml:3: `config` is already set in line 1"):
        read_configured()
