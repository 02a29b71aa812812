"""The documentation: its examples are valid, and its lists are complete."""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from typer import _click as click
from typer.testing import CliRunner

from controller.api import parse_alert_provider, parse_canary, parse_metric_template
from controller.api.compare import SENSITIVITIES, Compare
from controller.api.support import UNSUPPORTED, Unsupported
from controller.cli import app
from controller.cli.flagger import REFUSED, WITHOUT_EFFECT
from controller.core.evidence.planning import requests_to_fail, requests_to_pass
from controller.core.evidence.question import Question
from sandbox.paths import REPO
from stack.load import parse
from stack.merge import merge
from tests.builders import canary_manifest
from tests.documented import NOT_RUN, PAGES, scripts

STACK: dict[str, Any] = {
    "controller": {"image": "registry.example/canary-controller:1.0"},
    "apps": {
        "shop": {"image": "registry.example/shop", "tag": "1.4.2", "service": {"port": 80}},
        "backend": {"tag": "6.1.3"},
    },
}
"""Of the stacks in the documentation, what each block leaves out."""
PROGRAMS = ("actionlint", "canary", "cosign", "git", "helm", "kind", "kubectl", "pulumi", "pytest", "python", "uv")
INCOMPLETE = (click.exceptions.MissingParameter, click.exceptions.BadOptionUsage)
WRITTEN = "".join((REPO / page).read_text() for page in PAGES)


def read(page: str) -> str:
    return (REPO / page).read_text()


def blocks(*languages: str) -> Iterator[Any]:
    """The fenced blocks of the pages in one of the languages, as parameters of a test."""
    for page in PAGES:
        found = re.findall(r"^( *)```(\w+)\n(.*?)^\1```$", read(page), re.MULTILINE | re.DOTALL)
        for number, (indent, language, text) in enumerate(found, start=1):
            if language in languages:
                yield pytest.param(re.sub(f"^{indent}", "", text, flags=re.MULTILINE), id=f"{page} block {number}")


def commands() -> Iterator[Any]:
    """The command lines of the shell blocks and of the inline code, as parameters of a test."""
    for script in scripts():
        yield from (pytest.param(line, id=f"{script.page}: {line}") for line in script.commands)
    for page in PAGES:
        inline = re.findall(r"`((?:canary|make) [^`\n]+)`", read(page))
        yield from (pytest.param(line, id=f"{page}: {line}") for line in inline)


def test_every_block_is_of_a_language_that_is_checked():
    found = {language for page in PAGES for language in re.findall(r"^ *```(\w+)$", read(page), re.MULTILINE)}
    assert found == {"sh", "console", "yaml", "python", "mermaid", "json", "ts"}
    assert all(read(page).count("```") % 2 == 0 for page in PAGES)


class StrictLoader(yaml.SafeLoader):
    """As Pulumi and the API server read YAML: a repeated key is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:
        keys = [key.value for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"repeated key in {keys}"
        return super().construct_mapping(node, deep)


PARSERS = {"Canary": parse_canary, "MetricTemplate": parse_metric_template, "AlertProvider": parse_alert_provider}


def stack_of(found: dict[str, Any]) -> dict[str, Any]:
    """The sections of a stack file, or of Pulumi.yaml, where each value is under `value`."""
    sections = {key.removeprefix("canary-on-istio:"): value for key, value in found.get("config", found).items()}
    plain = {key: value["value"] if [*value] == ["value"] else value for key, value in sections.items()}
    named = plain.get("apps", STACK["apps"])
    left_out = STACK | {"apps": {name: app for name, app in STACK["apps"].items() if name in named}}
    if not plain.get("controller", {}).get("enabled", True):
        del left_out["controller"]
    return merge(left_out, plain)


@pytest.mark.parametrize("text", list(blocks("yaml")))
def test_a_yaml_block_is_valid_where_the_text_says_to_put_it(text):
    """An object of the cluster; a stack's configuration, or the end of a stack file that the page names; or a part of
    a Canary's spec."""
    if text.startswith("  "):
        (page,) = (page for page in PAGES if text in read(page))
        file = re.findall(r"Pulumi\.\w+\.yaml", read(page).partition(text)[0])
        text = (read(file[-1]) if file else "config:\n") + text
    found = yaml.load(text, StrictLoader)
    if "apiVersion" in found:
        PARSERS[found["kind"]](found)
    elif "metadata" in found:
        assert found["metadata"].keys() <= {"annotations", "labels"}
    elif "config" in found or any(key.startswith("canary-on-istio:") for key in found):
        parse(stack_of(found), "canary-on-istio")
    else:
        parse_canary(merge(canary_manifest(), found if "spec" in found else {"spec": found}))


