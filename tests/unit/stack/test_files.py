from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from stack.files import StackFileError, read_stack_file

REFUSED: Mapping[str, tuple[str, str]] = {
    # case -> (the file, the error after the file's name)
    "text that is not YAML": (
        "config:\n  a: [1\n",
        ":3: is not valid YAML: expected ',' or ']', but got '<stream end>'",
    ),
    "a tab for indentation": (
        "config:\n\ta: 1\n",
        ":2: is not valid YAML: found character '\\t' that cannot start any token",
    ),
    "a value with a colon": ("config:\n  a: b: c\n", ":2: is not valid YAML: mapping values are not allowed here"),
    "two config keys": (
        "config:\n  a: 1\n\nconfig:\n  b: 2\n",
        ":4: `config` is already set in line 1: write both under one key",
    ),
    "two keys of one name further down": (
        "config:\n  a:\n    b: 1\n    c: 2\n    b: 3\n",
        ":5: `b` is already set in line 3: write both under one key",
    ),
    "one key of the project with its prefix, and once more without": (
        "config:\n  canary-on-istio:apps: {}\n  apps: {}\n",
        ":3: `apps` is already set in line 2: write both under one key",
    ),
    "a key that is a number": ("1: 2\n", ": the key `1` must be a text such as canary-on-istio:apps"),
    "a key of the program that is a date": (
        "config: {2026-01-01: x}\n",
        ": the key `2026-01-01` must be a text such as canary-on-istio:apps",
    ),
    "a text": ("hello\n", ": must be a mapping, with the key `config`"),
    "a list of keys": ("config: [a]\n", ": `config` must be a mapping of keys such as canary-on-istio:apps"),
    "an unknown tag": (
        "config: !secret a\n",
        ":1: is not valid YAML: could not determine a constructor for the tag '!secret'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_with_file_and_line(case: str, tmp_path: Path) -> None:
    text, expected = REFUSED[case]
    path = tmp_path / "Pulumi.dev.yaml"
    path.write_text(text)
    with pytest.raises(StackFileError) as raised:
        read_stack_file(path)
    assert str(raised.value) == f"{path}{expected}"


def test_refuses_a_file_that_is_missing_or_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(StackFileError, match=r"Pulumi.dev.yaml: No such file or directory"):
        read_stack_file(tmp_path / "Pulumi.dev.yaml")
    (tmp_path / "Pulumi.dev.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(StackFileError, match=r"Pulumi.dev.yaml: is not UTF-8 text"):
        read_stack_file(tmp_path / "Pulumi.dev.yaml")


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("", {}),
        ("config:\n", {"config": None}),
        ("encryptionsalt: v1\nconfig:\n  a: {b: 1}\n", {"encryptionsalt": "v1", "config": {"a": {"b": 1}}}),
        ("x: &x {a: 1}\nconfig:\n  b: {<<: *x, a: 2}\n", {"x": {"a": 1}, "config": {"b": {"a": 2}}}),
    ],
)
def test_reads_what_pulumi_reads(text: str, content: object, tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.dev.yaml"
    path.write_text(text)
    assert read_stack_file(path) == content
