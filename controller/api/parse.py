"""From an object of the API to its model, or to one exception that lists all that is wrong with it.

The words and the paths are kube-apiserver's, so that preview, admission and the controller say the same.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Mapping
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from controller.api.alert_provider import AlertProvider
from controller.api.canary import Canary
from controller.api.errors import InvalidObject, Problem
from controller.api.metric_template import MetricTemplate
from controller.api.rules import BROKEN_RULES

M = TypeVar("M", bound=BaseModel)


def parse_canary(obj: Mapping[str, Any]) -> Canary:
    """The Canary in ``obj``.

    Raises:
        InvalidObject: with every problem.
    """
    return _parse(Canary, obj)


def parse_metric_template(obj: Mapping[str, Any]) -> MetricTemplate:
    """The MetricTemplate in ``obj``.

    Raises:
        InvalidObject: with every problem.
    """
    return _parse(MetricTemplate, obj)


def parse_alert_provider(obj: Mapping[str, Any]) -> AlertProvider:
    """The AlertProvider in ``obj``.

    Raises:
        InvalidObject: with every problem.
    """
    return _parse(AlertProvider, obj)


def _parse(model: type[M], obj: Mapping[str, Any]) -> M:
    try:
        return model.model_validate(obj)
    except ValidationError as error:
        metadata = obj.get("metadata") if isinstance(obj, Mapping) else None
        named = metadata if isinstance(metadata, Mapping) else {}
        raise InvalidObject(
            model.__name__,
            str(named.get("namespace", "")),
            str(named.get("name", "")),
            problems_of(error, model),
        ) from None


def problems_of(error: ValidationError, model: type[BaseModel]) -> tuple[Problem, ...]:
    """What pydantic found wrong with an object of type ``model``, in kube-apiserver's words.

    For those who build models in Python, and so meet ``ValidationError`` itself.
    """
    return tuple(problem for details in error.errors() for problem in _problems(details, model))


def _problems(details: ErrorDetails, model: type[BaseModel]) -> Iterator[Problem]:
    path, parent = _locate(model, details["loc"])
    context = details.get("ctx", {})
    if details["type"] == BROKEN_RULES:
        for message in context["messages"]:
            yield Problem(path, f"Invalid value: {_quoted(details['input'])}: {message}")
    elif details["type"] == "extra_forbidden":
        yield Problem(path, _unknown_field(str(details["loc"][-1]), parent))
    elif in_words := _IN_WORDS.get(details["type"]):
        yield Problem(path, in_words(details["input"], context))
    else:
        yield Problem(path, f"Invalid value: {_quoted(details['input'])}: {details['msg']}")


def _of_type(expected: str) -> Callable[[Any, Mapping[str, Any]], str]:
    return lambda value, _: f'Invalid value: {_quoted(value)}: must be of type {expected}: "{_type_name(value)}"'


def _unsupported(value: Any, context: Mapping[str, Any]) -> str:
    supported = str(context["expected"]).replace(" or ", ", ").replace("'", '"')
    return f"Unsupported value: {_quoted(value)}: supported values: {supported}"


_IN_WORDS: Mapping[str, Callable[[Any, Mapping[str, Any]], str]] = {
    "missing": lambda _value, _context: "Required value",
    "literal_error": _unsupported,
    "enum": _unsupported,
    "int_type": _of_type("integer"),
    "int_from_float": _of_type("integer"),
    "float_type": _of_type("number"),
    "bool_type": _of_type("boolean"),
    "string_type": _of_type("string"),
    "tuple_type": _of_type("array"),
    "mapping_type": _of_type("object"),
    "dict_type": _of_type("object"),
    "model_type": _of_type("object"),
    "model_attributes_type": _of_type("object"),
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


def _unknown_field(name: str, parent: type[BaseModel] | None) -> str:
    known = [field.alias or name for name, field in parent.model_fields.items()] if parent else []
    close = difflib.get_close_matches(name, known, n=1)
    hint = f'; did you mean "{close[0]}"?' if close else ""
    return f"unknown field{hint} (known: {', '.join(sorted(known))})"


def _quoted(value: Any) -> str:
    """A scalar as JSON; of an object or a list only the type, as it may be long."""
    if isinstance(value, str | int | float | bool | NoneType):
        return json.dumps(value, ensure_ascii=False)
    return f'"{_type_name(value)}"'


_TYPE_NAMES: Mapping[type, str] = {
    NoneType: "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    tuple: "array",
}


def _type_name(value: Any) -> str:
    return _TYPE_NAMES.get(type(value), "object")


def _locate(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[str, type[BaseModel] | None]:
    """The path of ``location`` as kube-apiserver writes it, and the model whose field it is."""
    path = ""
    parent: type[BaseModel] | None = None
    here: Any = model
    for part in location:
        here = _without_none(here)
        if isinstance(part, int):
            path, here = f"{path}[{part}]", get_args(here)[0]
        elif isinstance(here, type) and issubclass(here, BaseModel):
            parent = here
            path, here = f"{path}.{part}" if path else part, _field_type(here, part)
        elif len(get_args(here)) == 2:  # a mapping: its key is in the location
            path, here = f"{path}[{part}]", get_args(here)[1]
    return path, parent


def _field_type(model: type[BaseModel], alias: str) -> Any:
    for name, field in model.model_fields.items():
        if alias in (field.alias, name):
            return field.annotation
    return None


def _without_none(annotation: Any) -> Any:
    """``X`` of ``X | None`` and of ``Annotated[X, …]``."""
    if hasattr(annotation, "__metadata__"):
        return _without_none(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return _without_none(next(arg for arg in get_args(annotation) if arg is not NoneType))
    return annotation
