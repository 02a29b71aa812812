"""Components in a program that has two of each, one for each cluster; and the names that stacks know from before."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections import Counter
from collections.abc import Callable, Mapping

import pulumi
import pytest
from pulumi import ResourceOptions
from pulumi_kubernetes import Provider

import components
from components.alerts import Alerts, AlertsArgs
from components.canaried import Canaried
from components.canary_app import CanaryApp, CanaryAppArgs
from components.canary_controller import CanaryController, CanaryControllerArgs
from components.canary_crds import CanaryCrds
from components.gateway import PublicGateway, PublicGatewayArgs
from components.istio import Istio, IstioArgs
from components.load_tester import LoadTester, LoadTesterArgs
from components.namespace import AppNamespace, AppNamespaceArgs
from components.network_policies import NetworkPolicies, NetworkPoliciesArgs
from components.observability.observability import Observability, ObservabilityArgs
from components.page_gateway import PageGateway, PageGatewayArgs
from components.rollout_gate import RolloutGate, RolloutGateArgs
from components.secrets import StackSecrets, StackSecretsArgs
from stack.cluster import ClusterAccess
from stack.load import parse
from stack.page import PageGatewayConfig
from stack.reach import Pods
from tests.components.recording import IMAGE, PROJECT, ROOT, Recording, run, run_program

EVERYTHING = {
    "namespace": {"mtls": "STRICT", "callers": []},
    "controller": {
        "image": "registry.example/canary-controller",
        "build": {"enabled": True},
        "name": "flagger",
        "replicas": 2,
        "namespaces": ["prod"],
    },
    "gateway": {"name": "door"},
    "alerts": {"team": {"provider": {"type": "slack", "secretRef": {"name": "chat"}}}},
    "secrets": {"chat": {"address": "https://chat.example"}},
    "apps": {
        "cart": {
            "image": "registry.example/cart:1",
            "service": {"port": 80},
            "config": {"A": "1"},
            "files": {"/etc/cart.yaml": "a: 1"},
        }
    },
}
NEW = {"image": "registry.example/cart:1", "service": {"port": 80}}
STACK = parse(EVERYTHING, "p")
CART = STACK.apps["cart"]
PAGE = PageGatewayConfig.model_validate({"host": "rollouts.example.com", "auth": {"provider": "sign-in"}})
ANALYSIS = {"interval": "1m", "stepWeight": 10, "threshold": 5}

COMPONENTS: Mapping[type[pulumi.ComponentResource], Callable[[str, ResourceOptions], pulumi.ComponentResource]] = {
    Istio: lambda name, opts: Istio(name, IstioArgs(STACK.istio), opts),
    CanaryCrds: CanaryCrds,
    AppNamespace: lambda name, opts: AppNamespace(name, AppNamespaceArgs("prod", STACK.namespace, "stable"), opts),
    Observability: lambda name, opts: Observability(
        name, ObservabilityArgs(STACK.observability, "flagger", {"": "prod", "team-1/": "team-1"}), opts
    ),
    PublicGateway: lambda name, opts: PublicGateway(
        name, PublicGatewayArgs(STACK.all_gateways[0], IstioArgs(STACK.istio)), opts
    ),
    CanaryController: lambda name, opts: CanaryController(
        name, CanaryControllerArgs(STACK.controller, STACK.observability.prometheus.provider), opts
    ),
    NetworkPolicies: lambda name, opts: NetworkPolicies(
        name, NetworkPoliciesArgs(STACK.network_policies, STACK.observability, STACK.controller, ["prod"]), opts
    ),
    PageGateway: lambda name, opts: PageGateway(
        name, PageGatewayArgs(PAGE, "flagger", ["edge/door"], [Pods("edge", {"istio": "edge"})]), opts
    ),
    LoadTester: lambda name, opts: LoadTester(name, LoadTesterArgs(STACK.load_tester, "prod", plain_text=True), opts),
    CanaryApp: lambda name, opts: CanaryApp(name, CanaryAppArgs("cart", "prod", CART), opts),
    Canaried: lambda name, opts: Canaried(
        name,
        target="cart",
        service={"port": 80},
        analysis=ANALYSIS,
        autoscaler={"minReplicas": 1, "maxReplicas": 2},
        opts=opts,
    ),
    Alerts: lambda name, opts: Alerts(name, AlertsArgs(STACK.alerts, {"": "prod", "team-1/": "team-1"}), opts),
    StackSecrets: lambda name, opts: StackSecrets(
        name, StackSecretsArgs(STACK.secrets, {"chat": {"prod": 0, "team-1": 2}}), opts
    ),
    RolloutGate: lambda name, opts: RolloutGate(name, RolloutGateArgs("cart", "prod", ClusterAccess(), []), opts),
}


def test_the_table_has_every_component() -> None:
    modules = [each.name for each in pkgutil.walk_packages(components.__path__, "components.")]
    found = {
        each
        for module in modules
        for _, each in inspect.getmembers(importlib.import_module(module), inspect.isclass)
        if issubclass(each, pulumi.ComponentResource) and each.__module__.startswith("components.")
    }
    assert found == {*COMPONENTS}


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda each: each.__name__)
def test_two_of_a_component_make_the_same_under_names_of_their_own_each_on_its_cluster(
    component: type[pulumi.ComponentResource],
) -> None:
    def program() -> None:
        for cluster in ("east", "west"):
            COMPONENTS[component](cluster, ResourceOptions(provider=Provider(cluster)))

    found = run(program)
    urns = Counter(each.urn for each in found.resources)
    assert [urn for urn, count in urns.items() if count > 1] == []
    made: dict[str, set[tuple[str, str]]] = {}
    for cluster in ("east", "west"):
        (owner,) = (each for each in found.resources if (each.kind, each.name) == (component.__name__, cluster))
        inside = found.inside(owner)
        on_cluster = [each for each in inside if each.type.startswith("kubernetes:")]
        assert {each.provider.split("::")[-2] for each in on_cluster} <= {cluster}
        made[cluster] = {(each.type, each.name.removeprefix(cluster)) for each in inside}
    assert made["east"] == made["west"] != set()


def test_the_program_of_the_documentation_makes_an_istio_on_each_cluster() -> None:
    page = (ROOT / "docs/existing-cluster.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    found = run(lambda: exec(code, {}))
    assert [each.name for each in found.of_kind("Istio")] == ["east", "west"]


# --- former names -----------------------------------------------------------------------------------------------------

FORMER_NAMES: Mapping[str, str] = {
    # kind and name -> the name that a stack of an earlier version knows
    "ClusterRole observability-prometheus": "prometheus-pod-reader",
    "ClusterRoleBinding observability-prometheus": "prometheus-pod-reader",
    "Command canary-controller-image": "flagger-image",
    "ConfigMap observability-dashboards": "canary-dashboards",
    "ConfigMap observability-prometheus": "prometheus",
    "CustomResourceDefinition canary-crds-alertproviders.flagger.app": "alertproviders.flagger.app",
    "CustomResourceDefinition canary-crds-canaries.flagger.app": "canaries.flagger.app",
    "CustomResourceDefinition canary-crds-metrictemplates.flagger.app": "metrictemplates.flagger.app",
    "Deployment canary-controller": "flagger",
    "Deployment load-tester": "flagger-loadtester",
    "Deployment observability-prometheus": "prometheus",
    "Gateway public-gateway": "door",
    "MetricTemplate observability-error-rate": "error-rate-template",
    "MetricTemplate observability-latency": "latency-template",
    "Namespace apps": "prod",
    "PeerAuthentication apps-mtls": "prod-mtls",
    "PeerAuthentication load-tester-plain-text": "flagger-loadtester-plain-text",
    "PodDisruptionBudget canary-controller": "flagger",
    "Release istio-istiod": "istiod",
    "Release observability-grafana": "flagger-grafana",
    "Release public-gateway-pods": "istio-gateway",
    "Role canary-controller-in-istio-system": "flagger-in-istio-system",
    "Role canary-controller-in-prod": "flagger-in-prod",
    "RoleBinding canary-controller-in-istio-system": "flagger-in-istio-system",
    "RoleBinding canary-controller-in-prod": "flagger-in-prod",
    "Service canary-controller": "flagger",
    "Service load-tester": "flagger-loadtester",
    "Service observability-prometheus": "prometheus",
    "ServiceAccount canary-controller": "flagger",
    "ServiceAccount observability-prometheus": "prometheus",
}


def test_a_stack_keeps_the_resources_that_it_knows_by_former_names() -> None:
    program = run_program(EVERYTHING, secret=[f"{PROJECT}:secrets"])
    known = {f"{each.kind} {each.name}": name for each in program.resources for name in each.former_names}
    assert {name: former for name, former in known.items() if name.split(" ")[1] != former} == FORMER_NAMES


def test_only_one_resource_claims_a_former_name() -> None:
    stack = {
        "namespaces": {"team-1": {"apps": {"cart": {**NEW, "analysis": {"webhooks": {"load": {"type": "rollout"}}}}}}}
    }
    program: Recording = run_program(
        {**stack, "controller": {"image": IMAGE, "trust": {"crossNamespaceReferences": False}}}
    )
    claims = Counter(
        (each.type, each.parent.split("::")[2], name) for each in program.resources for name in each.former_names
    )
    assert [claim for claim, count in claims.items() if count > 1] == []
