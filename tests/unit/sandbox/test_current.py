import io
import json
import re
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from sandbox.deploy.current import Context, deploy_to_current, is_ours, show_current, stack_context
from sandbox.node.instance import Instance
from sandbox.paths import REPO
from sandbox.running import SandboxError

CONFIG = {
    "current-context": "prod-cluster",
    "contexts": [{"name": "prod-cluster"}],
    "clusters": [{"name": "c", "cluster": {"server": "https://prod.example.org"}}],
}


@dataclass(frozen=True)
class Tools:
    """A folder that is the whole PATH; a call puts a program there with this output and exit status."""

    folder: Path

    @property
    def calls(self) -> Path:
        """The arguments of every call, a line each."""
        return self.folder / "calls"

    def __call__(self, name: str, output: str = "", status: int = 0) -> Path:
        program = self.folder / name
        program.write_text(f"#!/bin/sh\necho \"$@\" >> {self.calls}\nprintf '%s' '{output}'\nexit {status}\n")
        program.chmod(program.stat().st_mode | stat.S_IEXEC)
        return program


@pytest.fixture
def tools(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    tools = Tools(tmp_path)
    tools("uv")
    return tools


def deploy(*, sure: bool) -> None:
    deploy_to_current(Console(file=io.StringIO()), sure=sure)


def test_a_missing_pulumi_is_named(tools):
    tools("kubectl")
    with pytest.raises(SandboxError, match="`pulumi` was not found on PATH: CLUSTER=current needs the Pulumi CLI"):
        deploy(sure=True)


def test_a_kubeconfig_without_a_context_is_said(tools):
    tools("pulumi", "{}")
    tools("kubectl", json.dumps({"clusters": None}))
    with pytest.raises(SandboxError, match="There is no current kube context"):
        stack_context()


INLINE = "apiVersion: v1\nkind: Config\n"


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        pytest.param({}, "", id="the current context"),
        pytest.param({"kubernetes:context": "staging"}, "--context=staging ", id="a context of the stack"),
        pytest.param({"kubernetes:kubeconfig": "/etc/kube"}, "--kubeconfig=/etc/kube ", id="a kubeconfig of the stack"),
        pytest.param(
            {"kubernetes:kubeconfig": "/etc/kube", "kubernetes:context": "staging"},
            "--context=staging --kubeconfig=/etc/kube ",
            id="both",
        ),
        pytest.param(
            {"kubernetes:kubeconfig": INLINE}, r"--kubeconfig=\S+\.kubeconfig ", id="the content of a kubeconfig"
        ),
    ],
)
def test_the_cluster_that_is_asked_about_is_the_one_that_pulumi_uses(tools, settings, options):
    tools("pulumi", json.dumps({key: {"value": value, "secret": False} for key, value in settings.items()}))
    tools("kubectl", json.dumps(CONFIG))
    assert stack_context() == Context("prod-cluster", "https://prod.example.org")
    kubectl = [line for line in tools.calls.read_text().splitlines() if "--cwd" not in line]
    assert re.fullmatch(f"{options}config view --minify -o json", kubectl[0])
    assert re.fullmatch(f"{options}version --request-timeout=10s", kubectl[1])


def test_a_cluster_that_was_not_created_here_is_not_touched_unasked(tools):
    tools("pulumi", "{}")
    tools("kubectl", json.dumps(CONFIG))
    with pytest.raises(SandboxError, match="Nobody is there to ask"):
        deploy(sure=False)
    assert "up" not in tools.calls.read_text().split()


def test_one_who_is_sure_is_not_asked_and_the_official_cli_does_the_work(tools):
    tools("pulumi", json.dumps({"canaries": []}))
    tools("kubectl", json.dumps(CONFIG))
    deploy(sure=True)
    pulumi = [line.split()[2:] for line in tools.calls.read_text().splitlines() if line.startswith("--cwd")]
    assert [each for each in pulumi if each[0] != "config"] == [
        ["stack", "select", "--create", "dev"],
        ["up", "--stack", "dev", "--yes"],
        ["stack", "output", "--json", "--stack", "dev"],
    ]


def test_a_cluster_that_is_misspelt_is_refused_and_the_sandbox_left_alone():
    made = subprocess.run(["make", "up", "CLUSTER=curent"], cwd=REPO, capture_output=True, text=True, check=False)
    assert made.returncode != 0
    assert 'CLUSTER is sandbox or current, and not "curent"' in made.stderr


@pytest.mark.parametrize(
    ("goal", "command"),
    [
        ("up YES=1 WAIT=1", "current up --wait --yes"),
        ("down YES=1", "current down --yes"),
        ("status", "current status"),
        ("demo YES=1", "current demo --yes"),
        ("shell", "current shell"),
    ],
)
def test_each_goal_is_about_the_cluster_that_is_named(goal, command):
    arguments = ["make", "--dry-run", *goal.split(), "CLUSTER=current"]
    planned = subprocess.run(arguments, cwd=REPO, capture_output=True, text=True, check=True).stdout
    assert planned.split()[-len(command.split()) :] == command.split()


def test_a_failing_pulumi_is_an_error(tools):
    tools("pulumi", status=255)
    tools("kubectl", json.dumps(CONFIG))
    with pytest.raises(SandboxError, match="pulumi stack ended with status 255"):
        deploy(sure=True)


def test_a_stack_that_is_not_there_is_said_with_what_makes_it(tools):
    tools("kubectl", json.dumps(CONFIG))
    tools("pulumi").write_text("#!/bin/sh\necho \"error: no stack named 'dev' found\" >&2; exit 255\n")
    with pytest.raises(SandboxError, match=r"has no stack 'dev': `make up CLUSTER=current` makes it"):
        show_current(Console(file=io.StringIO()))


def test_a_running_sandbox_is_ours(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    url = Instance.named("one").api_url
    assert is_ours(Context("any", url))
    assert not is_ours(Context("any", "https://prod.example.org"))
