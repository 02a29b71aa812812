"""What is created before what, and so destroyed after what, from the recorded graph."""

from __future__ import annotations

import pytest

from tests.components.recording import Recording, Registered, run_program

ORDER = [
    # (kind, name) must exist before (kind, name)
    (("Namespace", "istio-system"), ("Release", "istio-base")),
    (("Release", "istio-base"), ("Release", "istiod")),
    (("Release", "istiod"), ("Release", "istio-gateway")),
    (("Release", "istiod"), ("Gateway", "public-gateway")),
    (("Release", "istiod"), ("Namespace", "prod")),
    (("ClusterRoleBinding", "prometheus-pod-reader"), ("Deployment", "prometheus")),
    (("Service", "prometheus"), ("Release", "flagger-grafana")),
    (("CustomResourceDefinition", "metrictemplates.flagger.app"), ("MetricTemplate", "error-rate")),
    (("CustomResourceDefinition", "canaries.flagger.app"), ("Deployment", "canary-controller")),
    (("CustomResourceDefinition", "metrictemplates.flagger.app"), ("Deployment", "canary-controller")),
    (("CustomResourceDefinition", "alertproviders.flagger.app"), ("Deployment", "canary-controller")),
    (("ClusterRoleBinding", "canary-controller"), ("Deployment", "canary-controller")),
    (("MetricTemplate", "error-rate"), ("Deployment", "canary-controller")),
    (("Namespace", "prod"), ("Deployment", "canary-controller")),
    (("Release", "istiod"), ("Deployment", "canary-controller")),
    (("Namespace", "prod"), ("Deployment", "flagger-loadtester")),
    (("Release", "istiod"), ("Deployment", "flagger-loadtester")),
]

APP_ORDER = [
    ("Namespace", "prod"),
    ("Release", "istiod"),
    ("Gateway", "public-gateway"),
    ("Deployment", "canary-controller"),
    ("Service", "prometheus"),
    ("CustomResourceDefinition", "canaries.flagger.app"),
    ("MetricTemplate", "error-rate"),
    ("MetricTemplate", "latency"),
    ("Deployment", "flagger-loadtester"),
    ("Service", "flagger-loadtester"),
]


@pytest.mark.parametrize(("first", "then"), ORDER, ids=" ".join)
def test_comes_before(program: Recording, first: tuple[str, str], then: tuple[str, str]) -> None:
    assert program.get(*first).urn in program.all_before(program.get(*then))


@pytest.mark.parametrize("app", ["frontend", "backend"])
@pytest.mark.parametrize("first", APP_ORDER, ids=" ".join)
@pytest.mark.parametrize("then", ["Deployment", "HorizontalPodAutoscaler", "Canary"])
def test_comes_before_everything_of_an_app(program: Recording, first: tuple[str, str], then: str, app: str) -> None:
    assert program.get(*first).urn in program.all_before(program.get(then, app))


@pytest.mark.parametrize("app", ["frontend", "backend"])
@pytest.mark.parametrize("part", ["Deployment", "HorizontalPodAutoscaler"])
def test_a_canary_comes_after_what_it_guards(program: Recording, app: str, part: str) -> None:
    assert program.get(part, app).urn in program.all_before(program.get("Canary", app))


@pytest.mark.parametrize("release", ["istio-gateway", "flagger-grafana"])
def test_a_release_that_never_becomes_ready_does_not_stop_the_apps(program: Recording, release: str) -> None:
    urn = program.get("Release", release).urn
    waiting = [r.name for r in program.resources if urn in program.all_before(r)]
    assert waiting == []


def test_only_what_follows_its_rollout_waits_for_a_canary_so_that_canaries_are_destroyed_first(
    program: Recording,
) -> None:
    canaries = {canary.urn for canary in program.of_kind("Canary")}
    assert len(canaries) == 2
    waiting = [r for r in program.resources if program.all_before(r) & canaries]
    assert {r.kind for r in waiting} == {"RolloutGate", "Command"}
    assert not [r.name for r in waiting if "delete" in r.inputs]


def test_the_network_plugin_is_there_before_anything_is_injected() -> None:
    program = run_program({"istio": {"cni": {"enabled": True}}})
    plugin, istiod = program.get("Release", "istio-cni"), program.get("Release", "istiod")
    assert program.get("Release", "istio-base").urn in program.all_before(plugin)
    assert plugin.urn in program.all_before(istiod)


def test_istio_waits_for_nothing_of_ours_so_that_it_is_destroyed_last(program: Recording) -> None:
    istio = program.get("Istio", "istio")
    inside = {istio.urn, *(r.urn for r in program.inside(istio))}
    for resource in program.inside(istio):
        assert program.all_before(resource) <= inside


def test_every_resource_waits_for_all_that_its_component_waits_for(program: Recording) -> None:
    """Pulumi does not hand `depends_on` down: forgotten once, a destroy runs in the wrong order."""
    components = [r for r in program.resources if r.type.startswith("canary:mesh:")]
    late = [
        f"{component.name}/{resource.name}"
        for component in components
        for resource in program.inside(component)
        if not component.waits_for <= resource.waits_for
    ]
    assert late == []


def test_every_resource_is_inside_a_component(program: Recording) -> None:
    components = {r.urn for r in program.resources if r.type.startswith("canary:mesh:")}

    def is_loose(resource: Registered) -> bool:
        return resource.urn not in components and resource.parent not in components

    assert [r.name for r in program.resources if is_loose(r)] == []
