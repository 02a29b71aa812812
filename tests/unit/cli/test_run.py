"""``canary run``: Flagger's arguments, and one sentence for what is wrong."""

from __future__ import annotations

import json
import logging

import pytest
from typer.testing import CliRunner

from controller import __version__
from controller.api.alert_provider import AlertProviderSpec
from controller.api.metric_template import MetricProvider
from controller.cli import app, run
from controller.cli.flagger import BOOLEANS, REFUSED, WITHOUT_EFFECT
from controller.shell.reporting.logs import canary_log, configure_logs
from controller.shell.settings import Settings


@pytest.fixture(autouse=True)
def own_logging(monkeypatch):
    for variable in ("EVENT_WEBHOOK_URL", "SLACK_URL", "MSTEAMS_URL"):
        monkeypatch.delenv(variable, raising=False)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    for name in ("kopf", "aiohttp.access", "asyncio"):
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.fixture
def started(monkeypatch) -> list[Settings]:
    """The settings that ``canary run`` would run with."""
    seen: list[Settings] = []
    monkeypatch.setattr(run, "serve", lambda settings, _environment: seen.append(settings))
    return seen


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        pytest.param("run", Settings(), id="defaults"),
        pytest.param(
            "-log-level=debug -include-label-prefix=app.kubernetes.io -mesh-provider=istio -metrics-server=http://p:9090",
            Settings(log_level="debug", metrics_server="http://p:9090", label_prefixes=("app.kubernetes.io",)),
            id="those of Flagger's manifests, without a command",
        ),
        pytest.param(
            "-port 9090 --log-level debug -event-webhook http://hook/",
            Settings(port=9090, log_level="debug", event_webhook="http://hook/"),
            id="values after a space, one dash or two",
        ),
        pytest.param("-namespace= -event-webhook= -mesh-provider=", Settings(), id="empty values"),
        pytest.param(
            "-include-label-prefix=app.kubernetes.io,team",
            Settings(label_prefixes=("app.kubernetes.io", "team")),
            id="label prefixes",
        ),
        pytest.param("-include-label-prefix=", Settings(label_prefixes=()), id="no label prefix"),
        pytest.param("-selector-labels=tier,app", Settings(selector_labels=("tier", "app")), id="selector labels"),
        pytest.param("-no-cross-namespace-refs", Settings(cross_namespace_refs=False), id="a boolean"),
        pytest.param("-no-cross-namespace-refs=false", Settings(), id="a boolean that is false"),
        pytest.param(
            "-enable-leader-election", Settings(leader_election=True), id="leader election, by Flagger's name"
        ),
        pytest.param(
            "-leader-election -leader-election-namespace=test",
            Settings(leader_election=True, leader_election_namespace="test"),
            id="leader election",
        ),
        pytest.param(
            "--allowed-hosts=*.example.com --allowed-gateways istio-system/public,{namespace}/* "
            "--allowed-addresses *.{namespace}.svc",
            Settings(
                allowed_hosts=("*.example.com",),
                allowed_gateways=("istio-system/public", "{namespace}/*"),
                allowed_addresses=("*.{namespace}.svc",),
            ),
            id="patterns",
        ),
        pytest.param("-namespace=prod,dev", Settings(namespaces=("prod", "dev")), id="several namespaces in one"),
        pytest.param(
            "run --namespace prod --namespace dev --minimum-interval 1m30s",
            Settings(namespaces=("prod", "dev"), minimum_interval=90.0),
            id="those that Flagger does not have",
        ),
        pytest.param(
            "--max-rollouts=5 --max-rollouts-per-namespace 1",
            Settings(max_rollouts=5, max_rollouts_per_namespace=1),
            id="limits",
        ),
    ],
)
def test_options_become_settings(started, arguments, settings):
    result = CliRunner().invoke(app, arguments.split())
    assert result.exit_code == 0, result.output
    assert started == [settings]


