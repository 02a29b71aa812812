"""The stacks of this repository under the policy pack: what is mandatory holds, and what is advised is known."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping

import pytest
import yaml

from canary_policy.resources import Resource
from canary_policy.rules import RULES, ChangeRule, ObjectRule
from tests.components.recording import IMAGE, PROJECT, ROOT, Recording, run_program


def stack(name: str) -> Recording:
    """The program with the file of a stack."""
    file = yaml.safe_load((ROOT / f"Pulumi.{name}.yaml").read_text())["config"]
    sections = {key.removeprefix(f"{PROJECT}:"): value for key, value in file.items()}
    return run_program(sections | {"controller": {"image": IMAGE} | sections["controller"]})


def resources_of(program: Recording) -> list[Resource]:
    return [Resource(each.type, each.urn, each.inputs) for each in program.resources]


def violations(program: Recording) -> Mapping[str, set[str]]:
    """The objects that are against a rule, by rule."""
    resources = resources_of(program)
    found: dict[str, set[str]] = defaultdict(set)
    for rule in RULES:
        if isinstance(rule, ObjectRule):
            bad = {each.label for each in resources if [*rule.check(each)]}
        elif isinstance(rule, ChangeRule):
            bad = {each.label for each in resources if each.kind == rule.kind and [*rule.check(each, each)]}
        else:
            bad = {each.label for each, _ in rule.check(resources)}
        if bad:
            found[rule.name] = bad
    return found


@pytest.mark.parametrize("name", ["staging", "prod"])
def test_a_stack_holds_what_is_mandatory_for_it(name: str) -> None:
    levels = json.loads((ROOT / "policy" / f"{name}.json").read_text())
    assert {rule: bad for rule, bad in violations(stack(name)).items() if rule in levels} == {}


def test_the_rules_see_what_is_made_for_the_apps_and_for_the_platform() -> None:
    apps = {"frontend": None, "backend": {"resources": {"limits": {"memory": None}}, "skipAnalysis": True}}
    assert violations(run_program({"apps": apps})) == {
        "alerts-are-sent": {"Canary prod/backend"},
        "no-skipped-analysis": {"Canary prod/backend"},
        "memory-is-limited": {"Deployment prod/backend"},
        "images-by-digest": {
            "Deployment prod/backend",
            "Deployment prod/flagger-loadtester",
            "Deployment istio-system/canary-controller",
            "Deployment istio-system/prometheus",
        },
    }


def test_a_stack_says_why_an_app_loses_a_route_where_the_policy_reads_it() -> None:
    (rule,) = (each for each in RULES if isinstance(each, ChangeRule))

    def canary_of(**app: object) -> Resource:
        program = run_program({"apps": {"frontend": app}})
        (found,) = (each for each in resources_of(program) if each.label == "Canary prod/frontend")
        return found

    service = {"hosts": ["new.example"], "gateways": ["mesh"]}
    lost = {"*": "it has a host of its own", "istio-system/public-gateway": "it is for the mesh alone"}
    before = canary_of()
    assert len([*rule.check(before, canary_of(service=service))]) == len(lost)
    assert [*rule.check(before, canary_of(service=service, lostRoutes=lost))] == []
