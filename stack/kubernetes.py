"""What is wrong with a part of a Kubernetes object, before anything is sent.

The types are those of `pulumi_kubernetes`, generated from Kubernetes' own OpenAPI document: fields, their types, and
which must be there. What else the API server demands of a value, only the API server knows.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Collection, Iterator, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import pulumi

# The only place that tells which field of an object is which property of its class.
from pulumi._types import input_type_py_to_pulumi_names, input_type_types, is_input_type

from controller.api import Problem
from controller.api.problems import unknown_field, wrong_type

_WORDS: Mapping[Any, str] = {str: "string", int: "integer", bool: "boolean", float: "number"}
_QUANTITIES = frozenset({"requests", "limits", "overhead", "sizeLimit", "divisor", "averageValue"})
"""Fields, or mappings, of quantities: texts for which Kubernetes takes numbers too."""


def find_problems(value: Any, kind: Any, path: str, *, partial: bool = False) -> Iterator[Problem]:
    """Where `value` is not of a type of `pulumi_kubernetes`, such as `core.v1.PodSpecArgs`.

    Args:
        value: plain JSON values, under Kubernetes' own names.
        kind: the type, or what stands in its annotations.
        path: that of `value`, for messages.
        partial: whether `value` is laid over something, so that nothing of it must be there.
    """
    members = _members(kind)
    if value is None or Any in members or any(_is_scalar(value, member) for member in members):
        return
    for member in members:
        if isinstance(value, Mapping) and is_input_type(member):
            yield from _problems_of_object(value, member, path, partial=partial)
        elif isinstance(value, Mapping) and get_origin(member) is Mapping:
            for key, item in value.items():
                yield from find_problems(item, get_args(member)[1], f"{path}.{key}", partial=partial)
        elif isinstance(value, list) and get_origin(member) is Sequence:
            for index, item in enumerate(value):
                yield from find_problems(item, get_args(member)[0], f"{path}{_label(item, index)}", partial=partial)
        else:
            continue
        return
    yield Problem(path, wrong_type(value, " or ".join(map(_word, members))))


def _problems_of_object(value: Mapping[str, Any], kind: type, path: str, *, partial: bool) -> Iterator[Problem]:
    types = input_type_types(kind)
    for key, item in value.items():
        if key in types:
            yield from find_problems(item, types[key], f"{path}.{key}", partial=partial)
        else:
            yield Problem(f"{path}.{key}", unknown_field(str(key), types))
    for key in () if partial else _required(kind):
        if value.get(key) is None:
            yield Problem(f"{path}.{key}", "Required value")


@functools.cache
def _required(kind: Any) -> Collection[str]:
    """The fields that must be there: the parameters of the class that have no default."""
    names = input_type_py_to_pulumi_names(kind)
    parameters = inspect.signature(kind.__init__).parameters
    return sorted(names[name] for name, each in parameters.items() if name in names and each.default is each.empty)


def _members(annotation: Any) -> list[Any]:
    """What a value may be that is there already."""
    if get_origin(annotation) not in {Union, UnionType}:
        return [annotation]
    promises = {Awaitable, pulumi.Output}
    return [each for each in get_args(annotation) if each is not NoneType and get_origin(each) not in promises]


def _is_scalar(value: Any, kind: Any) -> bool:
    if isinstance(value, bool):
        return kind is bool
    if kind is int and isinstance(value, float):
        return value.is_integer()  # protobuf, and so Pulumi, has no other numbers than floats
    return kind in _WORDS and isinstance(value, kind)


def _word(kind: Any) -> str:
    return "array" if get_origin(kind) is Sequence else _WORDS.get(kind, "object")


def _label(item: Any, index: int) -> str:
    """An entry of a list by its name, where it has one, as in the other messages about a stack."""
    name = item.get("name") if isinstance(item, Mapping) else None
    return f".{name}" if isinstance(name, str) else f"[{index}]"


def with_quantities(value: Any, *, inside: bool = False) -> Any:
    """`value` with every quantity as a text, as the API server keeps it; `inside` of a quantity, or of several."""
    if isinstance(value, Mapping):
        return {key: with_quantities(item, inside=inside or key in _QUANTITIES) for key, item in value.items()}
    if isinstance(value, list):
        return [with_quantities(item) for item in value]
    return str(value) if inside and isinstance(value, int | float) and not isinstance(value, bool) else value
