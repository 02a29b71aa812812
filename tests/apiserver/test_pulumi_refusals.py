"""A stack as people meet it in Pulumi: refused with each error once and nothing beside them, or given its secrets."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from preview.pulumi import preview_stack
from sandbox.paths import REPO
from stack.merge import merge
from tests.documented import scripts

HEAD = "the stack's configuration has 3 errors (docs/configuration.md lists the keys):"
WRONG = {
    "canary-on-istio:rolouts": {"follow": True},
    "canary-on-istio:apps": {"backend": {"tag": 6.1}},
    "canary-on-istio-dev:alerts": {},
}
SAID = [HEAD, "alerts: set as canary-on-istio-dev:alerts", "apps.backend.tag: Invalid value: 6.1", "rolouts: unknown"]
UNPROVEN = {"canary-on-istio:promotion": {"from": "staging", "soak": "1h"}}
REFUSED = [
    "2 apps may not have the version of this stack",
    "frontend: 6.1.0 has no proof",
    "backend: 6.1.0 has no proof",
]
NOISE = ("unhandled", "Traceback", "exit code", "KeyboardInterrupt")


@pytest.fixture
def project(pulumi: Path) -> Path:
    """The program of this repository, with the stacks `dev` and `staging`."""
    settings = yaml.safe_load((REPO / "Pulumi.yaml").read_text()) | {"main": str(REPO)}
    (pulumi / "Pulumi.yaml").write_text(yaml.safe_dump(settings))
    for stack in ("staging", "dev"):
        subprocess.run(["pulumi", "stack", "init", stack], check=True, capture_output=True)
    return pulumi


def configure(project: Path, wrong: Mapping[str, Any]) -> None:
    stack = yaml.safe_load((REPO / "Pulumi.dev.yaml").read_text())
    (project / "Pulumi.dev.yaml").write_text(yaml.safe_dump(merge(stack, {"config": wrong})))


@pytest.mark.parametrize(
    ("command", "wrong", "said"),
    [
        pytest.param(["preview"], WRONG, SAID, id="a configuration, in a preview"),
        pytest.param(["up", "--yes", "--skip-preview"], WRONG, SAID, id="a configuration, in an update"),
        pytest.param(["preview"], UNPROVEN, REFUSED, id="a version without proof"),
    ],
)
def test_a_refusal_is_all_that_pulumi_says(
    project: Path, command: Sequence[str], wrong: Mapping[str, Any], said: Sequence[str]
) -> None:
    configure(project, wrong)
    run = ["pulumi", *command, "--stack=dev", "--non-interactive", "--color=never"]
    refused = subprocess.run(run, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    told = refused.stdout + refused.stderr
    _, _, diagnostics = told.partition("Diagnostics:")
    for line in said:
        assert diagnostics.count(line) == 1, told
    assert [each for each in NOISE if each in told] == [], told
    assert diagnostics.count("error:") == 1, told


def test_a_refusal_is_all_that_the_comment_says(project: Path) -> None:
    configure(project, WRONG)
    error = preview_stack("dev").error
    assert [error.count(line) for line in SAID] == [1, 1, 1, 1], error
    assert [each for each in NOISE if each in error] == [], error
    assert len(error.splitlines()) == len(SAID), error


def test_keys_and_secrets_are_set_as_the_documents_say(project: Path) -> None:
    configure(project, {})
    (project / "shop.key").write_text("the key")
    commands = [command for script in scripts() for command in script.commands]
    for command in commands:
        if command.startswith("pulumi config set "):
            typed = command.replace("pulumi config set", "pulumi config set --stack=dev")
            subprocess.run(["bash", "-c", typed], input="a word that is asked for", text=True, check=True)
    config = yaml.safe_load((project / "Pulumi.dev.yaml").read_text())["config"]
    assert config["canary-on-istio:istio"]["repositorySecret"] == "charts"
    secrets = config["canary-on-istio:secrets"]
    assert {name: [*map(list, secret.values())] for name, secret in secrets.items()} == {
        "charts": [["secure"], ["secure"]],
        "chat": [["secure"]],
        "shop-tls": [["secure"]],
    }
