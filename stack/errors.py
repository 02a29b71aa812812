"""What is wrong with a stack's configuration, in words for the person who wrote it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pulumi
from pydantic import BaseModel, ValidationError

from controller.api import Problem
from controller.api.problems import Step, find


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
