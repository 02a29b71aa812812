"""Alerts as each chat gets them; the golden files hold one of each."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from controller.api.alert_provider import AlertProviderSpec
from controller.core.decision import Alert
from controller.core.messages import FIELDS, RENDERINGS, SLACK_API, Letter, address_of, render
from tests.golden_files import assert_golden

PLAN = (("Target", "Deployment/backend.prod"), ("Traffic routing", "Weight step: 20 max: 50"))
ALERTS = (
    Alert("info", "New revision detected, progressing canary analysis.", PLAN),
    Alert("warn", "Halt backend.prod advancement waiting for promotion approval promote"),
    Alert(
        "error",
        "Rolling back backend.prod failed checks threshold reached 3: <!channel> success rate 90.00% < 99% & falling",
        (("request-success-rate", "success rate 90.00% < 99%"),),
    ),
)


def provider(type_: str, **fields: Any) -> AlertProviderSpec:
    return AlertProviderSpec.model_validate({"type": type_, "address": "https://chat.example.com/hook", **fields})


def rendered(alert: Alert, type_: str, **fields: Any) -> dict[str, Any]:
    return render(Letter("backend", "prod", alert, provider(type_, **fields)))


@pytest.mark.parametrize("type_", RENDERINGS)
def test_each_severity_looks_as_it_did(type_):
    assert_golden(f"core/alerts/{type_}", *(rendered(alert, type_) for alert in ALERTS))


def test_every_type_of_the_api_has_a_rendering():
    assert set(get_args(AlertProviderSpec.model_fields["type"].annotation)) == set(RENDERINGS)


@pytest.mark.parametrize("type_", ["slack", "rocket", "discord"])
def test_a_channel_and_a_name_replace_flagger_s(type_):
    named = rendered(ALERTS[0], type_, channel="on-call", username="canary")
    assert (named["channel"], named["username"]) == ("on-call", "canary")


@pytest.mark.parametrize("type_", RENDERINGS)
def test_a_message_is_limited_whatever_it_quotes(type_):
    alert = Alert("error", "x" * 100_000, tuple((f"{number}" + "n" * 500, "v" * 5000) for number in range(100)))
    assert len(str(rendered(alert, type_))) < 28_000, "the limit of Teams, the lowest"
    assert str(rendered(alert, type_)).count("v…") == FIELDS


@pytest.mark.parametrize(
    ("type_", "address", "secret", "sent_to"),
    [
        ("slack", "https://hooks.slack.com/services/x", {}, "https://hooks.slack.com/services/x"),
        ("slack", None, {"address": "https://hooks.slack.com/services/y"}, "https://hooks.slack.com/services/y"),
        ("slack", None, {"token": "xoxb-1"}, SLACK_API),
        ("slack", None, {"other": "x"}, ""),
        ("rocket", None, {"token": "x"}, ""),
        ("discord", "https://discord.com/api/webhooks/1/x", {}, "https://discord.com/api/webhooks/1/x/slack"),
        ("discord", "https://discord.com/api/webhooks/1/x/slack", {}, "https://discord.com/api/webhooks/1/x/slack"),
        ("discord", "https://discord.com/1/x/?thread_id=2", {}, "https://discord.com/1/x/slack?thread_id=2"),
        ("discord", None, {}, ""),
        ("gchat", "https://chat.googleapis.com/v1/x?key=1", {}, "https://chat.googleapis.com/v1/x?key=1"),
    ],
)
def test_the_address_is_the_provider_s_or_that_of_its_secret(type_, address, secret, sent_to):
    where = {"address": address} if address else {"secretRef": {"name": "chat"}}
    spec = AlertProviderSpec.model_validate({"type": type_, **where})
    assert address_of(spec, secret) == sent_to
