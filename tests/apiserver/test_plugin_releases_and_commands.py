"""Helm releases and local commands by the stand-in plugins."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.apiserver.plugin_project import CONFIG_MAP, Project, binaries, project

__all__ = ["binaries", "project"]

CHART = """
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-settings, namespace: {{ .Release.Namespace }}}
data: {size: {{ required "size is needed" .Values.size | quote }}}
"""
RELEASE = """
release = k8s.helm.v3.Release("demo", name="demo", chart="./chart", namespace=NAMESPACE, timeout=20, values={%s})
pulumi.export("status", release.status)
pulumi.export("names", release.resource_names)
"""


@pytest.fixture
def chart(project: Project) -> Path:
    chart = project.folder / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("{apiVersion: v2, name: demo, version: 1.2.3, appVersion: '9'}")
    (chart / "templates/settings.yaml").write_text(CHART)
    return chart


def _helm(project: Project, *arguments: str) -> None:
    subprocess.run(
        ["helm", *arguments, "--namespace", project.namespace],
        cwd=project.folder,
        env=project.environment,
        check=True,
        capture_output=True,
    )


def test_a_release_is_installed_upgraded_refreshed_and_uninstalled(project: Project, chart: Path) -> None:
    project.up(RELEASE % '"size": 1, "token": pulumi.Output.secret("hunter2")').expect_success()
    outputs = project.outputs()
    assert outputs["names"] == {"ConfigMap/v1": [f"{project.namespace}/demo-settings"]}
    assert outputs["status"] == {
        "appVersion": "9",
        "chart": "demo",
        "name": "demo",
        "namespace": project.namespace,
        "revision": 1,
        "status": "deployed",
        "version": "1.2.3",
    }
    assert "hunter2" not in project.state()
    assert project.plan() == {}

    project.up(RELEASE % '"size": 2').expect_success()
    assert project.get(CONFIG_MAP, "demo-settings")["data"] == {"size": "2"}
    assert project.outputs()["status"]["revision"] == 2

    _helm(project, "upgrade", "demo", "./chart", "--set", "size=9")
    assert project.plan() == {}
    assert project.plan(None, "--refresh") == {"demo": "update"}

    (chart / "templates/more.yaml").write_text(CHART.replace("-settings", "-more"))
    project.up(None, "--refresh").expect_success()
    assert project.get(CONFIG_MAP, "demo-more")["data"] == {"size": "2"}

    project.pulumi("destroy", "--yes", "--skip-preview").expect_success()
    assert project.cluster.get(CONFIG_MAP, project.namespace, "demo-settings") is None


@pytest.mark.usefixtures("chart")
def test_a_chart_that_cannot_be_rendered_fails_at_preview(project: Project) -> None:
    told = project.preview(RELEASE % "").expect_failure().output
    assert "the chart ./chart cannot be rendered" in told
    assert "size is needed" in told


def test_a_repository_out_of_reach_is_one_clear_error_at_preview(project: Project) -> None:
    program = """
k8s.helm.v3.Release("demo", chart="demo", repository_opts={"repo": "http://127.0.0.1:1/charts"}, values={})
"""
    told = project.preview(program).expect_failure().output
    assert "the chart demo cannot be had from the repository http://127.0.0.1:1/charts" in told
    assert "connection refused" in told


@pytest.mark.usefixtures("chart")
def test_helm_takes_a_kubeconfig_that_is_given_as_content(project: Project) -> None:
    kubeconfig = Path(project.environment["KUBECONFIG"]).read_text()
    project.variables["KUBECONFIG"] = str(project.folder / "none")
    project.pulumi("config", "set", "--secret", "kubernetes:kubeconfig", "--", kubeconfig).expect_success()
    project.up(RELEASE % '"size": 1').expect_success()
    assert project.get(CONFIG_MAP, "demo-settings")["data"] == {"size": "1"}
    assert "client-key-data" not in project.state()


def test_a_release_that_fails_is_kept_with_helms_reason_and_the_next_up_upgrades_it(
    project: Project, chart: Path
) -> None:
    # There is no service account for the Pod: the API server refuses it after the ConfigMap was made.
    pod = "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: x}]}}"
    (chart / "templates/pod.yaml").write_text(pod)
    told = project.up(RELEASE % '"size": 1').expect_failure().output
    assert "helm install of the release" in told
    assert 'pods "p" is forbidden' in told
    (chart / "templates/pod.yaml").unlink()
    project.up().expect_success()
    assert project.outputs()["status"]["status"] == "deployed"
    assert project.outputs()["status"]["revision"] == 2


COMMAND = """
made = command.local.Command("make", create="echo $GREETING >> log; echo made", delete="echo unmade >> log",
    environment={"GREETING": pulumi.Output.secret("hello") if %s else "hello"}, triggers=[%s], dir=%r)
pulumi.export("out", made.stdout)
"""


def test_a_command_runs_once_then_again_for_its_triggers_and_its_delete_at_the_end(
    project: Project, tmp_path: Path
) -> None:
    log, folder = tmp_path / "log", str(tmp_path)
    project.up(COMMAND % (False, 1, folder)).expect_success()
    assert project.outputs() == {"out": "made"}
    assert project.plan() == {}
    assert project.plan(COMMAND % (False, 2, folder)) == {"make": "replace"}
    assert log.read_text() == "hello\n"
    project.up().expect_success()
    assert log.read_text() == "hello\nhello\nunmade\n"
    project.pulumi("destroy", "--yes", "--skip-preview").expect_success()
    assert log.read_text() == "hello\nhello\nunmade\nunmade\n"


def test_the_output_of_a_command_with_a_secret_is_secret(project: Project, tmp_path: Path) -> None:
    told = project.up(COMMAND % (True, 1, str(tmp_path))).expect_success().output
    assert project.outputs() == {"out": "[secret]"}
    assert "made" not in told


def test_what_the_stand_in_does_not_serve_is_refused_by_name(project: Project) -> None:
    remote = 'command.remote.Command("x", connection={"host": "h"}, create="true")\n'
    assert "command:remote:Command is not served by the sandbox's stand-in" in project.preview(remote).output
    patch = 'k8s.core.v1.ConfigMapPatch("x", metadata=meta("x"), data={})\n'
    assert "kubernetes:core/v1:ConfigMapPatch is not served by the sandbox's stand-in" in project.preview(patch).output