@pytest.mark.parametrize("text", list(blocks("python")))
def test_a_python_block_compiles(text):
    compile(text, "block", "exec")


@pytest.mark.parametrize("line", list(commands()))
def test_a_command_line_is_accepted(line):
    """A command in a sentence may leave out what it is about; each option that it has must be one."""
    for part in re.sub(r"^\w+=\$\((.*)\)$", r"\1", line).split("|"):
        words = shlex.split(part)
        while "=" in words[0]:  # the environment of a command
            words = words[1:]
        program, *arguments = Path(words[0]).name, *words[1:]
        if program == "make":
            targets = [each for each in arguments if "=" not in each]
            assert all(re.search(rf"^{target}:", read("Makefile"), re.MULTILINE) for target in targets)
        elif program == "canary" and arguments[0] != "COMMAND":
            group: Any = typer.main.get_command(app)
            command = group.get_command(None, arguments[0])
            assert command
            with suppress(*INCOMPLETE) if f"`{line}`" in WRITTEN else nullcontext():
                command.make_context(arguments[0], arguments[1:])
        else:
            assert program in PROGRAMS


def test_what_is_not_typed_by_a_test_stands_in_the_documents():
    written = [command for script in scripts() for command in script.commands]
    assert [start for start in NOT_RUN if not any(command.startswith(start) for command in written)] == []


def test_the_plan_in_the_documentation_is_the_output_of_its_command():
    analysis = {
        "interval": "30s",
        "threshold": 5,
        "stepWeight": 10,
        "maxWeight": 50,
        "metrics": [{"name": "errors", "compare": {"errors": {}}}],
    }
    (example,) = (text for block in blocks("console") for text in block.values if "canary plan" in text)
    command, _, output = example.removeprefix("$ canary ").partition("\n")
    arguments = [each if each != "canary.yaml" else "-" for each in shlex.split(command)]
    result = CliRunner(env={"COLUMNS": "120"}).invoke(
        app, arguments, input=yaml.safe_dump(canary_manifest(analysis=analysis))
    )
    assert result.exit_code == 0, result.output
    assert [line.rstrip() for line in result.output.splitlines()] == output.splitlines()


def unsupported_row(kind: str, entry: Unsupported) -> str:
    values = [f"`{value}`" for value in (*entry.only, *entry.unless)]
    which = f" {'other than ' if entry.unless else ''}{', '.join(values)}" if values else ""
    return f"| {kind} | `{entry.path}`{which} | {entry.reason} |\n"


def generated_tables() -> Iterator[str]:
    """The rows of the tables of docs/from-flagger.md, in its order."""
    yield "".join(unsupported_row(kind, entry) for kind, entries in UNSUPPORTED.items() for entry in entries)
    for options in (WITHOUT_EFFECT, REFUSED):
        yield "".join(f"| `-{name}` | {reason} |\n" for name, reason in options.items())


def test_the_lists_of_what_is_not_supported_are_complete():
    page = REPO / "docs/from-flagger.md"
    tables = generated_tables()
    generated = re.sub(r"(?<=---\|\n)(\|.*\n)*", lambda _: next(tables), page.read_text())
    if os.environ.get("UPDATE_GOLDEN") == "1":
        page.write_text(generated)
    assert page.read_text() == generated, "docs/from-flagger.md is outdated; run `make generate`"


def planned(question: Question, rate: float) -> list[str]:
    """A row of docs/statistics.md: canary requests until FAIL at 2x, 4x and 10x, and until PASS, at a share of 10%."""
    fails = [requests_to_fail(question, primary_rate=rate, ratio=ratio, canary_share=0.1) for ratio in (2, 4, 10)]
    needs = [*fails, requests_to_pass(question, primary_rate=rate, canary_share=0.1)]
    return [f"{each:,.0f}" if math.isfinite(each) else "never: it is harmless" for each in needs]


@pytest.mark.parametrize("sensitivity", SENSITIVITIES)
def test_the_requests_by_sensitivity_are_those_that_the_product_plans_with(sensitivity):
    compare = Compare.model_validate({"errors": {}, "sensitivity": sensitivity})
    row = f"| `{sensitivity}` | {' | '.join(planned(Question.of(compare), 0.005))} |"
    assert row in read("docs/statistics.md").splitlines()


@pytest.mark.parametrize("rate", [0.001, 0.005, 0.02])
def test_the_requests_by_error_rate_are_those_that_the_product_plans_with(rate):
    assert f"| {rate:.1%} | {' | '.join(planned(Question(), rate))} |".replace(".0%", "%") in read("docs/statistics.md")
