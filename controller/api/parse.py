"""From an object of the API to its model, or to one exception that lists all that is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from controller.api.alert_provider import AlertProvider
from controller.api.canary import Canary
from controller.api.errors import InvalidObject
from controller.api.metric_template import MetricTemplate
from controller.api.problems import problems_of

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
