"""``python -m preview`` with a Pulumi that is played by a script."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from preview.__main__ import main
from preview.pulumi import read_logins
from tests.unit.preview.steps import canary, event, play, same, step, workload

PLAYED = """import sys, pathlib
folder = pathlib.Path(__file__).parent
stack = next(each.partition("=")[2] for each in sys.argv if each.startswith("--stack="))
what = sys.argv[1] if sys.argv[1] == "config" else "diff" if "--diff" in sys.argv else "json"
found = folder / f"{stack}.{what}"
log = next((each.partition("=")[2] for each in sys.argv if each.startswith("--event-log=")), "")
if log and "--policy-pack=policy" in sys.argv:
    pathlib.Path(log).write_text((folder / f"{stack}.events").read_text())
    sys.exit("error: preview failed")
print(found.read_text() if found.exists() else f"error: no stack named '{stack}' found", end="")
sys.exit(not found.exists())
"""
KUBECONFIG = """
current-context: here
clusters: [{name: here, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: me, user: {}}]
contexts: [{name: here, context: {cluster: here, user: me}}]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's, where ``pulumi`` is as well, and what it prints."""
    monkeypatch.chdir(tmp_path)
    play(monkeypatch, tmp_path, "pulumi", PLAYED)
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    config = {"kubernetes:kubeconfig": {"value": str(tmp_path / "kubeconfig")}, "x:token": {"secret": True}}
    (tmp_path / "prod.config").write_text(json.dumps(config))
    (tmp_path / "prod.diff").write_text("Previewing update (prod)")
    steps = [same("Canary", "backend", canary()), step("update", "Deployment", "backend", workload(), workload("x:2"))]
    (tmp_path / "prod.json").write_text(f"Loading policy packs...\n{json.dumps({'steps': steps, 'diagnostics': []})}")
    return tmp_path


def run(*arguments: str) -> tuple[int, str]:
    app = Typer()
    app.command()(main)
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.stdout


def test_a_machine_without_pulumi_is_told_where_it_comes_from(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder / "empty"))
    with pytest.raises(SystemExit, match="`pulumi` is not on PATH"):
        main(["prod"])


def test_the_comment_is_written_and_a_cluster_out_of_reach_is_told(folder):
    out = folder / "comment.md"
    status, _ = run("--stack=prod", f"--out={out}")
    text = out.read_text()
    assert status == 0
    assert "| prod/backend | `registry.example/podinfo:6.1.0` to `x:2` |" in text
    assert "Previewing update (prod)" in text
    assert "The cluster does not answer, so this is compared with the last update: " in text
    assert "127.0.0.1:1" in text


def test_the_logins_of_repositories_are_those_that_the_secrets_of_the_stack_have(folder):
    sections = {
        "secrets": {"charts": {"username": "alice", "password": "hunter2"}, "chat": {"address": "a"}},
        "istio": {"repository": "https://charts.example", "repositorySecret": "charts"},
        "observability": {"grafana": {"repository": "https://open.example"}},
    }
    config = {f"canary-on-istio:{name}": {"objectValue": value} for name, value in sections.items()}
    (folder / "prod.config").write_text(json.dumps({"kubernetes:context": {"value": "here"}, **config}))
    assert read_logins("prod") == {"https://charts.example": ("alice", "hunter2")}


def test_a_stack_without_a_preview_fails_the_command_and_hides_no_other(folder):
    status, text = run("--stack=dev", "--stack=prod")
    assert status == 1
    assert "## dev\n**No preview.**\n```\nerror: no stack named 'dev' found" in text
    assert "| prod/backend |" in text


def test_a_prometheus_that_does_not_answer_leaves_the_traffic_unknown(folder):
    steps = [
        same("Canary", "backend", canary(analysis={"metrics": [{"name": "errors", "compare": {"errors": {}}}]})),
        step("update", "Deployment", "backend", workload(), workload("x:2")),
    ]
    (folder / "prod.json").write_text(json.dumps({"steps": steps}))
    status, text = run("--stack=prod", "--prometheus=prod=http://127.0.0.1:1")
    assert status == 0
    assert "depends on the traffic, which is not known" in text


@pytest.mark.parametrize(
    ("events", "said"),
    [
        (event("memory-is-limited", "a may use all", "mandatory"), "a may use all (`memory-is-limited`)"),
        (event("alerts-are-sent", "a is silent", "advisory"), "The policies were not checked: error: preview failed"),
        ("", "The policies were not checked: error: preview failed"),
    ],
)
def test_what_a_policy_refuses_fails_the_command_and_so_do_policies_that_could_not_be_asked(folder, events, said):
    (folder / "policy").mkdir()
    (folder / "policy/PulumiPolicy.yaml").touch()
    (folder / "prod.events").write_text(events)
    status, text = run("--stack=prod")
    assert status == 1
    assert said in text
    assert "| prod/backend |" in text
