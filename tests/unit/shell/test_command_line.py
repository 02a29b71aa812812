"""``canary run``: Flagger's arguments, and one sentence for what is wrong."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from typing import Any

import pytest
from typer.testing import CliRunner

from controller.cli import app, start
from controller.cli.flags import to_double_dash
from controller.shell.kubernetes.errors import StartError
from controller.shell.reporting.logs import canary_log, configure_logs
from controller.shell.settings import Settings


@pytest.fixture
def started(monkeypatch) -> list[Any]:
    """What ``canary run`` would run with."""
    seen: list[Any] = []
    monkeypatch.setattr(start, "start", seen.append)
    return seen


DEFAULTS = {
    "metrics_server": "http://prometheus:9090",
    "log_level": "info",
    "minimum_interval": "10s",
    "namespaces": (),
    "port": 8080,
    "event_webhook": "",
}


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        pytest.param("run", {}, id="defaults"),
        pytest.param(
            "-log-level=debug -include-label-prefix=app.kubernetes.io -mesh-provider=istio -metrics-server=http://p:9090",
            {"log_level": "debug", "metrics_server": "http://p:9090"},
            id="those of Flagger's manifests, without a command",
        ),
        pytest.param(
            "run --namespace prod --namespace dev --port 9090 --minimum-interval 1s",
            {"namespaces": ("prod", "dev"), "port": 9090, "minimum_interval": "1s"},
            id="ours",
        ),
    ],
)
def test_the_arguments_are_taken(started, arguments, options):
    result = CliRunner().invoke(app, arguments.split())
    assert result.exit_code == 0, result.output
    assert started == [{**DEFAULTS, **options}]


@pytest.mark.parametrize("arguments", ["-mesh-provider=linkerd", "run --no-such-option"])
def test_what_is_not_supported_is_refused(started, arguments):
    assert CliRunner().invoke(app, arguments.split()).exit_code == 2
    assert started == []


@pytest.mark.parametrize(
    ("argument", "taken"),
    [
        ("-log-level=info", "--log-level=info"),
        ("-port", "--port"),
        ("--port", "--port"),
        ("-h", "-h"),
        ("prod", "prod"),
        ("-1", "-1"),
    ],
)
def test_go_s_single_dash_is_python_s_double(argument, taken):
    assert to_double_dash(argument) == taken


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"metrics_server": "prometheus:9090"}, "--metrics-server 'prometheus:9090'"),
        ({"log_level": "loud"}, "--log-level 'loud': Input should be 'debug', 'info', 'warning' or 'error'"),
        ({"minimum_interval": "5"}, '--minimum-interval: "5" is not a duration'),
        ({"port": 70000}, "--port 70000"),
    ],
)
def test_a_wrong_option_is_told_with_what_is_allowed(options, said):
    with pytest.raises(StartError) as caught:
        start._settings({**DEFAULTS, **options})
    assert said in str(caught.value)


def test_options_become_settings():
    assert start._settings({**DEFAULTS, "minimum_interval": "1m30s"}) == Settings(minimum_interval=90.0)


def test_without_a_cluster_it_ends_with_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    with pytest.raises(SystemExit) as caught:
        start.start(DEFAULTS)
    assert str(caught.value).startswith("canary run: No cluster: ")


def test_the_help_needs_neither_kopf_nor_aiohttp():
    code = (
        "import sys, controller.cli; print([name for name in ('kopf', 'aiohttp', 'rich.live') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


@pytest.fixture
def own_logging():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    for name in ("kopf", "aiohttp.access", "asyncio"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def test_a_log_line_has_flagger_s_keys(own_logging, capsys):
    configure_logs("info")
    canary_log("backend", "prod", "controller.shell.reconciler.act").info("Service %s created", "backend")
    logging.getLogger("kopf.objects").info("noise")
    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert entry.pop("ts").endswith("Z")
    assert entry == {
        "level": "info",
        "caller": "controller.shell.reconciler.act",
        "msg": "Service backend created",
        "canary": "backend.prod",
    }
