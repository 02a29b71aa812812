"""From an object of the API to its model, or to one exception that lists all that is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from controller.api.alert_provider import AlertProvider
from controller.api.canary import Canary
from controller.api.errors import InvalidObject, Problem, shown
from controller.api.metric_template import MetricTemplate
from controller.api.problems import problems_of

M = TypeVar("M", bound=BaseModel)

MAX_LEVELS = 50
"""More than any valid object has, and few enough for functions that recurse."""


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
        return model.model_validate(without_nulls(obj))
    except ValidationError as error:
        problems = problems_of(error, model)
    except RecursionError:
        problems = (Problem("", f"must not have more than {MAX_LEVELS} levels of objects and lists"),)
    metadata = obj.get("metadata") if isinstance(obj, Mapping) else None
    named = metadata if isinstance(metadata, Mapping) else {}
    raise InvalidObject(
        model.__name__, shown(str(named.get("namespace", ""))), shown(str(named.get("name", ""))), problems
    )


def without_nulls(value: Any, levels: int = MAX_LEVELS) -> Any:
    """``value`` with null fields left out: the API server treats most as absent, and serves some.

    Raises:
        RecursionError: ``value`` has more than ``levels`` levels of objects and lists.
    """
    if levels == 0:
        raise RecursionError
    if isinstance(value, Mapping):
        return {key: without_nulls(item, levels - 1) for key, item in value.items() if item is not None}
    return [without_nulls(item, levels - 1) for item in value] if isinstance(value, list) else value
