"""What is wrong with a stack's configuration, in words for the person who wrote it."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pulumi
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

UNSET = object()


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong: where (the keys from the section down), the value given if one was, and what is allowed."""

    path: tuple[str, ...]
    value: Any
    allowed: str

    def render(self, project: str) -> str:
        given = "" if self.value is UNSET else f" = {_shorten(self.value)}"
        return f"{project}:{'.'.join(self.path)}{given}: {self.allowed}"


class ConfigError(pulumi.RunError):
    """The stack's configuration is not valid. Pulumi prints the message alone, without a stack trace."""

    def __init__(self, project: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = "1 error" if len(problems) == 1 else f"{len(problems)} errors"
        lines = (f"  {problem.render(project)}" for problem in problems)
        super().__init__(
            "\n".join([f"the stack's configuration has {count} (docs/configuration.md lists the keys):", *lines])
        )


def explain(error: ValidationError, model: type[BaseModel], given: Mapping[str, Any]) -> list[Problem]:
    """Every error of a failed validation of `given` against `model`."""
    return [
        Problem(
            path=_keys(e["loc"], given),
            value=UNSET if e["type"] == "missing" else e["input"],
            allowed=_allowed(e["type"], e["loc"], e["msg"], model),
        )
        for e in error.errors(include_url=False)
    ]


def _allowed(kind: str, loc: Sequence[str | int], message: str, model: type[BaseModel]) -> str:
    if kind == "missing":
        return f"is required. {_fields(model, loc[:-1])[str(loc[-1])].description or ''}".rstrip()
    if kind == "extra_forbidden":
        known = sorted(_fields(model, loc[:-1]))
        close = difflib.get_close_matches(str(loc[-1]), known, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        return f"no such key.{hint} Known here: {', '.join(known)}"
    if kind in {"model_type", "dict_type", "model_attributes_type"}:
        return "must be a mapping of keys to values"
    return message.removeprefix("Value error, ").replace("Input should be", "must be")


def _keys(loc: Iterable[str | int], given: Any) -> tuple[str, ...]:
    """The path as the user wrote it: an entry of a list by its name, where it has one."""
    path: list[str] = []
    for part in loc:
        here = given[part] if _has(given, part) else None
        named = isinstance(part, int) and isinstance(here, Mapping) and isinstance(here.get("name"), str)
        path.append(here["name"] if named and here else str(part))
        given = here
    return tuple(path)


def _has(given: Any, part: str | int) -> bool:
    if isinstance(given, Mapping):
        return part in given
    return isinstance(given, Sequence) and isinstance(part, int) and part < len(given)


def _fields(model: type[BaseModel], loc: Sequence[str | int]) -> dict[str, FieldInfo]:
    """The fields of the model at `loc`, by key; mappings and lists on the way are stepped into."""
    here: list[Any] = [model]
    for part in loc:
        here = [below for kind in here for below in _below(kind, part)]
    return {info.alias or name: info for kind in here if _is_model(kind) for name, info in kind.model_fields.items()}


def _below(kind: Any, part: str | int) -> list[Any]:
    """What may stand at key or index `part` of a `kind`: models, or the containers of models."""
    if _is_model(kind):
        found = [info.annotation for name, info in kind.model_fields.items() if part in {info.alias, name}]
    else:
        found = list(get_args(kind)[-1:]) if get_origin(kind) in {dict, Mapping} else list(get_args(kind)[:1])
    return [alternative for annotation in found for alternative in _alternatives(annotation)]


def _alternatives(annotation: Any) -> list[Any]:
    """The members of a union, without their metadata."""
    if get_origin(annotation) in {Union, UnionType}:
        return [below for member in get_args(annotation) for below in _alternatives(member)]
    return _alternatives(get_args(annotation)[0]) if get_origin(annotation) is Annotated else [annotation]


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _shorten(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."
