"""What the program asks of the cluster before it touches Istio, what it refuses, and what it says afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pytest
from pulumi.runtime.mocks import MockResourceArgs

from controller.api import CanaryError
from controller.shell.kubernetes.errors import Rejected
from tests.components.recording import Recording, run_program

OLD, NEW = "1.30.4", "1.31.1"


def mesh(planes: Mapping[str, str], proxies: Mapping[str, Sequence[str]], kubernetes: str = "1.34.1") -> dict[str, Any]:
    return {"kubernetes": kubernetes, "controlPlanes": planes, "proxies": proxies}


BEFORE = mesh({"default": OLD}, {"default": ["prod/backend-1"]})


@pytest.mark.parametrize("preview", [True, False], ids=["preview", "up"])
def test_an_upgrade_that_istio_does_not_support_is_refused_before_any_chart_is_touched(
    preview: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    note = Recording.new_resource

    def noting(self: Recording, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        made.append(args.typ)
        return note(self, args)

    monkeypatch.setattr(Recording, "new_resource", noting)
    running = mesh({"default": "1.29.0"}, {}, kubernetes="1.30.0")
    with pytest.raises(pulumi.RunError) as caught:
        run_program({"istio": {"version": NEW}}, mesh=running, preview=preview)
    assert [line.strip() for line in str(caught.value).splitlines()] == [
        "the Istio of this stack is refused, and nothing of it was changed:",
        "Istio 1.31.1 needs Kubernetes 1.32 or newer, and the cluster has 1.30.0: upgrade the cluster first",
        (
            "Istio 1.29.0 cannot become 1.31.1 in place: take 1.30 first, or put the new one beside it with "
            "istio.revisions (docs/istio-upgrades.md)"
        ),
    ]
    assert "kubernetes:helm.sh/v3:Release" not in made


@pytest.mark.parametrize("why", [None, Rejected("GET /api/v1/pods", 403, "forbidden")], ids=["not there", "forbidden"])
def test_a_cluster_that_cannot_be_asked_refuses_nothing(why: CanaryError | None) -> None:
    program = run_program({"istio": {"version": NEW}}, mesh=why)
    assert program.get("Release", "istiod").inputs["version"] == NEW
    assert program.outputs["istio"] == {"stable": {"version": NEW, "revision": ""}}


STEPS: Sequence[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    # the stack -> the cluster before; releases with versions, labels of prod, the version that its pods ask for
    (
        "in place",
        {"istio": {"version": OLD}},
        BEFORE,
        {"releases": {"istiod": OLD, "istio-base": OLD, "istio-gateway": OLD}, "prod": ("istio-injection", "enabled")},
    ),
    (
        "a second one, which nobody has",
        {"istio": {"version": OLD, "revisions": {"next": NEW}}},
        BEFORE,
        {
            "releases": {"istiod": OLD, "istiod-1-31": NEW, "istio-base": NEW, "istio-gateway": OLD},
            "prod": ("istio-injection", "enabled"),
            "tags": {"next": "istiod-1-31"},
        },
    ),
    (
        "a namespace and the gateway move",
        {
            "istio": {"version": OLD, "revisions": {"next": NEW}, "gatewayRevision": "next"},
            "namespace": {"revision": "next"},
        },
        BEFORE,
        {
            "releases": {"istiod": OLD, "istiod-1-31": NEW, "istio-base": NEW, "istio-gateway": NEW},
            "prod": ("istio.io/rev", "next"),
            "pods": NEW,
            "tags": {"next": "istiod-1-31"},
        },
    ),
    (
        "the new one is the only one, and the pods stay as they are",
        {"istio": {"revisions": {"stable": NEW}}},
        mesh({"default": OLD, "1-31": NEW}, {"1-31": ["prod/backend-2"]}),
        {
            "releases": {"istiod-1-31": NEW, "istio-base": NEW, "istio-gateway": NEW},
            "prod": ("istio.io/rev", "stable"),
            "pods": NEW,
            "tags": {"stable": "istiod-1-31", "default": "istiod-1-31"},
        },
    ),
]


@pytest.mark.parametrize(("step", "stack", "before", "made"), STEPS, ids=[each[0] for each in STEPS])
def test_a_mesh_moves_to_another_minor_version_step_by_step(
    step: str, stack: dict[str, Any], before: dict[str, Any], made: dict[str, Any]
) -> None:
    program = run_program(stack, mesh=before)
    releases = {each.object: each.inputs.get("version") for each in program.of_kind("Release")}
    assert {name: version for name, version in releases.items() if name.startswith("istio")} == made["releases"]
    key, value = made["prod"]
    assert program.get("Namespace", "prod").inputs["metadata"]["labels"] == {key: value}
    asked = {
        name: pod_annotations(program, name).get("canary-on-istio/proxy")
        for name in ("backend", "frontend", "flagger-loadtester")
    }
    assert {*asked.values()} == {made.get("pods")}
    webhooks = program.of_kind("MutatingWebhookConfiguration")
    assert {
        each.object.removeprefix("istio-revision-tag-"): each.inputs["webhooks"][0]["clientConfig"]["service"]["name"]
        for each in webhooks
    } == made.get("tags", {})
    for each in webhooks:
        assert program.get("Namespace", "prod").urn not in program.all_before(each)
        assert each.urn in program.all_before(program.get("Namespace", "prod"))


def pod_annotations(program: Recording, deployment: str) -> Mapping[str, str]:
    template = program.get("Deployment", deployment).inputs["spec"]["template"]
    annotations: Mapping[str, str] = template["metadata"].get("annotations") or {}
    return annotations


def test_the_output_says_which_pods_are_left_on_another_istiod() -> None:
    stack = {"istio": {"revisions": {"stable": OLD, "next": NEW}}}
    running = mesh({"1-30": OLD, "1-31": NEW}, {"1-30": ["prod/backend-1"], "1-31": ["prod/frontend-1"]})
    previewed, updated = (run_program(stack, mesh=running, preview=preview) for preview in (True, False))
    assert (
        previewed.outputs["istio"]
        == updated.outputs["istio"]
        == {
            "stable": {"version": OLD, "revision": "1-30"},
            "next": {"version": NEW, "revision": "1-31"},
            "left": {"1-30": ["prod/backend-1"]},
        }
    )
    assert run_program(stack, mesh=None).outputs["istio"]["left"] == "not known"


def test_another_proxy_is_a_rollout_that_up_follows() -> None:
    def triggers(stack: dict[str, Any]) -> Any:
        return run_program(stack).get("Command", "backend-rollout").inputs["triggers"]

    old, new = ({"istio": {"revisions": {"stable": version}}} for version in ("1.31.1", "1.31.2"))
    assert triggers(old) != triggers(new)
    assert len(triggers({})) == 1
