"""`canary block` writes one line into a project file, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter

from controller.cli.block import add_block
from controller.cli.errors import CommandError
from stack.promotion import Blocked
from tests.unit.cli.test_commands import canary

PROJECT = """\
name: shop  # ours
runtime:
  name: python
config:
  # A comment that stays.
  kubernetes:enableSecretMutable: "true"
"""
FIRST = """\
  shop:blocked:
    value:
      backend:
        "6.1.2": "leaks memory"
"""

ADDED = {
    "the first one of a project": (PROJECT, PROJECT + FIRST),
    "the first one of a project without configuration": ("name: shop\n", "name: shop\nconfig:\n" + FIRST),
    "another version of an app": (
        PROJECT + FIRST.replace('"6.1.2": "leaks memory"', "'6.1': is slow"),
        PROJECT + FIRST.replace('"6.1.2"', "'6.1': is slow\n        \"6.1.2\""),
    ),
    "the version of another app, in one line": (
        PROJECT + "  shop:blocked: {value: {cart: {1.0.0: is slow}}}\n",
        PROJECT + '  shop:blocked: {value: {cart: {1.0.0: is slow}, backend: {"6.1.2": "leaks memory"}}}\n',
    ),
}


@pytest.mark.parametrize(("before", "after"), ADDED.values(), ids=ADDED)
def test_a_version_is_added_and_the_file_stays_as_it_is(before: str, after: str) -> None:
    written = add_block(before, "Pulumi.yaml", "backend", "6.1.2", "leaks memory")
    assert yaml.safe_load(written) == yaml.safe_load(after)
    assert written == after


def test_a_version_that_looks_like_a_number_stays_a_text() -> None:
    written = add_block("name: shop\n", "Pulumi.yaml", "backend", "6.10", "yes")
    blocked = yaml.safe_load(written)["config"]["shop:blocked"]["value"]
    assert blocked == {"backend": {"6.10": "yes"}}
    assert TypeAdapter(Blocked).validate_python(blocked) == blocked


REFUSED = {
    "it is blocked already": (PROJECT + FIRST, "Pulumi.yaml: backend 6.1.2 is blocked already: leaks memory"),
    "a stack file": ("config: {}\n", "Pulumi.yaml: must be the file of a Pulumi project, with its `name`"),
    "an empty file": ("", "Pulumi.yaml: must be the file of a Pulumi project, with its `name`"),
    "a list where a mapping belongs": (
        "name: shop\nconfig:\n  shop:blocked: [backend]\n",
        "Pulumi.yaml: `shop:blocked` must be a mapping",
    ),
    "no YAML": ("name: shop\n  config: {\n", "Pulumi.yaml:2: is not valid YAML: mapping values are not allowed here"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_written_is_refused(text: str, message: str) -> None:
    with pytest.raises(CommandError) as refused:
        add_block(text, "Pulumi.yaml", "backend", "6.1.2", "leaks memory")
    assert str(refused.value) == message


def test_the_command_changes_the_file_and_says_what_is_next(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.yaml"
    file.write_text(PROJECT)
    code, said = canary("block", "backend", "6.1.2", "--reason", "leaks memory", "-f", str(file))
    assert (code, file.read_text()) == (0, PROJECT + FIRST)
    assert "backend 6.1.2 is blocked. Commit it" in said
    assert "`canary abort backend`" in said


def test_without_a_project_file_nothing_is_written(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.yaml"
    code, said = canary("block", "backend", "6.1.2", "--reason", "leaks memory", "-f", str(file))
    assert (code, file.exists()) == (1, False)
    assert said.startswith(f"canary block: {file}: No such file or directory; run it in the folder of the project")
