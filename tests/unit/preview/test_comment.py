"""The comment as a whole, for what a pull request may do to an app, a cluster and Pulumi."""

from __future__ import annotations

from typing import Any

import pytest

from controller.core.simulation.expectations import Traffic
from preview.changes import read_changes
from preview.charts import ChartDiff
from preview.comment import LIMIT, MARKER, render
from preview.policies import Violation
from preview.stacks import StackPreview
from tests.golden_files import assert_golden_text
from tests.unit.preview.steps import canary, same, settings, step, workload

COMPARED = {"analysis": {"metrics": [{"name": "errors", "compare": {"errors": {}}}], "interval": "1m"}}
IMAGE = "spec.template.spec.containers[0].image"
USES: dict[str, Any] = {
    "containers": [{"name": "podinfo", "image": "x:1", "envFrom": [{"configMapRef": {"name": "backend-config"}}]}]
}
NEW = "registry.example/podinfo:6.1.2"
EXACT = {"uri": {"exact": "/cart"}}
ROUTED = {"port": 80, "hosts": ["a.example", "b.example"], "match": [EXACT, {"uri": {"prefix": "/api"}}]}
LESS = {"port": 80, "hosts": ["b.example"], "gateways": ["istio-system/public-gateway"], "match": [EXACT]}
GATEWAY = {"name": "istio-gateway", "values": {"podAnnotations": {"a": "b"}}}


def released(**spec: Any) -> list[dict[str, Any]]:
    """A new version of backend."""
    return [
        same("Canary", "backend", canary(**spec)),
        step("update", "Deployment", "backend", workload(), workload(NEW), IMAGE),
    ]


def controller(*arguments: str) -> dict[str, Any]:
    made = workload()
    made["spec"]["template"]["spec"]["containers"][0]["args"] = ["run", *arguments]
    return {**made, "metadata": {"name": "canary-controller", "namespace": "istio-system"}}


def preview(*steps: dict[str, Any], **fields: Any) -> StackPreview:
    return StackPreview("prod", tuple(read_changes([*steps])), **fields)


