"""The stack's configuration: what is accepted, what it becomes, and how the rest is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_origin

import pytest
import yaml

from controller.api.analysis import Strategy
from stack.config import StackConfig
from stack.errors import ConfigError
from stack.load import parse
from stack.merge import merge
from stack.values import Resources
from tests.unit.stack.bad_stacks import REFUSED, RIGHT_TOGETHER
from tests.unit.stack.stack_parts import EXISTING, IMAGE, NEW_APP, ROUTED, TARGET

ROOT = Path(__file__).parents[3]
PROJECT = "canary-on-istio"
DIGEST = "0" * 64


def parsed(raw: Mapping[str, Any] | None = None) -> StackConfig:
    """Of a stack with the workshop's apps, unless it sets them to None."""
    sections = {"controller": IMAGE, **(raw or {})}
    if isinstance(apps := sections.get("apps", {}), Mapping):
        sections["apps"] = {"frontend": {}, "backend": {}, **apps}
    return parse(sections, PROJECT)


def problems(raw: Mapping[str, Any]) -> list[str]:
    """The lines of the error, without its head and the project's name."""
    with pytest.raises(ConfigError) as raised:
        parsed(raw)
    return [line.strip().removeprefix(f"{PROJECT}:") for line in str(raised.value).splitlines()[1:]]


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case: str) -> None:
    raw, expected = REFUSED[case]
    assert problems(raw) == expected


def test_lists_every_error_at_once() -> None:
    raw = {"istio": {"version": "x"}, "gateway": {"hosts": []}, "apps": {"backend": {"tag": "", "hpa": {"max": 1}}}}
    assert [line.split(": ")[0] for line in problems(raw)] == [
        "istio.version",
        "gateway.hosts",
        "apps.backend.tag",
        "apps.backend.hpa.max",
    ]


def test_a_mistake_in_each_section_and_those_between_the_others_are_said_together() -> None:
    between = {
        "controller": {**IMAGE, "namespaces": ["shop"], "page": {"enabled": False, "url": "http://page.example"}},
        "apps": {
            "cart": {**NEW_APP, "podSpec": {"contaners": []}, "analysis": {"interval": "1s"}},
            "shop": {**NEW_APP, "service": {"port": 80, "name": "cart"}},
        },
        "namespace": {"mtls": "STRICT", "injection": False},
        "istio": {"values": {"gateway": {"name": "mine"}}},
    }
    within = {
        "gateway": {"hosts": []},
        "loadTester": {"enabled": "no"},
        "rolouts": {"follow": False},
        "targets": {"ledger": {"service": {"port": 0}}},
    }
    assert [line.split(": ")[0] for line in problems(merge(between, within))] == [
        "gateway.hosts",
        "loadTester.enabled",
        "targets.ledger.service.port",
        "rolouts",
        "istio.values.gateway.name",
        "namespace.mtls",
        "controller.page.url",
        "controller.namespaces",
        "apps.cart.podSpec.contaners",
        "apps.cart.analysis.interval",
    ]


