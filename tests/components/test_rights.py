"""Least privilege: what the two service accounts may do, and what the pods are denied."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from typing import Any

import pytest

import stack.objects
from controller.shell.kubernetes.kinds import CANARY, CONFIGS, KINDS, LEASE, OPTIONAL, POD, SELF_REVIEW, WATCHED
from tests.components.recording import ROOT, Recording, run_program

OUR_WORKLOADS = ["prometheus", "canary-controller", "flagger-loadtester"]


def rules(program: Recording, role: str) -> dict[tuple[str, str], set[str]]:
    """The verbs that a ClusterRole grants, by API group and resource."""
    granted: dict[tuple[str, str], set[str]] = {}
    for rule in program.get("ClusterRole", role).inputs["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                granted.setdefault((group, resource), set()).update(rule["verbs"])
    return granted


def test_the_controller_may_read_what_it_watches(program: Recording) -> None:
    granted = rules(program, "canary-controller")
    missing = [
        kind.name
        for kind in (*WATCHED, *OPTIONAL, *CONFIGS)
        if not {"get", "list", "watch"} <= granted[kind.group, kind.plural]
    ]
    assert missing == []


def test_the_controller_may_touch_only_the_kinds_it_works_with(program: Recording) -> None:
    elsewhere = (LEASE, SELF_REVIEW)  # in a Role of its own namespace; what the command line asks
    known = {(kind.group, kind.plural) for kind in KINDS.values() if kind not in elsewhere}
    known |= {(CANARY.group, f"{CANARY.plural}/{part}") for part in ("status", "finalizers")}
    known |= {(POD.group, POD.plural)}
    assert rules(program, "canary-controller").keys() == known


def test_the_controller_reads_pods_when_it_asks_and_watches_those_that_people_look_at(program: Recording) -> None:
    assert rules(program, "canary-controller")[POD.group, POD.plural] == {"list", "watch"}
    without_page = run_program({"controller": {"image": "registry.example/c:1", "page": {"enabled": False}}})
    assert rules(without_page, "canary-controller")[POD.group, POD.plural] == {"list"}


def test_a_controller_of_some_namespaces_has_no_right_in_any_other() -> None:
    stack = {"controller": {"image": "registry.example/c:1", "namespaces": ["prod", "team-2"]}}
    program = run_program(stack)
    assert [role.object for role in program.of_kind("ClusterRole")] == ["prometheus-pod-reader"]
    assert [binding.object for binding in program.of_kind("ClusterRoleBinding")] == ["prometheus-pod-reader"]
    writes = {
        role.inputs["metadata"]["namespace"]: {
            verb for rule in role.inputs["rules"] if rule["resources"] != ["leases"] for verb in rule["verbs"]
        }
        - {"get", "list", "watch"}
        for role in program.of_kind("Role")
    }
    assert writes == {
        "istio-system": set(),
        "prod": {"create", "update", "patch", "delete"},
        "team-2": {"create", "update", "patch", "delete"},
    }
    bound = {b.inputs["metadata"]["namespace"]: b.inputs["roleRef"]["kind"] for b in program.of_kind("RoleBinding")}
    assert bound == dict.fromkeys(writes, "Role")


@pytest.mark.parametrize("role", ["canary-controller", "prometheus-pod-reader"])
def test_no_role_has_a_wildcard_or_may_raise_its_own_rights(program: Recording, role: str) -> None:
    for (group, resource), verbs in rules(program, role).items():
        assert "*" not in {group, resource, *verbs}
        assert not verbs & {"deletecollection", "escalate", "bind", "impersonate"}


def test_the_controller_may_delete_what_it_creates_and_nothing_else(program: Recording) -> None:
    granted = rules(program, "canary-controller")
    not_kept = {  # an event expires, and a review is an answer
        ("", "events"),
        ("authentication.k8s.io", "tokenreviews"),
        ("authorization.k8s.io", "subjectaccessreviews"),
    }
    deleted = {place for place, verbs in granted.items() if "delete" in verbs}
    assert deleted == {place for place, verbs in granted.items() if "create" in verbs} - not_kept


def test_the_controller_writes_no_canary_but_its_status_and_its_finalizers(program: Recording) -> None:
    granted = rules(program, "canary-controller")
    assert granted[CANARY.group, CANARY.plural] == {"get", "list", "watch", "patch"}
    assert granted[CANARY.group, f"{CANARY.plural}/status"] == {"update"}


def test_prometheus_may_read_pods_and_what_kubelets_measure_and_nothing_else(program: Recording) -> None:
    read = {"get", "list", "watch"}
    assert rules(program, "prometheus-pod-reader") == {
        ("", "pods"): read,
        ("", "nodes"): read,
        ("", "nodes/metrics"): {"get"},
    }
    without = run_program({"observability": {"prometheus": {"containerMetrics": False}}})
    assert rules(without, "prometheus-pod-reader") == {("", "pods"): read}


def pod(program: Recording, deployment: str) -> Mapping[str, Any]:
    spec: Mapping[str, Any] = program.get("Deployment", deployment).inputs["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("deployment", OUR_WORKLOADS)
def test_a_pod_of_ours_has_no_root_no_capability_and_a_read_only_root(program: Recording, deployment: str) -> None:
    spec = pod(program, deployment)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"]
        assert container["resources"]["limits"]


def test_the_target_leaves_its_replicas_to_the_controller(program: Recording) -> None:
    for app in ("frontend", "backend"):
        assert "replicas" not in program.get("Deployment", app).inputs["spec"]


@pytest.mark.parametrize("namespaces", [[], ["prod"], ["prod", "istio-system"]])
def test_the_controller_may_write_its_own_lease_and_no_other(namespaces: list[str]) -> None:
    program = run_program({"controller": {"image": "registry.example/c:1", "namespaces": namespaces}})
    granted = [
        (role.inputs["metadata"]["namespace"], rule["verbs"], rule.get("resourceNames"))
        for role in program.of_kind("Role")
        for rule in role.inputs["rules"]
        if rule["resources"] == ["leases"]
    ]
    assert granted == [
        ("istio-system", ["create"], None),
        ("istio-system", ["get", "update"], ["flagger-leader-election"]),
    ]


@pytest.mark.parametrize("replicas", [0, 1, 2])
def test_however_many_controllers_run_an_update_lets_one_work_at_any_time(replicas: int) -> None:
    program = run_program({"controller": {"image": "registry.example/c:1", "replicas": replicas}})
    spec = program.get("Deployment", "canary-controller").inputs["spec"]
    assert spec["replicas"] == replicas
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert "--leader-election=true" in spec["template"]["spec"]["containers"][0]["args"]
    assert ("canary-controller" in {each.name for each in program.of_kind("PodDisruptionBudget")}) == (replicas > 1)


def test_no_component_makes_a_resource_inside_apply() -> None:
    """A resource made there is missing from the preview. Functions of `stack` make none."""
    of_stack = {name for name, value in vars(stack.objects).items() if inspect.isfunction(value)}
    for file in [ROOT / "__main__.py", *(ROOT / "components").rglob("*.py")]:
        tree = ast.parse(file.read_text())
        own = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        for call in ast.walk(tree):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "apply"):
                continue
            (applied,) = call.args
            named = applied.id if isinstance(applied, ast.Name) else ""
            assert named in of_stack or made_in(own.get(named, applied), tree) == [], f"{file.name}:{call.lineno}"


def made_in(function: ast.AST, tree: ast.Module) -> list[str]:
    """What a function calls of what makes resources: components, and the classes of Pulumi and its providers."""
    makers = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(("pulumi_", "components"))
        for alias in node.names
    }
    called = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
    roots = [ast.unparse(each).partition(".")[0] for each in called]
    of_pulumi = [ast.unparse(each) for each in called if ast.unparse(each).startswith("pulumi.")]
    known = {"pulumi.log.warn", "pulumi.runtime.is_dry_run"}
    return [each for each in roots if each in makers] + [each for each in of_pulumi if each not in known]


def test_a_resource_made_inside_apply_is_found() -> None:
    tree = ast.parse("from pulumi_kubernetes import core\nx.apply(lambda name: core.v1.Service(name))")
    (call,) = (node for node in ast.walk(tree) if isinstance(node, ast.Lambda))
    assert made_in(call, tree) == ["core"]


def test_every_component_file_has_at_most_one_component_and_200_lines() -> None:
    for file in (ROOT / "components").glob("*.py"):
        text = file.read_text()
        assert text.count("(pulumi.ComponentResource):") <= 1, file.name
        assert len(text.splitlines()) <= 200, file.name


def test_components_have_the_type_tokens_that_stacks_remember(program: Recording) -> None:
    """A token that changes without an alias makes Pulumi replace everything below it."""
    tokens = {r.type for r in program.resources if r.type.startswith("canary:")}
    assert tokens == {
        f"canary:mesh:{name}"
        for name in (
            "AppNamespace",
            "CanaryApp",
            "CanaryController",
            "CanaryCrds",
            "Canaried",
            "Istio",
            "LoadTester",
            "NetworkPolicies",
            "Observability",
            "PublicGateway",
            "RolloutGate",
        )
    }


def test_a_controller_named_flagger_is_named_so_throughout() -> None:
    program = run_program({"controller": {"image": "registry.example/c:1", "name": "flagger"}})
    deployment = program.get("Deployment", "flagger").inputs
    assert deployment["metadata"]["namespace"] == "istio-system"
    assert [c["name"] for c in deployment["spec"]["template"]["spec"]["containers"]] == ["flagger"]
    assert "regex: flagger" in program.get("ConfigMap", "prometheus").inputs["data"]["prometheus.yml"]
