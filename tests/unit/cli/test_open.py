"""``canary open``: which port kubectl forwards, and which address is opened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from controller.cli import app
from controller.cli.errors import CommandError
from controller.cli.open import forward_command, path_to, show

SAID = ["Forwarding from 127.0.0.1:40123 -> 8081\n", "Forwarding from [::1]:40123 -> 8081\n"]


@pytest.mark.parametrize(
    ("namespace", "name", "path"),
    [
        ("", "", "/"),
        ("prod", "backend", "/canaries/prod/backend"),
        ("", "backend", "/?name=backend"),
        ("prod", "", "/?namespace=prod"),
        ("a/b", "c?d", "/canaries/a%2Fb/c%3Fd"),
    ],
)
def test_a_canary_has_a_page_and_half_a_name_a_list(namespace, name, path):
    assert path_to(namespace, name) == path


def test_the_address_is_printed_and_opened_once_the_port_is_forwarded(capsys):
    opened: list[str] = []
    show(iter(SAID), "/canaries/prod/backend", opened.append)
    assert opened == ["http://127.0.0.1:40123/canaries/prod/backend"]
    assert capsys.readouterr().out == "http://127.0.0.1:40123/canaries/prod/backend\n"


def test_without_a_browser_the_address_is_printed_all_the_same(capsys):
    show(iter(SAID), "/", None)
    assert capsys.readouterr().out == "http://127.0.0.1:40123/\n"


def test_a_kubectl_that_ends_at_once_is_an_error():
    with pytest.raises(CommandError, match="could not forward the port"):
        show(iter([]), "/", None)


@pytest.mark.parametrize(
    ("controller", "port", "context", "command"),
    [
        (
            "istio-system/canary-controller",
            0,
            "",
            "kubectl port-forward --namespace istio-system service/canary-controller :page",
        ),
        (
            "mesh/flagger",
            9000,
            "east",
            "kubectl --context east port-forward --namespace mesh service/flagger 9000:page",
        ),
    ],
)
def test_kubectl_forwards_the_page_of_the_service(controller, port, context, command):
    assert " ".join(forward_command(controller, port, context)) == command


@pytest.mark.parametrize("controller", ["canary-controller", "/x", "x/", ""])
def test_a_service_needs_a_namespace_and_a_name(controller):
    with pytest.raises(CommandError, match="must be NAMESPACE/NAME"):
        forward_command(controller, 0, "")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_kubectl_ends_with_the_command(tmp_path, how):
    kubectl = tmp_path / "kubectl"
    kubectl.write_text("#!/bin/sh\necho $$ > $0.pid\necho 'Forwarding from 127.0.0.1:40123 -> 8081'\nexec sleep 600\n")
    kubectl.chmod(0o755)
    command = [str(Path(sys.executable).with_name("canary")), "open", "--no-browser"]
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "http://127.0.0.1:40123/\n"
        process.send_signal(how)
        process.wait(10)
    with pytest.raises(ProcessLookupError):
        os.kill(int(Path(f"{kubectl}.pid").read_text()), 0)


def test_without_kubectl_it_says_what_is_missing(monkeypatch):
    monkeypatch.setenv("PATH", "")
    result = CliRunner().invoke(app, ["open"])
    assert (result.exit_code, result.exception.code if isinstance(result.exception, SystemExit) else None) == (
        1,
        "canary open: kubectl is not on PATH; it forwards the port of the page",
    )