def broken(stack: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The stack with a key that does not exist in each of its sections, and in each of the entries of one by name."""
    for section, field in StackConfig.model_fields.items():
        key, given = field.alias or section, stack.get(field.alias or section, {})
        by_name = get_origin(field.annotation) is dict
        for name in [*given] if by_name and isinstance(given, Mapping) else [None]:
            if isinstance(given if name is None else given[name], Mapping):
                yield merge(stack, {key: {"zzz": []} if name is None else {name: {"zzz": []}}})


@pytest.mark.parametrize("case", [*REFUSED, *RIGHT_TOGETHER])
def test_no_more_is_found_wrong_where_a_section_is_not_valid(case: str) -> None:
    """What a check may not know of a section that is left out, it does not guess."""
    raw, known = REFUSED[case] if case in REFUSED else (RIGHT_TOGETHER[case], [])
    stack = {"controller": IMAGE, **raw}
    for wrong in broken(stack):
        assert {line for line in problems(wrong) if "zzz" not in line} <= {*known}


# --- what is accepted -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", RIGHT_TOGETHER)
def test_accepts_what_is_right_together(case: str) -> None:
    parsed(RIGHT_TOGETHER[case])


def test_a_stack_has_the_apps_that_it_names() -> None:
    assert [*parse({"controller": IMAGE}, PROJECT).apps] == []
    assert [*parse({"controller": IMAGE, "apps": {"backend": {}, "frontend": None}}, PROJECT).apps] == ["backend"]


def test_the_workshops_apps_need_no_more_than_their_names() -> None:
    apps = parsed().apps
    frontend, backend = apps["frontend"].analysis, apps["backend"].analysis
    assert list(apps) == ["frontend", "backend"]
    assert (frontend.strategy, frontend.iterations, len(frontend.match)) == (Strategy.AB_TESTING, 10, 2)
    assert (backend.strategy, backend.step_weight, backend.max_weight) == (Strategy.WEIGHTED, 5, 50)
    for analysis in (frontend, backend):
        assert [(m.name, m.bounds and m.bounds.high) for m in analysis.metrics] == [("error-rate", 1), ("latency", 500)]
        assert [(h.name, h.type, h.url) for h in analysis.webhooks] == [
            ("conformance-test", "pre-rollout", "http://flagger-loadtester.prod/"),
            ("load-test", "rollout", "http://flagger-loadtester.prod/"),
        ]


def test_one_threshold_can_be_set_without_repeating_the_rest() -> None:
    raw = {"apps": {"backend": {"analysis": {"metrics": {"latency": {"thresholdRange": {"max": 300}}}}}}}
    default, metrics = parsed().apps["backend"].analysis.metrics, parsed(raw).apps["backend"].analysis.metrics
    assert metrics[0] == default[0]
    assert metrics[1].to_dict() == {**default[1].to_dict(), "thresholdRange": {"max": 300}}


def test_a_metric_set_to_null_is_not_checked() -> None:
    raw = {"apps": {"backend": {"analysis": {"metrics": {"latency": None}}}}}
    assert [m.name for m in parsed(raw).apps["backend"].analysis.metrics] == ["error-rate"]


def test_a_list_of_metrics_replaces_the_default_ones() -> None:
    raw = {"apps": {"backend": {"analysis": {"metrics": [{"name": "request-duration"}]}}}}
    assert [m.name for m in parsed(raw).apps["backend"].analysis.metrics] == ["request-duration"]


@pytest.mark.parametrize(
    ("app", "asked", "strategy"),
    [
        ("backend", {"iterations": 3}, {"iterations": 3}),
        ("backend", {"stepWeights": [1, 50]}, {"stepWeights": [1, 50]}),
        ("backend", {"stepWeight": 10}, {"stepWeight": 10, "maxWeight": 50}),
        ("frontend", {"stepWeight": 20}, {"stepWeight": 20}),
        ("frontend", {"iterations": 2}, {"iterations": 2, "match": 2}),
    ],
)
def test_another_strategy_takes_the_place_of_the_default_one(
    app: str, asked: dict[str, Any], strategy: dict[str, Any]
) -> None:
    analysis = parsed({"apps": {app: {"analysis": asked}}}).apps[app].analysis.to_dict()
    keys = ("iterations", "stepWeight", "stepWeights", "maxWeight", "match")
    found = {key: analysis[key] for key in keys if key in analysis}
    assert {key: len(value) if key == "match" else value for key, value in found.items()} == strategy


def test_the_load_test_goes_to_the_gateway_of_an_existing_istio() -> None:
    frontend = parsed({"istio": EXISTING}).apps["frontend"]
    assert frontend.analysis.webhooks[1].metadata["cmd"].endswith(" http://istio-ingressgateway.istio-system/")


def test_without_a_gateway_the_frontend_is_tested_in_the_mesh() -> None:
    frontend = parsed({"gateway": {"enabled": False}}).apps["frontend"]
    assert (frontend.service.gateways, frontend.service.hosts) == ((), ())
    assert frontend.analysis.webhooks[1].metadata["cmd"].endswith(" http://frontend.prod:9898/")


@pytest.mark.parametrize(
    ("stack", "followed"),
    [
        ({}, True),
        ({"controller": {"enabled": False}}, True),
        ({"controller": {**IMAGE, "replicas": 0}}, False),
        ({"rollouts": {"follow": False}}, False),
        ({"targets": {"cart": {**TARGET, "suspend": True}}}, False),
    ],
)
def test_a_rollout_is_followed_where_some_controller_releases_it(stack: dict[str, Any], followed: bool) -> None:
    config = parsed(merge({"targets": {"cart": TARGET}}, stack))
    assert config.follows(config.workloads[-1]) == followed


def test_a_new_app_is_judged_like_the_workshops_without_its_tests() -> None:
    analysis = parsed({"apps": {"cart": NEW_APP}}).apps["cart"].analysis
    assert (analysis.step_weight, analysis.max_weight, analysis.webhooks) == (5, 50, ())
    assert [m.name for m in analysis.metrics] == ["error-rate", "latency"]


def test_the_apps_follow_the_names_of_namespace_and_gateway() -> None:
    apps = parsed({"namespace": {"name": "shop"}, "gateway": {"name": "door"}}).apps
    assert apps["frontend"].service.gateways == ("istio-system/door",)
    hooks = apps["backend"].analysis.webhooks
    assert {hook.url for hook in hooks} == {"http://flagger-loadtester.shop/"}
    conformance, load = (hook.metadata["cmd"] for hook in hooks)
    assert "http://backend-canary.shop:9898/token" in conformance
    assert load.endswith(" http://backend.shop:9898/")


@pytest.mark.parametrize(
    ("gateway", "load", "hosts"),
    [
        ({}, "http://istio-gateway.istio-system/", ("*",)),
        ({"httpPort": 8080}, "http://istio-gateway.istio-system:8080/", ("*",)),
        ({"hosts": ["shop.example"]}, "-host shop.example http://istio-gateway.istio-system/", ("shop.example",)),
        (
            {"hosts": ["*.shop.example", "prod/shop.example"]},
            "-host shop.example http://istio-gateway.istio-system/",
            ("*.shop.example", "shop.example"),
        ),
        (
            {"hosts": ["*.shop.example"]},
            "-host load-test.shop.example http://istio-gateway.istio-system/",
            ("*.shop.example",),
        ),
        (
            {"hosts": ["shop.example"], "credentialName": "shop.example-tls"},
            "-host shop.example https://istio-gateway.istio-system/",
            ("shop.example",),
        ),
        (
            {"credentialName": "tls", "httpsPort": 8443},
            "https://istio-gateway.istio-system:8443/",
            ("*",),
        ),
    ],
)
def test_the_load_test_goes_to_a_host_and_port_that_the_gateway_serves(
    gateway: dict[str, Any], load: str, hosts: tuple[str, ...]
) -> None:
    frontend = parsed({"gateway": gateway}).apps["frontend"]
    command = frontend.analysis.webhooks[1].metadata["cmd"]
    assert command == f"hey -z 1m -q 10 -c 2 -H 'Cookie: type=insider' {load}"
    assert frontend.service.hosts == hosts


ACCEPTED: Mapping[str, tuple[dict[str, Any], str, Any]] = {
    # case -> (the app's settings, an attribute of it, what it becomes)
    "a tag from `pulumi config set --path`, which stores a number": ({"tag": 4711}, "tag", "4711"),
    "a tag with a digest": ({"tag": f"6.1.0@sha256:{DIGEST}"}, "tag", f"6.1.0@sha256:{DIGEST}"),
    "numbers and truth values in the environment": (
        {"env": {"PORT": 80, "ON": True}},
        "env",
        {"PORT": "80", "ON": "true"},
    ),
    "an image in a registry with a port": ({"image": "localhost:5000/team/app"}, "image", "localhost:5000/team/app"),
    "a Secret with dots in its name": ({"secrets": ["shop.example-db"]}, "secrets", ["shop.example-db"]),
    "a fraction of a CPU": (
        {"resources": {"requests": {"cpu": 0.5}}},
        "resources",
        Resources(requests={"cpu": "0.5", "memory": "32Mi"}),
    ),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_accepts(case: str) -> None:
    settings, attribute, expected = ACCEPTED[case]
    app = parsed(
        {"apps": {"cart": merge(NEW_APP, {"resources": {"requests": {"cpu": "1", "memory": "32Mi"}}}, settings)}}
    )
    assert getattr(app.apps["cart"], attribute) == expected


def test_two_apps_may_share_a_host_when_each_takes_its_own_requests() -> None:
    def routed(prefix: str) -> dict[str, Any]:
        match = [{"uri": {"prefix": prefix}}]
        return {**NEW_APP, "service": {"port": 80, **ROUTED, "hosts": ["shop.example"], "match": match}}

    apps = parsed({"apps": {"frontend": None, "cart": routed("/cart"), "pay": routed("/pay")}}).apps
    assert apps["cart"].service.hosts == apps["pay"].service.hosts


def test_a_webhook_in_a_list_goes_to_the_load_tester_as_well() -> None:
    raw = {"apps": {"backend": {"analysis": {"webhooks": [{"name": "smoke", "type": "pre-rollout"}]}}}}
    assert [hook.url for hook in parsed(raw).apps["backend"].analysis.webhooks] == ["http://flagger-loadtester.prod/"]


def test_a_template_of_another_namespace_is_taken_on_trust() -> None:
    ref = {"name": "anything", "namespace": "monitoring"}
    raw = {"apps": {"backend": {"analysis": {"metrics": {"mine": {"templateRef": ref}}}}}}
    assert parsed(raw).apps["backend"].analysis.metrics[-1].to_dict()["templateRef"] == ref


def test_a_template_of_the_stack_may_be_referred_to() -> None:
    ref = {"name": "queue", "namespace": "istio-system"}
    raw = {
        "observability": {"metricTemplates": {"queue": {"query": "1"}}},
        "apps": {"backend": {"analysis": {"metrics": {"queue": {"templateRef": ref, "thresholdRange": {"max": 5}}}}}},
    }
    assert len(parsed(raw).apps["backend"].analysis.metrics) == 3


def test_shorter_intervals_are_accepted_where_the_floor_is_lower() -> None:
    raw = {
        "controller": {**IMAGE, "minimumInterval": "1s"},
        "apps": {app: {"analysis": {"interval": "2s"}} for app in ("frontend", "backend")},
    }
    assert {app.analysis.interval for app in parsed(raw).apps.values()} == {"2s"}


def test_strict_canaries_use_the_templates_in_their_own_namespace() -> None:
    raw = {"controller": {**IMAGE, "trust": {"crossNamespaceReferences": False}}, "namespace": {"name": "shop"}}
    metrics = parsed(raw).apps["backend"].analysis.metrics
    assert {metric.template_ref and metric.template_ref.namespace for metric in metrics} == {"shop"}


@pytest.mark.parametrize("stack", ["dev", "staging", "prod"])
def test_the_stacks_of_the_repository_are_valid(stack: str) -> None:
    file = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
    sections = {key.removeprefix(f"{PROJECT}:"): value for key, value in file.items()}
    needs_image = "image" not in sections["controller"]
    assert needs_image == (stack != "dev"), "staging and prod run an image that somebody published"
    config = parse(merge({"controller": IMAGE if needs_image else {}}, sections), PROJECT)
    assert config.controller.trust.cross_namespace_references == (stack == "dev")
