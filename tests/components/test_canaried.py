"""A Canary around any workload: by resource or by name, with any autoscaler, from plain values or from outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pulumi
import pytest
from pulumi_kubernetes import Provider, apps, autoscaling, meta

from components.canaried import Canaried
from tests.components.recording import Recording, run

SERVICE = {"port": 80}
ANALYSIS = {"interval": "1m", "threshold": 5, "stepWeight": 10}
BOUNDS = {"minReplicas": 2, "maxReplicas": 9}
HPA = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"}
TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "cart"}
WHOLE = {"service": SERVICE, "analysis": ANALYSIS}


def named(name: str) -> meta.v1.ObjectMetaArgs:
    return meta.v1.ObjectMetaArgs(name=name, namespace="shop")


def deployment() -> apps.v1.Deployment:
    return apps.v1.Deployment("somewhere", metadata=named("cart"))


def output(value: Any) -> pulumi.Output[Any]:
    return pulumi.Output.from_input(value)


CASES: Mapping[str, tuple[Callable[[], dict[str, Any]], dict[str, Any]]] = {
    # case -> (the arguments, the Canary's spec beside service and analysis)
    "a Deployment of the program": (lambda: {"target": deployment()}, {"targetRef": TARGET}),
    "a DaemonSet of the program": (
        lambda: {"target": apps.v1.DaemonSet("somewhere", metadata=named("cart"))},
        {"targetRef": {**TARGET, "kind": "DaemonSet"}},
    ),
    "a name": (lambda: {"target": "cart", "namespace": "shop"}, {"targetRef": TARGET}),
    "names that are outputs": (
        lambda: {"target": output("cart"), "namespace": output("shop"), "kind": output("DaemonSet")},
        {"targetRef": {**TARGET, "kind": "DaemonSet"}},
    ),
    "an autoscaler to make": (
        lambda: {"target": deployment(), "autoscaler": BOUNDS},
        {"targetRef": TARGET, "autoscalerRef": {**HPA, "name": "cart"}},
    ),
    "an autoscaler of the program": (
        lambda: {
            "target": deployment(),
            "autoscaler": autoscaling.v2.HorizontalPodAutoscaler("elsewhere", metadata=named("cart-hpa")),
        },
        {"targetRef": TARGET, "autoscalerRef": {**HPA, "name": "cart-hpa"}},
    ),
    "an autoscaler from outputs": (
        lambda: {"target": deployment(), "autoscaler": output({**BOUNDS, "minReplicas": output(2)})},
        {"targetRef": TARGET, "autoscalerRef": {**HPA, "name": "cart"}},
    ),
    "other fields": (
        lambda: {"target": deployment(), "spec": {"rollbackWindow": output("24h"), "group": "shop"}},
        {"targetRef": TARGET, "rollbackWindow": "24h", "group": "shop"},
    ),
    "outputs throughout": (
        lambda: {"target": deployment(), "service": output(SERVICE), "analysis": {**ANALYSIS, "threshold": output(5)}},
        {"targetRef": TARGET},
    ),
}


def made(arguments: Callable[[], dict[str, Any]]) -> Recording:
    def program() -> None:
        Canaried("mine", **{**WHOLE, **arguments()})

    return run(program)


@pytest.mark.parametrize("case", CASES)
def test_a_canary_around(case: str) -> None:
    arguments, expected = CASES[case]
    canary = made(arguments).get("Canary", "cart").inputs
    assert canary["metadata"] == {"name": "cart", "namespace": "shop"}
    assert canary["spec"] == {**expected, **WHOLE}


@pytest.mark.parametrize("case", ["an autoscaler to make", "an autoscaler from outputs"])
def test_the_autoscaler_that_is_made_scales_the_target(case: str) -> None:
    program = made(CASES[case][0])
    hpa = program.get("HorizontalPodAutoscaler", "cart")
    assert hpa.inputs["metadata"] == {"name": "cart", "namespace": "shop"}
    assert hpa.inputs["spec"] == {**BOUNDS, "scaleTargetRef": TARGET}
    assert program.get("Deployment", "cart").urn in hpa.waits_for
    assert hpa.urn in program.get("Canary", "cart").waits_for


@pytest.mark.parametrize("case", [case for case in CASES if "name" not in case])
def test_a_canary_comes_after_the_workload_and_the_autoscaler_of_the_program(case: str) -> None:
    program = made(CASES[case][0])
    before = {
        each.urn for each in program.resources if each.kind in {"Deployment", "DaemonSet", "HorizontalPodAutoscaler"}
    }
    assert before <= program.get("Canary", "cart").waits_for


REFUSED: Mapping[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "an analysis that is not valid": (
        lambda: {"analysis": {**ANALYSIS, "stepWeight": 500}},
        'The Canary "shop/cart" is invalid:\n  spec.analysis.stepWeight: Invalid value: 500: must be 1 to 100',
    ),
    "an analysis from outputs": (
        lambda: {"analysis": output({**ANALYSIS, "stepWeigth": 5})},
        'The Canary "shop/cart" is invalid:\n  spec.analysis.stepWeigth: unknown field; did you mean "stepWeight"?',
    ),
    "an autoscaler that is not valid": (
        lambda: {"autoscaler": {"minReplica": 1, "maxReplicas": 2}},
        'The HorizontalPodAutoscaler "shop/cart" is invalid:\n  spec.minReplica: unknown field; did you mean "minR',
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case: str) -> None:
    arguments, message = REFUSED[case]
    with pytest.raises(pulumi.RunError) as raised:
        made(lambda: {"target": "cart", "namespace": "shop", **arguments()})
    assert str(raised.value).startswith(message)


def test_two_clusters_in_one_program() -> None:
    def program() -> None:
        for cluster in ("east", "west"):
            Canaried(
                f"cart-{cluster}",
                target="cart",
                namespace="shop",
                service=SERVICE,
                analysis=ANALYSIS,
                autoscaler=BOUNDS,
                opts=pulumi.ResourceOptions(provider=Provider(cluster)),
            )

    found = run(program)
    for kind in ("Canary", "HorizontalPodAutoscaler"):
        assert {each.name: each.provider.split("::")[-2] for each in found.of_kind(kind)} == {
            "cart-east": "east",
            "cart-west": "west",
        }
