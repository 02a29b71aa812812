"""Kubernetes objects by the stand-in plugin: the life of a program's resources, and what goes wrong in it."""

from __future__ import annotations

import json
import signal
import subprocess
import time

import pytest

from tests.apiserver.plugin_project import (
    CONFIG_MAP,
    DEPLOYMENT,
    NAMESPACE,
    SECRET,
    WIDGET,
    WIDGETS,
    Project,
    binaries,
    project,
)

__all__ = ["binaries", "project"]

SHOP = (
    WIDGETS
    + """
ns = k8s.core.v1.Namespace("ns", metadata={"name": f"{NAMESPACE}-shop", "annotations": SKIP_AWAIT})
config = k8s.core.v1.ConfigMap("config", metadata=meta(namespace=ns.metadata.name), data={"colour": "blue"})
password = pulumi.Output.secret("hunter2")
secret = k8s.core.v1.Secret("secret", metadata=meta("secret"), string_data={"password": password})
web = deployment("web", opts=Opts(depends_on=[config]))
widget = k8s.apiextensions.CustomResource("widget", api_version="example.com/v1", kind="Widget",
    metadata={"name": "w", "annotations": BACKGROUND}, spec={"size": 3, "ratio": 0.5}, opts=Opts(depends_on=[crd]))
pulumi.export("config", config.metadata.name)
pulumi.export("uid", web.metadata.uid)
"""
)


def test_a_program_goes_up_once_then_has_nothing_to_do_and_is_destroyed(project: Project) -> None:
    assert set(project.plan(SHOP).values()) == {"create"}
    project.up().expect_success()
    outputs = project.outputs()
    assert outputs["config"].startswith("config-")
    assert project.get(WIDGET, "w")["spec"] == {"size": 3, "ratio": 0.5}
    assert project.get(DEPLOYMENT, "web")["metadata"]["uid"] == outputs["uid"]
    assert "hunter2" not in project.state()

    scaled = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 0}}
    project.apply("canary-controller", scaled)
    assert project.plan() == {}
    assert project.plan(None, "--refresh") == {}

    # Nothing finishes the deletion of a namespace here, so that one only has to be on its way.
    project.pulumi("destroy", "--yes", "--skip-preview").expect_success()
    assert project.cluster.get(WIDGET, "", "w") is None
    assert project.cluster.get(DEPLOYMENT, project.namespace, "web") is None
    namespace = project.cluster.get(NAMESPACE, "", f"{project.namespace}-shop")
    assert namespace is None or namespace["status"]["phase"] == "Terminating"


def test_a_changed_field_updates_and_an_immutable_one_replaces(project: Project) -> None:
    config = 'config = k8s.core.v1.ConfigMap("config", metadata=meta(), data={"a": "%s"})\n'
    program = config + 'pulumi.export("config", config.metadata.name)\ndeployment("web", %s)\n'
    project.up(program % ("1", "")).expect_success()
    uid, name = project.get(DEPLOYMENT, "web")["metadata"]["uid"], project.outputs()["config"]

    assert project.plan(program % ("1", 'image="podinfo:6.1.1"')) == {"web": "update"}
    project.up().expect_success()
    assert project.get(DEPLOYMENT, "web")["metadata"]["uid"] == uid

    project.up(program % ("2", 'app="other"')).expect_success()
    assert project.get(DEPLOYMENT, "web")["metadata"]["uid"] != uid
    replaced = project.outputs()["config"]
    assert replaced != name
    assert project.get(CONFIG_MAP, replaced)["data"] == {"a": "2"}
    assert project.cluster.get(CONFIG_MAP, project.namespace, name) is None


def test_refresh_sees_drift_and_up_mends_it(project: Project) -> None:
    program = """
force = {**SKIP_AWAIT, "pulumi.com/patchForce": "true"}
deployment("web", annotations=force, replicas=1)
k8s.core.v1.ConfigMap("config", metadata=meta("config"), data={"a": "1"})
"""
    project.up(program).expect_success()
    drifted = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 7}}
    project.apply("somebody", drifted)
    project.cluster.delete(CONFIG_MAP, project.namespace, "config", propagation="Background")
    assert project.plan() == {}
    assert project.plan(None, "--refresh") == {"web": "update", "config": "create"}
    project.up(None, "--refresh").expect_success()
    assert project.get(DEPLOYMENT, "web")["spec"]["replicas"] == 1
    assert project.get(CONFIG_MAP, "config")["data"] == {"a": "1"}


def test_ignored_changes_leave_the_field_to_who_changed_it(project: Project) -> None:
    program = 'deployment("web", image="%s", replicas=1, opts=Opts(ignore_changes=["spec.replicas"]))\n'
    project.up(program % "podinfo:6.1.0").expect_success()
    scaled = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 5}}
    project.apply("hpa", scaled)
    project.up(program % "podinfo:6.1.1").expect_success()
    assert project.get(DEPLOYMENT, "web")["spec"]["replicas"] == 5
    assert project.plan() == {}


def test_a_field_of_another_manager_is_a_conflict_at_preview_that_names_the_ways_out(project: Project) -> None:
    program = 'deployment("web", image="%s", replicas=1)\n'
    project.up(program % "podinfo:6.1.0").expect_success()
    scaled = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 5}}
    project.apply("autoscaler", scaled)
    told = project.preview(program % "podinfo:6.1.1").expect_failure().output
    assert '.spec.replicas: conflict with "autoscaler"' in told
    assert "pulumi.com/patchForce" in told


