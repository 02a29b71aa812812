"""What is wrong with a stack's configuration, in words for the person who wrote it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pulumi
from pydantic import BaseModel, ValidationError

from controller.api import Problem
from controller.api.problems import Step, find

_SAID = 32
"""The status by which a program tells Pulumi's language host that its errors are logged; it adds one to any other."""


@contextmanager
def ends_when_refused() -> Iterator[None]:
    """What is refused inside is logged, and ends the program."""
    try:
        yield
    except pulumi.RunError as refusal:
        pulumi.log.error(str(refusal))
        raise SystemExit(_SAID) from refusal


class ConfigError(pulumi.RunError):
    """The stack's configuration is not valid. Pulumi prints the message alone, without a stack trace."""

    def __init__(self, project: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = "1 error" if len(problems) == 1 else f"{len(problems)} errors"
        lines = (f"  {project}:{problem}" for problem in problems)
        super().__init__(
            "\n".join([f"the stack's configuration has {count} (docs/configuration.md lists the keys):", *lines])
        )


def problems_of(error: ValidationError, model: type[BaseModel], given: Mapping[str, Any]) -> Iterator[Problem]:
    """Every error of a failed validation of `given` against `model`, with paths as in `pulumi config set --path`."""
    for finding in find(error, model):
        hint = finding.missing.description if finding.missing else None
        yield Problem(_path(finding.steps, given), f"{finding.message}: {hint}" if hint else finding.message)


def section_of(problem: Problem) -> str:
    """The first key of its path."""
    return problem.path.partition(".")[0].partition("[")[0]


def without(given: Mapping[str, Any], error: ValidationError, model: type[BaseModel]) -> dict[str, Any]:
    """`given` without each section in which something is wrong; of a section of entries by name, without the entry."""
    right = {key: {**value} if isinstance(value, Mapping) else value for key, value in given.items()}
    for finding in find(error, model):
        section, *below = (str(step.name) for step in finding.steps[:2])
        if below and finding.steps[1].kind == "key" and isinstance(right.get(section), Mapping):
            right[section].pop(below[0], None)
        else:
            right.pop(section, None)
    return right


def _path(steps: Sequence[Step], given: Any) -> str:
    """The keys as the user wrote them: an entry of a list by its name, where it has one."""
    path = ""
    for kind, name in steps:
        given = _entry(given, name)
        label = given.get("name") if kind == "index" and isinstance(given, Mapping) else None
        path += f"[{name}]" if kind == "index" and not isinstance(label, str) else f".{label or name}"
    return path.removeprefix(".")


def _entry(given: Any, name: str | int) -> Any:
    if isinstance(given, Mapping):
        return given.get(name)
    return given[name] if isinstance(given, list | tuple) and isinstance(name, int) and name < len(given) else None
