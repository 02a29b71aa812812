"""The models of a stack as arguments of components: one list of keys, types and descriptions, in every language."""

from __future__ import annotations

import functools
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import pulumi
from pydantic import BaseModel
from pydantic.fields import FieldInfo

Arguments = Mapping[str, Any]
"""By the keys of the models: plain values, as they decide what is made."""
C = TypeVar("C", bound=pulumi.ComponentResource)

_PLAIN = {str: str, int: int, float: float, bool: bool, Path: str}
_STACK = "stack."
"""The package of the models whose keys are arguments; what belongs to the canary API is a map of its own fields."""


def takes(*fields: tuple[str, FieldInfo]) -> Callable[[type[C]], type[C]]:
    """Give a component the arguments of the fields, in place of a type that would repeat them.

    Pulumi reads the type of `args` from the annotation, at run time.
    """

    def annotate(component: type[C]) -> type[C]:
        component.__init__.__annotations__["args"] = _arguments(f"{component.__name__}Args", fields)
        return component

    return annotate


def fields_of(model: type[BaseModel], without: Container[str] = ()) -> Iterator[tuple[str, FieldInfo]]:
    """The fields of a model by their keys, ``without`` those that are named, as in Python."""
    return ((str(field.alias or name), field) for name, field in model.model_fields.items() if name not in without)


def descriptions(component: type[pulumi.ComponentResource]) -> Mapping[str, Mapping[str, str]]:
    """What each argument is for, by the names of the types: of the component's own, and of those inside."""
    found: dict[str, Mapping[str, str]] = {}
    todo: list[Any] = [component.__init__.__annotations__["args"]]
    while todo:
        kind = todo.pop()
        todo.extend(get_args(kind))
        if isinstance(told := getattr(kind, "descriptions", None), Mapping) and kind.__name__ not in found:
            found[kind.__name__] = told
            todo.extend(kind.__annotations__.values())
    return found


def whole(value: Any) -> Any:
    """Read 5.0 as 5, in a value or an output of any depth: Pulumi's protocol has no other numbers than floats."""
    if isinstance(value, pulumi.Output):
        return value.apply(whole)
    if isinstance(value, dict):
        return {key: whole(inside) for key, inside in value.items()}
    if isinstance(value, list):
        return [whole(inside) for inside in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


@functools.cache
def _section(model: type[BaseModel]) -> type:
    return _arguments(model.__name__, [*fields_of(model)])


def _arguments(name: str, fields: Sequence[tuple[str, FieldInfo]]) -> type:
    types = {key: _type(field.annotation) for key, field in fields}
    annotations = {key: types[key] if field.is_required() else types[key] | None for key, field in fields}
    told = {key: field.description for key, field in fields if field.description}
    return type(name, (), {"__annotations__": annotations, "__module__": __name__, "descriptions": told})


def _type(annotation: Any) -> Any:
    """The type that a schema of Pulumi has for a field of a model; Any where it has none."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(inside[0])
    if origin in (Union, UnionType):
        known = [each for each in inside if each is not NoneType]
        return _type(known[0]) if len(known) == 1 else Any
    if origin is Literal:
        return type(inside[0])
    if origin in (list, dict):
        item = _type(inside[-1])
        return list[item] if origin is list else dict[str, item]  # type: ignore[valid-type]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _section(annotation) if annotation.__module__.startswith(_STACK) else dict[str, Any]
    return _PLAIN.get(annotation, Any)
