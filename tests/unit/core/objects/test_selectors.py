"""Which pods are whose."""

from __future__ import annotations

from typing import Any

import pytest

from controller.api.names import SELECTOR_LABELS
from controller.core.model import Facts, Options
from controller.core.objects.selectors import (
    SelectorError,
    overlaps,
    primary_selector,
    selector_label,
    service_selector,
)
from controller.core.objects.workload import build_primary
from tests.builders import NOW, make_canary, make_deployment


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"app": "backend"}, ("app", "backend")),
        ({"name": "backend"}, ("name", "backend")),
        ({"app.kubernetes.io/name": "backend"}, ("app.kubernetes.io/name", "backend")),
        ({"app.kubernetes.io/name": "c", "name": "b", "app": "a"}, ("app", "a")),
    ],
)
def test_the_label_that_tells_the_pods_apart(labels, expected):
    assert selector_label(make_deployment(labels=labels), SELECTOR_LABELS) == expected


def test_the_labels_and_their_order_are_an_option():
    target = make_deployment(labels={"app": "backend", "tier": "web"})
    assert selector_label(target, ("tier", "app")) == ("tier", "web")
    facts = Facts(now=NOW, canary=make_canary(), target=target, options=Options(selector_labels=("tier", "app")))
    template = build_primary(facts, "1")["spec"]["template"]
    assert primary_selector(target, ("tier", "app")).items() <= template["metadata"]["labels"].items()
    assert template["metadata"]["labels"]["tier"] == "web-primary"


def test_without_such_a_label_the_error_says_what_there_is_and_what_may_be():
    with pytest.raises(SelectorError, match=r"must have one of app, name, app\.kubernetes\.io/name, found tier, track"):
        selector_label(make_deployment(labels={"tier": "web", "track": "a"}), SELECTOR_LABELS)


def only(key: str, *values: str, operator: str = "In") -> dict[str, Any]:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


SELECTORS: dict[str, tuple[dict[str, Any], dict[str, str], dict[str, str]]] = {
    # name: (selector of the target, of the canary's Service, of the primary)
    "one label": ({"matchLabels": {"app": "a"}}, {"app": "a"}, {"app": "a-primary"}),
    "all labels": (
        {"matchLabels": {"app.kubernetes.io/name": "podinfo", "app.kubernetes.io/instance": "a"}},
        {"app.kubernetes.io/name": "podinfo", "app.kubernetes.io/instance": "a"},
        {"app.kubernetes.io/name": "podinfo-primary", "app.kubernetes.io/instance": "a"},
    ),
    "one allowed value": (
        {"matchExpressions": [only("app", "a"), only("tier", "web")]},
        {"app": "a", "tier": "web"},
        {"app": "a-primary", "tier": "web"},
    ),
    "expressions that a Service cannot have": (
        {
            "matchLabels": {"app": "a"},
            "matchExpressions": [
                only("tier", "web", "api"),
                only("canary", operator="DoesNotExist"),
                only("x", "y", operator="NotIn"),
            ],
        },
        {"app": "a"},
        {"app": "a-primary"},
    ),
    "nulls": ({"matchLabels": {"app": "a"}, "matchExpressions": None}, {"app": "a"}, {"app": "a-primary"}),
}


@pytest.mark.parametrize("name", SELECTORS)
def test_services_select_by_the_whole_selector_of_their_workload(name):
    selector, canary, primary = SELECTORS[name]
    target = make_deployment()
    target["spec"]["selector"] = selector
    assert (service_selector(target), primary_selector(target, SELECTOR_LABELS)) == (canary, primary)


A = make_deployment("a", labels={"app.kubernetes.io/name": "podinfo", "app.kubernetes.io/instance": "a"})
B = make_deployment("b", labels={"app.kubernetes.io/name": "podinfo", "app.kubernetes.io/instance": "b"})
WIDE = make_deployment("wide", labels={"app.kubernetes.io/name": "podinfo"})
COPY = make_deployment("a-primary", labels={"app.kubernetes.io/name": "podinfo", "app.kubernetes.io/instance": "a"})
FORMER = make_deployment("wide-primary", labels={"app": "wide-primary", "app.kubernetes.io/name": "podinfo"})

OVERLAPS: dict[str, tuple[Any, Any, tuple[Any, ...], str]] = {
    # name: (target, primary, all Deployments, the two that share pods)
    "two apps of one name": (A, None, (A, B), ""),
    "an app whose selector is all of another's labels": (WIDE, None, (WIDE, A), "Deployment wide|Deployment a"),
    "an app whose pods another selects, which is the other's problem": (A, None, (WIDE, A), ""),
    "a primary that has the labels of its target": (A, COPY, (A, COPY), "Deployment a|Deployment a-primary"),
    "a target made again that selects the pods of its primary": (
        WIDE,
        FORMER,
        (WIDE, FORMER),
        "Deployment wide|Deployment wide-primary",
    ),
}


@pytest.mark.parametrize("name", OVERLAPS)
def test_pods_of_other_deployments_that_a_service_would_select(name):
    target, primary, deployments, pair = OVERLAPS[name]
    problem = overlaps(target, primary, deployments, SELECTOR_LABELS, lambda _: False)
    assert bool(problem) == bool(pair)
    assert all(part in problem for part in pair.split("|"))
