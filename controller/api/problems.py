"""What pydantic found wrong with a model, in kube-apiserver's words: preview, admission and controller say the same.

The one reader of pydantic's errors. `problems_of` writes paths as kube-apiserver does; others who have paths of their
own (the stack's configuration) start from `find`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from controller.api.errors import Problem, shown
from controller.api.rules import BROKEN_RULES


class Step(NamedTuple):
    """One step of a path: to a field of an object, a key of a mapping, or an index of a list."""

    kind: Literal["field", "key", "index"]
    name: str | int


@dataclass(frozen=True, slots=True)
class Finding:
    """One error of pydantic's.

    Attributes:
        steps: where, from the model down.
        message: what is wrong and what is allowed, in kube-apiserver's words.
        missing: the field that is required and not there.
    """

    steps: tuple[Step, ...]
    message: str
    missing: FieldInfo | None = None


def problems_of(error: ValidationError, model: type[BaseModel]) -> tuple[Problem, ...]:
    """What is wrong with an object of type ``model``.

    For those who build models in Python, and so meet ``ValidationError`` itself.
    """
    return tuple(Problem(_kube_path(finding.steps), finding.message) for finding in find(error, model))


def find(error: ValidationError, model: type[BaseModel]) -> Iterator[Finding]:
    """Every error of a failed validation against ``model``, a broken rule each."""
    for details in error.errors():
        yield from _findings(details, model)


def _kube_path(steps: Sequence[Step]) -> str:
    parts = (f".{shown(str(step.name))}" if step.kind == "field" else f"[{shown(str(step.name))}]" for step in steps)
    return "".join(parts).removeprefix(".")


def _findings(details: ErrorDetails, model: type[BaseModel]) -> Iterator[Finding]:
    steps, parent = _walk(model, details["loc"])
    context = details.get("ctx", {})
    if details["type"] == BROKEN_RULES:
        for message in context["messages"]:
            yield Finding(steps, f"Invalid value: {_quoted(details['input'])}: {message}")
    elif details["type"] == "missing":
        yield Finding(steps, "Required value", _field(parent, str(details["loc"][-1])))
    elif details["type"] == "extra_forbidden":
        known = [field.alias or name for name, field in parent.model_fields.items()] if parent else []
        yield Finding(steps, unknown_field(str(details["loc"][-1]), known))
    elif in_words := _IN_WORDS.get(details["type"]):
        yield Finding(steps, in_words(details["input"], context))
    else:
        yield Finding(steps, f"Invalid value: {_quoted(details['input'])}: {details['msg']}")


def _of_type(expected: str) -> Callable[[Any, Mapping[str, Any]], str]:
    return lambda value, _: wrong_type(value, expected)


def wrong_type(value: Any, expected: str) -> str:
    """What to say of a value that is not of the type ``expected``, a word of JSON's."""
    return f'Invalid value: {_quoted(value)}: must be of type {expected}: "{_type_name(value)}"'


def _unsupported(value: Any, context: Mapping[str, Any]) -> str:
    supported = str(context["expected"]).replace(" or ", ", ").replace("'", '"')
    return f"Unsupported value: {_quoted(value)}: supported values: {supported}"


def _time(value: Any, _: Mapping[str, Any]) -> str:
    return f"Invalid value: {_quoted(value)}: must be a time with its zone, as in 2026-12-23T00:00+01:00"


_IN_WORDS: Mapping[str, Callable[[Any, Mapping[str, Any]], str]] = {
    "value_error": lambda value, context: f"Invalid value: {_quoted(value)}: {context['error']}",
    "literal_error": _unsupported,
    "enum": _unsupported,
    "int_type": _of_type("integer"),
    "int_from_float": _of_type("integer"),
    "float_type": _of_type("number"),
    "bool_type": _of_type("boolean"),
    "string_type": _of_type("string"),
    "list_type": _of_type("array"),
    "tuple_type": _of_type("array"),
    "mapping_type": _of_type("object"),
    "dict_type": _of_type("object"),
    "model_type": _of_type("object"),
    "model_attributes_type": _of_type("object"),
    **dict.fromkeys(("timezone_aware", "datetime_type", "datetime_parsing", "datetime_from_date_parsing"), _time),
    "int_or_string_type": _of_type("integer or string"),
    "string_too_long": lambda _value, context: f"Too long: may not be more than {context['max_length']} bytes",
    "string_too_short": lambda value, context: (
        f"Invalid value: {_quoted(value)}: should be at least {context['min_length']} chars long"
    ),
    "too_long": lambda _value, context: f"Too many: must have at most {context['max_length']} items",
    "too_short": lambda value, context: (
        f"Invalid value: {_quoted(value)}: should have at least {context['min_length']} items"
    ),
}


def unknown_field(name: str, known: Collection[str]) -> str:
    """What to say of a field that is not among those that are known."""
    by_lower_case = {each.lower(): each for each in known}
    close = difflib.get_close_matches(name.lower(), by_lower_case, n=1)
    hint = f'; did you mean "{by_lower_case[close[0]]}"?' if close else ""
    return f"unknown field{hint} (known: {', '.join(sorted(known))})"


def _quoted(value: Any) -> str:
    """A scalar as JSON, shortened when it is long; of an object or a list only the type."""
    if isinstance(value, str | float | bool | NoneType) or (isinstance(value, int) and value.bit_length() < 64):
        return shown(json.dumps(value, ensure_ascii=False))
    return f'"{_type_name(value)}"'


_TYPE_NAMES: Mapping[type, str] = {
    NoneType: "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    tuple: "array",
    SecretStr: "secret",
}


def _type_name(value: Any) -> str:
    return _TYPE_NAMES.get(type(value), "object")


def _walk(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[tuple[Step, ...], type[BaseModel] | None]:
    """The steps to ``location``, and the model whose field it is."""
    steps: list[Step] = []
    parent: type[BaseModel] | None = None
    here: Any = model
    for part in location:
        here = _without_none(here)
        if isinstance(part, int):
            steps.append(Step("index", part))
            here = get_args(here)[0]
        elif part == "[key]":  # the key itself, not its value, is wrong
            break
        elif isinstance(here, type) and issubclass(here, BaseModel):
            parent = here
            steps.append(Step("field", part))
            field = _field(here, part)
            here = field.annotation if field else None
        elif len(get_args(here)) == 2:  # a mapping: its key is in the location
            steps.append(Step("key", part))
            here = get_args(here)[1]
    return tuple(steps), parent


def _field(model: type[BaseModel] | None, alias: str) -> FieldInfo | None:
    fields = model.model_fields.items() if model else ()
    return next((field for name, field in fields if alias in (field.alias, name)), None)


def _without_none(annotation: Any) -> Any:
    """``X`` of ``X | None`` and of ``Annotated[X, …]``."""
    if hasattr(annotation, "__metadata__"):
        return _without_none(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return _without_none(next(arg for arg in get_args(annotation) if arg is not NoneType))
    return annotation