CASES = {
    "a new version, and a chart": preview(
        step("same", "pulumi:pulumi:Stack", "canary-on-istio-prod", {}, {}),
        *released(),
        step("update", "Release", "istio-gateway", {}, GATEWAY, "values.podAnnotations"),
        diff="~ kubernetes:apps/v1:Deployment: (update)",
    ),
    "what releases have inside": preview(
        step("update", "Release", "istiod", {}, GATEWAY, "version"),
        charts=(
            ChartDiff("istiod", (("CustomResourceDefinition/a", "+a: 1"), ("ConfigMap/istio-system/b", "-```\n+b"))),
            ChartDiff("grafana", (("Secret/x", "-" * 4000), *((f"Service/{n}", "+" * 2000) for n in range(30)))),
            ChartDiff("gateway", problem="values don't meet the <schema>"),
        ),
    ),
    "a page that people open": preview(
        *released(),
        same(
            "Deployment",
            "canary-controller",
            controller("--page-port=8081", "--page-url=https://rollouts.example/(a)/"),
        ),
    ),
    "settings alone": preview(
        same("Canary", "backend", canary()),
        same("Deployment", "backend", workload(**USES)),
        step("update", "ConfigMap", "backend", settings(level="1"), settings(level="2"), "data.level"),
    ),
    "a pod in many ways": preview(
        same("Canary", "backend", canary()),
        step(
            "update",
            "Deployment",
            "backend",
            workload(nodeSelector={"disk": "ssd"}, volumes=[{"name": "old", "emptyDir": {}}]),
            workload(
                "registry.other/podinfo:6.1.0",
                volumes=[{"name": "new", "emptyDir": {}}],
                initContainers=[{"name": "migrate", "image": "registry.example/migrate:1"}],
            ),
        ),
    ),
    "only the analysis": preview(
        step("update", "Canary", "backend", canary(), canary(analysis={"threshold": 9}), "spec.analysis.threshold"),
        same("Deployment", "backend", workload()),
    ),
    "a first version": preview(
        step("create", "Canary", "backend", None, canary()),
        step("create", "Deployment", "backend", None, workload()),
    ),
    "an app that goes, and a Service that is replaced": preview(
        step("delete", "Canary", "backend", canary()),
        step("delete", "Deployment", "backend", workload()),
        step("create-replacement", "Service", "shop", {"metadata": {"name": "shop"}}, {"metadata": {"name": "shop"}}),
        step("replace", "Service", "shop", {"metadata": {"name": "shop"}}, {"metadata": {"name": "shop"}}, "spec.x"),
        step("delete-replaced", "Service", "shop", {"metadata": {"name": "shop"}}),
    ),
    "a Canary that goes, and leaves its Deployment": preview(
        step("delete", "Canary", "backend", canary()), same("Deployment", "backend", workload())
    ),
    "a Canary around what is there": preview(
        step("create", "Canary", "backend", None, canary()), same("Deployment", "backend", workload())
    ),
    "a Canary that is not known before the update": preview(
        step("update", "Canary", "backend", canary(), {**canary(), "spec": "unknown"}),
        step("create", "Canary", "shop", None, {"metadata": "unknown", "spec": "unknown"}),
        step("update", "Deployment", "backend", workload(), workload(NEW), IMAGE),
    ),
    "without an analysis": preview(*released(skipAnalysis=True)),
    "suspended": preview(*released(suspend=True)),
    "behind a gate": preview(
        *released(analysis={"webhooks": [{"name": "ok", "type": "confirm-promotion", "url": "http://gate"}]})
    ),
    "compared, and the traffic is not known": preview(*released(**COMPARED)),
    "nothing": preview(same("Deployment", "backend", workload()), same("Canary", "backend", canary())),
    "no preview": StackPreview("prod", error="canary-on-istio:apps.backend.tag: must be <text>\n```\nend"),
    "a cluster that is away, and warnings": preview(
        *released(), unreachable="Cannot connect to host 10.0.0.1:443", messages=("a <b>\nline", "`<kept>`")
    ),
    "what policies say": preview(
        *released(),
        violations=(
            Violation("memory-is-limited", "Deployment prod/a: container a may use all", is_mandatory=True),
            Violation("alerts-are-sent", "Canary prod/a tells nobody", is_mandatory=False),
        ),
    ),
    "routes that go": preview(
        step("update", "Canary", "backend", canary(service=ROUTED), canary(service=LESS), "spec.service.hosts"),
        same("Deployment", "backend", workload()),
    ),
    "names that Markdown would read": preview(
        step("update", "Service", "a|<b>", {}, {"metadata": {"namespace": "x|y", "name": "<script>"}}, "spec.a|b"),
        diff="a\n````\nb",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_comment(case):
    assert_golden_text(f"preview/{case.replace(' ', '-').replace(',', '')}.md", render([CASES[case]]))


@pytest.mark.parametrize("per_second", [0.01, 100.0])
def test_it_says_how_soon_a_fault_is_found_at_the_traffic_of_today(per_second):
    traffic = {"prod": {"prod/backend": Traffic(requests_per_second=per_second, bad_rates={"errors": (0.001,)})}}
    text = render([preview(*released(**COMPARED))], traffic)
    assert_golden_text(f"preview/at-{per_second:g}-requests-a-second.md", text)


def test_all_stacks_are_in_one_comment_in_their_order():
    text = render([StackPreview("dev"), preview(*released()), StackPreview("later", error="no such stack")])
    assert text.startswith(MARKER)
    assert [line for line in text.splitlines() if line.startswith("## ")] == ["## dev", "## prod", "## later"]


def test_a_diff_gets_the_room_that_is_left_and_says_what_is_cut():
    text = render([preview(*released(), diff="-" * 200_000), preview(*released(), diff="+" * 200_000)])
    assert len(text) <= LIMIT
    assert text.count("… cut:") == 2


@pytest.mark.parametrize(
    "long",
    [
        StackPreview("prod", error="x" * 100_000),
        preview(*(same("Service", "a", {}) | {"op": "delete"} for _ in range(5_000)), diff="-" * 100_000),
        preview(*released(), charts=tuple(ChartDiff(f"r{n}", (("Service/a", "+" * 3_000),)) for n in range(50))),
    ],
)
def test_no_comment_is_longer_than_github_takes(long):
    text = render([long, preview(*released())])
    assert len(text) <= LIMIT
    assert "Cut here" in text