def test_the_metrics_server_may_need_headers_and_a_secret(started, tmp_path):
    options = ["--metrics-server-header=X-Scope-OrgID: shop", "-metrics-server-header", "X-A:b:c"]
    assert CliRunner().invoke(app, ["run", *options, f"--metrics-server-secret={tmp_path}"]).exit_code == 0
    (settings,) = started
    assert settings.metrics_server_secret == tmp_path
    assert settings.metrics_provider == MetricProvider.model_validate(
        {
            "type": "prometheus",
            "address": "http://prometheus:9090",
            "headers": {"X-Scope-OrgID": ["shop"], "X-A": ["b:c"]},
        }
    )
    assert "shop" not in repr(settings)


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ("--metrics-server-header=secret", "--metrics-server-header: must be NAME: VALUE"),
        ("--metrics-server-secret=/nowhere", "--metrics-server-secret '/nowhere': Path does not point to a directory"),
    ],
)
def test_what_is_wrong_with_the_options_of_the_metrics_server_is_told(option, problem):
    result = CliRunner().invoke(app, ["run", option])
    assert result.exit_code != 0
    assert problem in result.output
    assert "secret\n" not in result.output


def test_the_event_webhook_can_be_in_the_environment(started):
    assert CliRunner(env={"EVENT_WEBHOOK_URL": "http://hook/"}).invoke(app, ["run"]).exit_code == 0
    assert started == [Settings(event_webhook="http://hook/")]


@pytest.mark.parametrize(
    "arguments",
    [
        "-mesh-provider=linkerd",
        "-master=https://api:6443",
        "-kubeconfig-service-mesh=/mesh",
        "-enable-config-tracking=false",
        "-no-cross-namespace-refs=maybe",
        "run --no-such-option",
    ],
)
def test_an_option_that_cannot_be_honoured_is_a_usage_error_that_names_it(started, arguments):
    result = CliRunner().invoke(app, arguments.split())
    assert (result.exit_code, started) == (2, [])
    assert arguments.split()[-1 if arguments.startswith("run") else 0].partition("=")[0].lstrip("-") in result.output


SLACK, TEAMS = "https://hooks.slack.com/services/x", "https://x.logic.azure.com/workflows/x"


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (f"-slack-url={SLACK} -msteams-url {TEAMS}", {}),
        ("run", {"SLACK_URL": SLACK, "MSTEAMS_URL": TEAMS}),
    ],
)
def test_alerts_are_sent_to_slack_and_teams_by_option_or_environment_variable(started, arguments, environment):
    assert CliRunner(env=environment).invoke(app, arguments.split()).exit_code == 0
    (settings,) = started
    assert settings == Settings(slack_url=SLACK, msteams_url=TEAMS)
    assert [(each.type, each.address, each.username) for each in settings.alert_providers] == [
        ("slack", SLACK, "flagger"),
        ("msteams", TEAMS, None),
    ]
    assert settings.options.alerts
    assert SLACK not in repr(settings)
    assert TEAMS not in repr(settings)


def test_the_options_of_slack_are_those_of_an_alert_provider(started):
    options = f"-slack-url={SLACK} -slack-user=canary -slack-channel=on-call -slack-proxy-url=http://proxy:3128"
    CliRunner().invoke(app, [*options.split(), "-cluster-name=eu-1"])
    (settings,) = started
    assert settings.alert_providers == (
        AlertProviderSpec(type="slack", address=SLACK, username="canary", channel="on-call", proxy="http://proxy:3128"),
    )
    assert settings.options.cluster_name == "eu-1"
    assert settings.addresses == (settings.metrics_server, SLACK, "http://proxy:3128")


def test_alerts_lead_to_the_page_where_people_open_it(started):
    CliRunner().invoke(app, ["--page-port=8081", "--page-url=https://rollouts.example.com/"])
    (settings,) = started
    assert (settings.page_port, settings.options.page_url) == (8081, "https://rollouts.example.com")


