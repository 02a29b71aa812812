"""``canary run``: Flagger's arguments, and one sentence for what is wrong."""

from __future__ import annotations

import json
import logging

import pytest
from typer.testing import CliRunner

from controller.cli import app, run
from controller.cli.group import to_double_dash
from controller.shell.reporting.logs import canary_log, configure_logs
from controller.shell.settings import Settings


@pytest.fixture
def started(monkeypatch) -> list[Settings]:
    """The settings that ``canary run`` would run with."""
    seen: list[Settings] = []
    monkeypatch.setattr(run, "serve", seen.append)
    return seen


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        pytest.param("run", Settings(), id="defaults"),
        pytest.param(
            "-log-level=debug -include-label-prefix=app.kubernetes.io -mesh-provider=istio -metrics-server=http://p:9090",
            Settings(log_level="debug", metrics_server="http://p:9090"),
            id="those of Flagger's manifests, without a command",
        ),
        pytest.param(
            "run --namespace prod --namespace dev --port 9090 --minimum-interval 1m30s --event-webhook http://hook/",
            Settings(namespaces=("prod", "dev"), port=9090, minimum_interval=90.0, event_webhook="http://hook/"),
            id="ours",
        ),
    ],
)
def test_options_become_settings(started, arguments, settings):
    result = CliRunner().invoke(app, arguments.split())
    assert result.exit_code == 0, result.output
    assert started == [settings]


@pytest.mark.parametrize("arguments", ["-mesh-provider=linkerd", "run --no-such-option"])
def test_an_unsupported_option_is_a_usage_error(started, arguments):
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
    ("arguments", "message"),
    [
        ("-metrics-server=prometheus:9090", "--metrics-server 'prometheus:9090'"),
        ("-log-level=loud", "--log-level 'loud': Input should be 'debug', 'info', 'warning' or 'error'"),
        ("-minimum-interval=5", '--minimum-interval: "5" is not a duration'),
        ("-port=70000", "--port 70000"),
    ],
)
def test_an_invalid_value_is_an_error_that_says_what_is_allowed(started, arguments, message):
    result = CliRunner().invoke(app, arguments.split())
    assert (result.exit_code, started) == (1, [])
    assert result.output.startswith("canary run: ")
    assert message in result.output


def test_without_a_cluster_the_error_is_one_sentence(tmp_path, monkeypatch, own_logging):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    result = CliRunner().invoke(app, ["run"])
    assert result.exit_code == 1
    assert "canary run: No cluster: " in result.output


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
