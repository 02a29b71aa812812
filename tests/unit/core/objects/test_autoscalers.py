"""The primary's autoscaler as a copy of the target's."""

from __future__ import annotations

from typing import Any

import pytest

from controller.core.model import Facts
from controller.core.objects.autoscalers import build_autoscaler, replicas_from_zero
from tests.builders import NOW, make_autoscaler, make_canary, make_deployment, make_scaled_object
from tests.golden_files import assert_golden

HPA = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "backend"}
SCALED = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "backend"}
LIMITS = {"primaryScalerReplicas": {"minReplicas": 3, "maxReplicas": 9}}


def built(reference: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
    facts = Facts(NOW, make_canary(autoscalerRef=reference), target=make_deployment(), target_autoscaler=source)
    return build_autoscaler(facts)


@pytest.mark.parametrize(("name", "reference"), [("plain", HPA), ("with-own-limits", {**HPA, **LIMITS})])
def test_autoscaler(name, reference):
    source = make_autoscaler()
    source["spec"]["behavior"] = {"scaleDown": {"stabilizationWindowSeconds": 60}}
    assert_golden(f"core/autoscaler-{name}", built(reference, source))


@pytest.mark.parametrize(
    ("name", "reference"),
    [("plain", SCALED), ("with-own-limits", {**SCALED, **LIMITS, "primaryScalerQueries": {"load": "own"}})],
)
def test_scaled_object(name, reference):
    source = make_scaled_object(
        pollingInterval=10,
        cooldownPeriod=60,
        idleReplicaCount=0,
        fallback={"failureThreshold": 3, "replicas": 6},
        advanced={"restoreToOriginalReplicaCount": True, "horizontalPodAutoscalerConfig": {"name": "backend-hpa"}},
    )
    source["spec"]["triggers"].append({"type": "cpu", "metadata": {"value": "50"}})
    source["spec"]["scaleTargetRef"]["envSourceContainerName"] = "backend"
    assert_golden(f"core/scaled-object-{name}", built(reference, source))


@pytest.mark.parametrize(
    ("query", "about_the_primary"),
    [
        ('up{app="backend"}', 'up{app="backend-primary"}'),
        (
            'up{service="backend-canary"} / up{app="backend-primary"}',
            'up{service="backend-primary"} / up{app="backend-primary"}',
        ),
        (
            'up{pod=~"backend-.*", cluster="test_backend_80"}',
            'up{pod=~"backend-primary-.*", cluster="test_backend-primary_80"}',
        ),
        ('up{app="backend2"} + backends', 'up{app="backend2"} + backends'),
    ],
)
def test_a_query_about_the_target_becomes_one_about_the_primary(query, about_the_primary):
    source = make_scaled_object()
    source["spec"]["triggers"][0]["metadata"]["query"] = query
    assert built(SCALED, source)["spec"]["triggers"][0]["metadata"]["query"] == about_the_primary


def test_with_queries_of_the_canary_the_others_stay_as_they_are():
    source = make_scaled_object()
    query = source["spec"]["triggers"][0]["metadata"]["query"]
    copy = built({**SCALED, "primaryScalerQueries": {"another": "own"}}, source)
    assert copy["spec"]["triggers"][0]["metadata"]["query"] == query


@pytest.mark.parametrize(
    ("autoscaler", "primary", "expected"),
    [
        (make_autoscaler(low=2), 5, 2),
        ({**make_autoscaler(), "spec": {"maxReplicas": 4}}, 5, 1),
        (make_autoscaler(low=0), 5, 1),
        (make_scaled_object(low=3), 5, 3),
        ({**make_scaled_object(), "spec": {}}, 5, 1),
        (None, 5, 5),
        (None, 0, 1),
        (None, None, 1),
    ],
)
def test_the_size_that_a_canary_starts_with(autoscaler, primary, expected):
    made = None if primary is None else make_deployment("backend-primary", replicas=primary)
    facts = Facts(NOW, make_canary(), target=make_deployment(), primary=made, target_autoscaler=autoscaler)
    assert replicas_from_zero(facts) == expected


@pytest.mark.parametrize(("reference", "source"), [(HPA, make_autoscaler()), (SCALED, make_scaled_object())])
def test_an_autoscaler_has_labels_and_annotations_of_the_one_that_it_copies_but_for_those_of_tools(reference, source):
    tools = {"kustomize.toolkit.fluxcd.io/name": "apps"}
    pauses = {"autoscaling.keda.sh/paused-replicas": "0", "autoscaling.keda.sh/paused": "true"}
    source["metadata"] |= {"labels": {"team": "web", **tools}, "annotations": {"note": "ours", **tools, **pauses}}
    metadata = built(reference, source)["metadata"]
    assert metadata["labels"] == {"team": "web"}
    assert {key: text for key, text in metadata["annotations"].items() if "flagger" not in key} == {"note": "ours"}
