"""The programs in examples/: what they make, and that it is what the program of this repository makes."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from components._shared.cli import canary_command
from tests.components.recording import IMAGE, PROJECT, ROOT, Recording, run, run_program
from tests.components.test_parts import objects


def example(name: str) -> Recording:
    def program() -> None:
        runpy.run_path(str(ROOT / "examples" / name / "__main__.py"))

    return run(program, {f"{PROJECT}:image": IMAGE})


def test_the_platform_is_a_stack_without_namespaces_and_apps() -> None:
    platform = {"apps": {"frontend": None, "backend": None}, "namespace": {"create": False}}
    assert objects(example("platform")) == objects(run_program(platform))


def test_the_apps_are_a_namespace_and_what_is_in_it() -> None:
    program = example("apps")
    assert objects(program) == {
        "Namespace team-1",
        "PeerAuthentication team-1/default",
        "Deployment team-1/shop",
        "HorizontalPodAutoscaler team-1/shop",
        "Canary team-1/shop",
        "Canary team-1/search",
    }
    namespace = program.get("Namespace", "team-1").urn
    others = [each for each in program.resources if each.kind in {"Deployment", "HorizontalPodAutoscaler", "Canary"}]
    assert [each.name for each in others if namespace not in program.all_before(each)] == []


def test_a_rollout_can_be_followed_from_a_program_in_another_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "examples/apps")
    assert Path(canary_command()).is_file()