def test_a_page_that_is_no_address_is_refused(started):
    result = CliRunner().invoke(app, ["--page-url=rollouts.example.com"])
    assert (result.exit_code != 0, started) == (True, [])
    assert "--page-url" in result.output


@pytest.mark.parametrize("option", ["-slack-url", "-msteams-url"])
def test_a_secret_url_that_is_wrong_is_named_and_not_shown(caplog, option):
    result = CliRunner().invoke(app, [f"{option}=hooks/secret"])
    assert result.exit_code != 0
    assert f"-{option}" in result.output
    assert "secret" not in result.output


def test_without_a_url_there_is_no_receiver():
    assert Settings(slack_channel="on-call").alert_providers == ()
    assert not Settings().options.alerts


@pytest.mark.parametrize("name", WITHOUT_EFFECT)
def test_an_option_without_effect_is_logged(started, name):
    value = "true" if name in BOOLEANS else "2"
    for arguments in ([f"-{name}={value}"], [f"-{name}"] if name in BOOLEANS else [f"-{name}", value]):
        result = CliRunner().invoke(app, [*arguments, "-port=9090"])
        assert result.exit_code == 0, result.output
        (line,) = map(json.loads, result.stderr.splitlines())
        assert (line["level"], line["msg"]) == (
            "warning",
            f"Option --{name}={value} has no effect: {WITHOUT_EFFECT[name]}",
        )
    assert started == [Settings(port=9090)] * 2


@pytest.mark.parametrize(
    "arguments", ["-enable-leader-election=false", "-zap-replace-globals=0", "-slack-url=", "-enable-config-tracking"]
)
def test_an_option_that_asks_for_nothing_is_accepted(started, arguments):
    assert CliRunner().invoke(app, [arguments]).exit_code == 0
    assert started == [Settings()]


FLAGGER = """
cluster-name control-loop-interval enable-config-tracking enable-leader-election event-webhook include-label-prefix
ingress-annotations-prefix ingress-class kubeconfig kubeconfig-burst kubeconfig-qps kubeconfig-service-mesh
leader-election-namespace log-level master mesh-provider metrics-server msteams-proxy-url msteams-url namespace
no-cross-namespace-refs port selector-labels slack-channel slack-proxy-url slack-url slack-user threadiness version
zap-encoding zap-replace-globals
"""


def test_every_option_of_flagger_is_known():
    shown = CliRunner().invoke(app, ["run", "--help"]).output
    own = {name.strip(",").removeprefix("--") for name in shown.split() if name.startswith("--")}
    assert sorted(set(FLAGGER.split()) - own - set(WITHOUT_EFFECT) - set(REFUSED)) == []


def test_the_version_is_printed(started):
    for arguments in (["-version"], ["--version"], ["run", "--version"]):
        assert CliRunner().invoke(app, arguments).output == f"{__version__}\n"
    assert started == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("-metrics-server=prometheus:9090", "--metrics-server 'prometheus:9090'"),
        ("-log-level=loud", "--log-level 'loud': Input should be 'debug', 'info', 'warning' or 'error'"),
        ("-minimum-interval=5", '--minimum-interval: "5" is not a duration'),
        ("-leader-election-namespace=Prod/x", "--leader-election-namespace 'Prod/x'"),
        ("-port=70000", "--port 70000"),
        ("-selector-labels=app,$a", "--selector-labels '$a'"),
    ],
)
def test_an_invalid_value_is_an_error_that_says_what_is_allowed(started, arguments, message):
    result = CliRunner().invoke(app, arguments.split())
    assert (result.exit_code, started) == (1, [])
    assert result.output.startswith("canary run: ")
    assert message in result.output


def test_without_a_cluster_the_error_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    result = CliRunner().invoke(app, ["run"])
    assert result.exit_code == 1
    assert "canary run: No cluster: " in result.output


def test_a_log_line_has_flagger_s_keys(capsys):
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
