"""The package for other languages: its schema, and that a program in YAML makes what a stack makes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from pulumi.errors import InputPropertiesError

from package.arguments import whole
from package.components import NAME
from package.provider import build_provider
from tests.components.recording import IMAGE, ROOT, Recording, run, run_program
from tests.components.test_parts import objects
from tests.golden_files import assert_golden_text

PLATFORM: dict[str, Any] = {"controller": {"image": IMAGE}, "gateway": {"hosts": ["*.example.com"]}}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(build_provider().schema or "")
    return found


def construct(component: str, name: str, given: dict[str, Any]) -> None:
    """As Pulumi does for a program in any language."""
    build_provider().construct(name, f"{NAME}:index:{component}", given)


def in_yaml(file: Mapping[str, Any]) -> Recording:
    """A program in YAML with resources of the package alone, which wait for each other in their order."""

    def program() -> None:
        text = json.dumps(file["resources"]).replace("${image}", IMAGE)
        for name, each in json.loads(text).items():
            construct(each["type"].partition(":")[2], name, each["properties"])

    return run(program)


def test_every_key_of_a_component_has_its_type(schema: dict[str, Any]) -> None:
    kinds = {f"resource {name}": each for name, each in schema["resources"].items()}
    kinds |= {f"type {name}": each for name, each in schema["types"].items()}
    lines: list[str] = []
    for kind, each in kinds.items():
        lines.append(kind.replace(f"{NAME}:index:", ""))
        required = {*each.get("requiredInputs", each.get("required", ()))}
        for key, found in each.get("inputProperties", each["properties"]).items():
            lines.append(f"  {key}: {_kind(found)}{' (required)' if key in required else ''}")
        if each.get("isComponent"):
            lines += [f"  -> {key}: {_kind(found)}" for key, found in each["properties"].items()]
    assert_golden_text("program/package.txt", "\n".join(lines) + "\n")


def _kind(found: Mapping[str, Any]) -> str:
    if found.get("type") == "array":
        return f"[{_kind(found['items'])}]"
    if found.get("type") == "object":
        return f"{{{_kind(found['additionalProperties'])}}}"
    return str(found.get("type") or found["$ref"].rpartition(":")[2].rpartition("/")[2])


def test_an_sdk_for_go_has_the_types_of_what_is_in_maps(schema: dict[str, Any]) -> None:
    """Without this a map of `AlertConfigArgs` is written and the type is not: the SDK does not compile."""
    assert schema["language"]["go"]["generateExtraInputTypes"]


def test_what_an_argument_is_for_is_said_in_every_language(schema: dict[str, Any]) -> None:
    app = schema["resources"][f"{NAME}:index:CanaryApp"]["inputProperties"]
    assert {key: "description" in each for key, each in app.items()} == dict.fromkeys(app, True) | {"hpa": False}
    istio = schema["types"][f"{NAME}:index:IstioConfig"]["properties"]
    assert istio["version"]["description"] == "Version of the three Istio charts."


def test_a_program_in_yaml_makes_what_a_stack_makes() -> None:
    file = yaml.safe_load((ROOT / "examples/yaml/Pulumi.yaml").read_text())
    written = {name: each["properties"] for name, each in file["resources"].items()}
    shop = {key: value for key, value in written["shop"].items() if key != "namespace"}
    search = {key: value for key, value in written["search"].items() if key in ("service", "analysis")}
    stack = run_program(
        PLATFORM
        | {
            "loadTester": {"enabled": False},
            "namespace": {"name": "team-1", "mtls": "STRICT"},
            "apps": {"frontend": None, "backend": None, "shop": shop},
            "targets": {"search": search},
            "rollouts": {"follow": False},
        }
    )
    program = in_yaml(file)
    assert objects(program) == objects(stack)
    for kind, name in (("Canary", "shop"), ("Deployment", "shop"), ("Deployment", "canary-controller")):
        assert program.get(kind, name).inputs == stack.get(kind, name).inputs


def test_a_gate_follows_the_rollout_of_what_it_is_told() -> None:
    def program() -> None:
        construct("RolloutGate", "shop", {"canary": "shop", "namespace": "team-1", "triggers": [{"image": "shop:2"}]})

    gate = run(program).get("Command", "shop-rollout").inputs
    assert gate["create"].partition(" ")[2] == "wait shop --namespace=team-1 --output=json"
    assert gate["triggers"] == [[{"image": "shop:2"}]]


def test_two_platforms_of_a_program_do_not_share_a_name() -> None:
    def program() -> None:
        for cluster in ("east", "west"):
            construct("Platform", cluster, PLATFORM)

    made = run(program).resources
    assert len({each.urn for each in made}) == len(made)


@pytest.mark.parametrize(
    ("component", "given", "path", "said"),
    [
        ("Platform", {"controller": {}}, "controller.image", "Required value"),
        ("Platform", PLATFORM | {"istio": {"version": "new"}}, "istio.version", 'Invalid value: "new": must be'),
        (
            "CanaryApp",
            {"namespace": "shop", "image": "a", "tag": "1", "service": {"prot": 80}},
            "service.prot",
            "unknown field",
        ),
    ],
)
def test_what_is_wrong_is_said_of_the_argument_as_a_stack_says_it(
    component: str, given: dict[str, Any], path: str, said: str
) -> None:
    def program() -> None:
        with pytest.raises(InputPropertiesError) as raised:
            construct(component, "cart", given)
        found = {each["property_path"]: each["reason"] for each in raised.value.errors or []}
        assert found[path].startswith(said)

    run(program)


def test_whole_numbers_are_whole_however_deep_they_are() -> None:
    assert repr(whole({"port": 80.0, "list": [1.0, 0.5, "1.0", True]})) == "{'port': 80, 'list': [1, 0.5, '1.0', True]}"