def test_an_object_that_exists_is_not_taken_over_in_silence(project: Project) -> None:
    existing = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config"}, "data": {"a": "1"}}
    project.apply("somebody", existing)
    program = 'k8s.core.v1.ConfigMap("config", metadata=meta("config"), data={"b": "2"})\n'
    assert "exists already; creating it will fail" in project.preview(program).expect_success().output
    assert "already exists. Import it" in project.up().expect_failure().output
    project.variables["PULUMI_K8S_UPSERT_EXISTING_OBJECTS"] = "true"
    project.up().expect_success()
    assert project.get(CONFIG_MAP, "config")["data"] == {"a": "1", "b": "2"}


def test_an_object_can_be_imported(project: Project) -> None:
    existing = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config"}, "data": {"a": "1"}}
    project.apply("somebody", existing)
    config = 'k8s.core.v1.ConfigMap("config", metadata={"name": "config", "namespace": NAMESPACE}, data={"a": "1"}%s)\n'
    imported = config % ', opts=Opts(import_=f"{NAMESPACE}/config")'
    assert project.plan(imported) == {"config": "import"}
    project.up().expect_success()
    assert project.plan(config % "") == {}


def test_what_the_api_server_would_refuse_fails_at_preview(project: Project) -> None:
    misspelt = 'deployment("web", replica=1)\n'
    assert ".spec.replica: field not declared in schema" in project.preview(misspelt).expect_failure().output
    negative = 'deployment("web", replicas=-1)\n'
    assert "spec.replicas: Invalid value: -1" in project.preview(negative).expect_failure().output


def test_a_custom_resource_without_its_crd_says_so(project: Project) -> None:
    program = 'k8s.apiextensions.CustomResource("x", api_version="no.such/v1", kind="Thing", metadata=meta("x"))\n'
    project.preview(program).expect_success()
    told = project.up().expect_failure().output
    assert "the API server serves no such kind (no.such/v1)" in told
    assert "depends_on" in told


WAITING = (
    WIDGETS
    + """
k8s.apiextensions.CustomResource("slow", api_version="example.com/v1", kind="Widget", metadata={"name": "slow",
    "annotations": {**BACKGROUND, "pulumi.com/waitFor": "condition=Ready", "pulumi.com/timeoutSeconds": "%s"}},
    opts=Opts(depends_on=[crd]))
"""
)


def _become_ready(project: Project) -> None:
    """Write the status, as the widget's controller would."""
    widget = project.get(WIDGET, "slow")
    widget["status"] = {"conditions": [{"type": "Ready", "status": "True"}]}
    command = ["kubectl", "replace", "--subresource=status", "-f", "-"]
    subprocess.run(
        command, input=json.dumps(widget), env=project.environment, text=True, check=True, capture_output=True
    )


def test_what_does_not_become_ready_fails_is_kept_and_the_next_up_goes_on_from_there(project: Project) -> None:
    told = project.up(WAITING % 1).expect_failure().output
    assert "Widget slow is not ready after 1 s: waiting for condition Ready=True" in told
    resources = json.loads(project.state())["deployment"]["resources"]
    assert [resource["id"] for resource in resources if resource.get("initErrors")] == ["slow"]
    _become_ready(project)
    project.up().expect_success()
    assert project.plan() == {}
    project.pulumi("destroy", "--yes", "--skip-preview").expect_success()


def test_interrupting_a_wait_keeps_what_was_created(project: Project) -> None:
    project.write(WAITING % 600)
    command = ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive"]
    with subprocess.Popen(
        command, cwd=project.folder, env=project.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while project.cluster.get(WIDGET, "", "slow") is None:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) != 0
    resources = json.loads(project.state())["deployment"]["resources"]
    assert [resource["id"] for resource in resources if resource.get("initErrors")] == ["slow"]
    project.pulumi("destroy", "--yes", "--skip-preview").expect_success()


def test_a_cluster_that_does_not_answer_is_one_clear_error_and_can_be_forgotten(project: Project) -> None:
    project.up('k8s.core.v1.ConfigMap("config", metadata=meta("config"), data={"a": "1"})\n').expect_success()
    kubeconfig = project.folder / "kubeconfig"
    kubeconfig.write_text(
        "{apiVersion: v1, kind: Config, current-context: away, clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}],"
        " contexts: [{name: away, context: {cluster: c}}]}"
    )
    project.variables["KUBECONFIG"] = str(kubeconfig)
    told = project.preview().expect_failure().output
    assert f"the API server at http://127.0.0.1:1 (context away of {kubeconfig}) does not answer" in told
    project.pulumi("destroy", "--yes", "--skip-preview").expect_failure()
    project.variables["PULUMI_K8S_DELETE_UNREACHABLE"] = "true"
    project.pulumi("destroy", "--yes", "--skip-preview").expect_success()


@pytest.mark.parametrize("mutable", [False, True])
def test_a_named_config_map_is_replaced_unless_the_provider_allows_its_change(project: Project, mutable: bool) -> None:
    project.variables["PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE"] = str(mutable).lower()
    program = 'k8s.core.v1.ConfigMap("config", metadata=meta("config"), data={"a": "%s"})\n'
    project.up(program % 1).expect_success()
    uid = project.get(CONFIG_MAP, "config")["metadata"]["uid"]
    project.up(program % 2).expect_success()
    live = project.get(CONFIG_MAP, "config")
    assert (live["data"], live["metadata"]["uid"] == uid) == ({"a": "2"}, mutable)


def test_manifests_of_a_config_file_are_resources(project: Project) -> None:
    manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": project.namespace}}
    manifest["metadata"]["annotations"] = {"pulumi.com/deletionPropagationPolicy": "background"}  # type: ignore[index]
    (project.folder / "a.yaml").write_text(json.dumps(manifest))
    project.up('k8s.yaml.ConfigFile("file", file="a.yaml")\n').expect_success()
    assert project.get(SECRET, "a")["type"] == "Opaque"
    assert project.plan() == {}
