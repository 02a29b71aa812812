"""`python -m sandbox kubectl` and `pulumi`: everything after the command belongs to the other program."""

import shlex
import subprocess

import pytest
from typer.testing import CliRunner

from sandbox import commands as sandbox


@pytest.mark.parametrize(
    "arguments",
    [
        "exec -n prod deploy/backend -- ls -la",
        "-n prod exec deploy/backend -- ls --help",
        "exec deploy/backend -- sh -c 'echo a  b'",
        "--help",
        "get pods -o wide",
    ],
)
def test_kubectl_gets_its_arguments_unchanged(monkeypatch, arguments):
    calls: list[list[str]] = []

    def run(command: list[str], *, check: bool) -> subprocess.CompletedProcess[str]:
        assert not check
        calls.append(command)
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr(subprocess, "run", run)
    assert CliRunner().invoke(sandbox.app, ["kubectl", *shlex.split(arguments)]).exit_code == 3
    assert [command[2:] for command in calls] == [shlex.split(arguments)]
