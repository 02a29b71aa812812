"""A rule is written once and enforced twice: by pydantic, and as CEL in the CRD, with the same message."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from controller.api.durations import DURATION_PATTERN, is_duration, parse_duration

BROKEN_RULES = "broken_rules"
"""The pydantic error type of a broken rule; its context holds ``messages``."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule for a value: metadata of ``Annotated`` for a field, an entry of ``Model.rules`` for a whole object.

    Attributes:
        message: what is allowed.
        cel: the rule for kube-apiserver (``x-kubernetes-validations``), an expression on ``self``.
        holds: the rule for pydantic, a predicate on the validated value.
    """

    message: str
    cel: str
    holds: Callable[[Any], bool]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(lambda value: obey((self,), value), handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        json_schema = handler(schema)
        return {**json_schema, **validations((*json_schema.get(KUBERNETES_VALIDATIONS, ()), self.as_validation()))}

    def as_validation(self) -> dict[str, str]:
        """The entry of ``x-kubernetes-validations``."""
        return {"rule": self.cel, "message": self.message}


KUBERNETES_VALIDATIONS = "x-kubernetes-validations"


def validations(entries: tuple[dict[str, str], ...]) -> dict[str, Any]:
    """The schema keyword for ``entries``; empty if there are none."""
    return {KUBERNETES_VALIDATIONS: list(entries)} if entries else {}


def obey(rules: tuple[Rule, ...], value: Any) -> Any:
    """``value``, if it obeys every rule.

    Raises:
        PydanticCustomError: of type ``BROKEN_RULES``, with all messages.
    """
    if messages := [rule.message for rule in rules if not rule.holds(value)]:
        raise PydanticCustomError(BROKEN_RULES, "{text}", {"text": "; ".join(messages), "messages": messages})
    return value


def between(low: int, high: int, unit: str = "") -> Rule:
    """A whole number from ``low`` to ``high``, both included."""
    return Rule(
        message=f"must be {low} to {high}" + (f" ({unit})" if unit else ""),
        cel=f"self >= {low} && self <= {high}",
        holds=lambda value: low <= value <= high,
    )


def at_least(low: int) -> Rule:
    """A whole number not below ``low``."""
    return Rule(message=f"must be {low} or more", cel=f"self >= {low}", holds=lambda value: value >= low)


PERCENT = between(0, 100, "percent")

HTTP_URL = Rule(
    message="must start with http:// or https://",
    cel="self.startsWith('http://') || self.startsWith('https://')",
    holds=lambda url: url.startswith(("http://", "https://")),
)

HEADER_NAME = Rule(
    # Istio matches headers by their names in lower case; one malformed name fails all routes of a proxy.
    message="must have 1 to 63 lower case letters, digits and -, for example x-shop-release",
    cel="self.matches('^[a-z0-9-]{1,63}$')",
    holds=lambda name: re.fullmatch(r"[a-z0-9-]{1,63}", name) is not None,
)

DURATION = Rule(
    message='must be a duration such as "30s", "1m30s" or "500ms"',
    cel="self.matches('{}')".format(DURATION_PATTERN.replace("\\", "\\\\")),
    holds=is_duration,
)

ABOVE_ZERO = Rule(
    message="must be above 0",
    cel="self.matches('[1-9]')",
    holds=lambda duration: parse_duration(duration) > 0,
)
"""For a duration."""


def exactly_one(*fields: str, attributes: tuple[str, ...] = ()) -> Rule:
    """Exactly one of these fields of an object is set; ``attributes`` are their Python names where they differ."""
    names = attributes or fields
    return Rule(
        message=f"exactly one of {', '.join(fields)} must be set",
        cel=f"[{', '.join(f'has(self.{field})' for field in fields)}].filter(set, set).size() == 1",
        holds=lambda value: sum(getattr(value, name) is not None for name in names) == 1,
    )
