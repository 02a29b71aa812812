"""Alerts: what is told, to whom, and that nothing is told twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from controller.api.status import Phase
from controller.core.decision import Alert, Receiver
from controller.core.model import Options
from controller.core.probes import Passed, Refused, Value
from controller.core.rollout.alerts import FAILURES, GATES, NEWS
from controller.core.rollout.phases import MOVES, Reason
from tests.builders import AB_TESTING, BLUE_GREEN, ERROR_RATE, WEIGHTED, canary_manifest, make_deployment, webhook
from tests.unit.core.cluster import Cluster, forget, initialized, progressing, rolled_out, settled

ALL = Receiver("all", "prod/all")
WARN = Receiver("warn", "prod/warn")
ERROR = Receiver("error", "chat/error")
ALERTS = [
    {"name": "all", "providerRef": {"name": "all"}},
    {"name": "warn", "severity": "warn", "providerRef": {"name": "warn"}},
    {"name": "error", "severity": "error", "providerRef": {"name": "error", "namespace": "chat"}},
]
TO = {"info": (ALL,), "warn": (ALL, WARN), "error": (ALL, WARN, ERROR)}

SMOKE, START, MORE, PROMOTE, ABORT = (
    webhook("smoke", "pre-rollout"),
    webhook("start", "confirm-rollout"),
    webhook("more", "confirm-traffic-increase"),
    webhook("promote", "confirm-promotion"),
    webhook("abort", "rollback"),
)
PLAN = (
    ("Target", "Deployment/backend.prod"),
    ("Failed checks threshold", "3"),
    ("Progress deadline", "600s"),
    ("Traffic routing", "Weight step: 20 max: 50"),
)
STARTED = Alert("info", "New revision detected, progressing canary analysis.", PLAN, (ALL,))
PROMOTED = Alert("info", "Canary analysis completed successfully, promotion finished.", (), (ALL,))
NO = Refused("POST http://hooks.test answered 403: Forbidden")


def alerting(*webhooks: Mapping[str, Any], metrics: tuple[Mapping[str, Any], ...] = (), **spec: Any) -> dict[str, Any]:
    analysis = {**WEIGHTED, "alerts": ALERTS, "webhooks": list(webhooks), "metrics": list(metrics)}
    return canary_manifest(analysis=analysis, **spec)


def pushed(cluster: Cluster, image: str = "podinfo:2", *, ticks: int = 60) -> list[Alert]:
    """The alerts of a rollout of ``image``."""
    forget(cluster)
    cluster.set_image(image)
    rolled_out(cluster, ticks=ticks)
    return cluster.alerts


def closed(kind: str, name: str, answer: Any = NO) -> dict[str, Any]:
    return {f"webhook/{kind}/{name}": answer}


def test_the_first_initialisation_is_told_with_flagger_s_fields():
    cluster = settled(Cluster.of(alerting(), make_deployment()))
    assert cluster.alerts == [Alert("info", "New Deployment detected, initialization completed.", PLAN, (ALL,))]


def test_a_good_rollout_is_told_at_its_start_and_at_its_end():
    assert pushed(initialized(alerting())) == [STARTED, PROMOTED]


def test_a_skipped_analysis_is_told_as_such():
    told = pushed(initialized(alerting(skipAnalysis=True)))
    assert [alert.text for alert in told[1:]] == ["Canary analysis was skipped, promotion finished."]


def test_a_newer_revision_is_told():
    cluster = progressing(20, alerting())
    cluster.set_image("podinfo:3")
    cluster.tick(10)
    assert cluster.alerts == [Alert("info", "New revision detected, restarting canary analysis.", PLAN, (ALL,))]


@pytest.mark.parametrize(
    ("analysis", "routing"),
    [
        ({**WEIGHTED, "maxWeight": None}, "Weight step: 20 max: 100"),
        ({"interval": "10s", "threshold": 3, "stepWeights": [5, 45]}, "Weight steps: 5,45 max: 45"),
        (AB_TESTING, "A/B Testing"),
        (BLUE_GREEN, "Blue/Green"),
    ],
)
def test_the_fields_name_the_strategy(analysis, routing):
    given = {key: value for key, value in analysis.items() if value is not None}
    told = pushed(initialized(canary_manifest(analysis={**given, "alerts": ALERTS})))
    assert told[0].fields == (*PLAN[:3], ("Traffic routing", routing))


def failing_checks(cluster: Cluster) -> None:
    cluster.answers["metric/error-rate"] = Value(100.0)


def failing_pods(cluster: Cluster) -> None:
    cluster.health["backend"] = "expired"


def failing_primary(cluster: Cluster) -> None:
    cluster.health["backend-primary"] = "expired"


def asked_to_abort(cluster: Cluster) -> None:
    cluster.answers |= closed("rollback", "abort", Passed())


HALT = "Halt backend.prod advancement error-rate 100.00 > 1"


@pytest.mark.parametrize(
    ("goes_wrong", "told"),
    [
        pytest.param(
            failing_checks,
            Alert(
                "error",
                f"Rolling back backend.prod failed checks threshold reached 3: {HALT}",
                (("error-rate", "error-rate 100.00 > 1"),),
                TO["error"],
            ),
            id="failed checks, with the check",
        ),
        pytest.param(
            asked_to_abort,
            Alert("warn", "Rolling back backend.prod manual webhook invoked", (), TO["warn"]),
            id="a person's wish is a warning, as in Flagger",
        ),
        pytest.param(
            failing_pods,
            Alert(
                "error",
                "Rolling back backend.prod progress deadline exceeded canary deployment backend.prod not ready: ",
                (),
                TO["error"],
            ),
            id="the deadline",
        ),
        pytest.param(
            failing_primary,
            Alert(
                "error",
                "Promotion of backend.prod failed, primary not ready: backend-primary.prod not ready: ",
                (),
                TO["error"],
            ),
            id="a primary that does not come up",
        ),
    ],
)
def test_a_failure_is_told_once_and_the_promotion_that_follows_is_a_recovery(goes_wrong, told):
    cluster = initialized(alerting(ABORT, metrics=(ERROR_RATE,)))
    goes_wrong(cluster)
    started, failed = pushed(cluster)
    assert started == STARTED
    assert failed.text.startswith(told.text)
    assert (failed.severity, failed.fields, failed.to) == (told.severity, told.fields, told.to)
    for _ in range(10):
        cluster.tick(60)
    assert cluster.alerts == [started, failed]
    cluster.answers, cluster.health = {}, {}
    assert [alert.text for alert in pushed(cluster, "podinfo:3")] == [STARTED.text, f"Recovered. {PROMOTED.text}"]
    assert [alert.text for alert in pushed(cluster, "podinfo:4")] == [STARTED.text, PROMOTED.text]


GATED: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "the start": (START, "Halt backend.prod advancement waiting for approval start"),
    "a step": (MORE, "Halt backend.prod advancement waiting for traffic increase approval more"),
    "the promotion": (PROMOTE, "Halt backend.prod advancement waiting for promotion approval promote"),
}


def held(hook: Mapping[str, Any]) -> Cluster:
    cluster = initialized(alerting(hook))
    cluster.answers = closed(hook["type"], hook["name"])
    cluster.set_image("podinfo:2")
    gate = f"webhook/{hook['type']}/{hook['name']}"
    while cluster.asked.count(gate) < 1:
        cluster.tick(10)
    return cluster


@pytest.mark.parametrize("gate", GATED)
def test_a_gate_that_stays_closed_for_an_interval_is_told_once(gate):
    hook, text = GATED[gate]
    cluster = held(hook)
    cluster.alerts = []
    cluster.tick(5)
    assert cluster.alerts == []
    for _ in range(10):
        cluster.tick(5)
    assert cluster.alerts == [Alert("warn", text, (), TO["warn"])]
    cluster.answers = {}
    rolled_out(cluster)
    assert [alert.text for alert in cluster.alerts[1:]] == [STARTED.text] * (hook is START) + [PROMOTED.text]


def test_every_step_that_is_held_up_is_told():
    cluster = held(MORE)
    cluster.tick(10)
    cluster.answers = {}
    cluster.tick(10)
    cluster.answers = closed(MORE["type"], MORE["name"])
    for _ in range(5):
        cluster.tick(10)
    assert [alert.text for alert in cluster.alerts[1:]] == [GATED["a step"][1]] * 2


@pytest.mark.parametrize("gate", GATED)
def test_a_gate_that_opens_within_an_interval_is_not_told(gate):
    hook, text = GATED[gate]
    cluster = held(hook)
    cluster.answers = {}
    rolled_out(cluster)
    assert text not in [alert.text for alert in cluster.alerts]


@pytest.mark.parametrize("gate", GATED)
def test_a_gate_with_mute_alert_is_not_told(gate):
    hook, _ = GATED[gate]
    cluster = held({**hook, "muteAlert": True})
    for _ in range(10):
        cluster.tick(10)
    assert [alert.text for alert in cluster.alerts] == [STARTED.text] * (hook is not START)


@pytest.mark.parametrize(("mute", "told"), [(False, 1), (True, 0)])
def test_a_pre_rollout_check_that_fails_is_told_once(mute, told):
    cluster = initialized(alerting({**SMOKE, "muteAlert": mute}))
    cluster.answers = closed("pre-rollout", "smoke")
    alerts = pushed(cluster)
    halt = f"Halt backend.prod advancement pre-rollout check smoke failed {NO.reason}"
    rolled_back = f"Rolling back backend.prod failed checks threshold reached 3: {halt}"
    assert [alert.text for alert in alerts] == [STARTED.text, *[halt] * told, rolled_back]
    assert [alert.severity for alert in alerts[1:]] == ["warn"] * told + ["error"]


def test_a_rollback_that_cannot_be_done_is_told_once():
    cluster = progressing(40, alerting(metrics=(ERROR_RATE,)))
    failing_checks(cluster)
    cluster.roll_out("backend-primary", "down")
    for _ in range(20):
        cluster.tick(10)
    (alert,) = cluster.alerts
    assert alert.severity == "error"
    assert "not rolled back: backend-primary.prod serves nothing" in alert.text


def test_what_no_receiver_wants_is_no_alert():
    only_errors = {**WEIGHTED, "alerts": [ALERTS[2]]}
    assert pushed(initialized(canary_manifest(analysis=only_errors))) == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (Options(), []),
        (Options(alerts=True), [Alert("info", STARTED.text, PLAN), Alert("info", PROMOTED.text)]),
        (
            Options(alerts=True, cluster_name="eu-1"),
            [
                Alert("info", STARTED.text, (*PLAN, ("Cluster", "eu-1"))),
                Alert("info", PROMOTED.text, (("Cluster", "eu-1"),)),
            ],
        ),
        (
            Options(alerts=True, page_url="https://rollouts.example.com"),
            [
                Alert("info", STARTED.text, (*PLAN, ("Page", "https://rollouts.example.com/canaries/prod/backend"))),
                Alert("info", PROMOTED.text, (("Page", "https://rollouts.example.com/canaries/prod/backend"),)),
            ],
        ),
    ],
    ids=str,
)
def test_a_canary_without_alerts_sends_them_to_the_controller_s_own_receivers(options, told):
    cluster = initialized()
    cluster.options = options
    assert pushed(cluster) == told


def test_the_alerts_of_a_canary_replace_those_of_the_controller():
    cluster = initialized(alerting())
    cluster.options = Options(alerts=True)
    assert [alert.to for alert in pushed(cluster)] == [(ALL,), (ALL,)]


def test_a_restart_repeats_no_alert():
    cluster = initialized(alerting())
    cluster.set_image("podinfo:2")
    while cluster.phase is not Phase.SUCCEEDED:
        cluster.tick(10)
        assert not {*cluster.decide().alerts} & {*cluster.alerts}


def test_every_move_that_ends_a_rollout_is_told():
    ends = {
        reason for row in MOVES.values() for reason, phase in row.items() if phase in (Phase.FAILED, Phase.SUCCEEDED)
    }
    going_back = {Reason.BACK_TO_FAILED, Reason.BACK_TO_PROMOTED}
    assert ends - going_back == {*FAILURES, Reason.PROMOTED}
    assert not {*NEWS, *FAILURES} & {*GATES}
