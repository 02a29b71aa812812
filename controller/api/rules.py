"""A rule is written once and holds twice: pydantic runs it, the CRD carries it as CEL, both refuse in one wording."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from controller.api.durations import DURATION_PATTERN, is_duration

BROKEN_RULES = "broken_rules"
"""The pydantic error type of a broken rule; its context holds ``messages``."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule on a value; as metadata of ``Annotated`` on a field, or in ``Model.rules`` on a whole object.

    Attributes:
        message: what is allowed, for the person who broke it.
        cel: the rule for kube-apiserver (``x-kubernetes-validations``), on ``self``.
        holds: the rule for pydantic, on the validated value.
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
    """The schema keyword for ``entries``; nothing when there are none."""
    return {KUBERNETES_VALIDATIONS: list(entries)} if entries else {}


def obey(rules: tuple[Rule, ...], value: Any) -> Any:
    """``value``, if it keeps every rule.

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

DURATION = Rule(
    message='must be a duration as in "30s", "1m30s" or "500ms"',
    cel="self.matches('{}')".format(DURATION_PATTERN.replace("\\", "\\\\")),
    holds=is_duration,
)


def exactly_one(*fields: str, attributes: tuple[str, ...] = ()) -> Rule:
    """Exactly one of the fields of an object is set; ``attributes`` are their Python names where these differ."""
    names = attributes or fields
    return Rule(
        message=f"exactly one of {', '.join(fields)} must be set",
        cel=f"[{', '.join(f'has(self.{field})' for field in fields)}].filter(set, set).size() == 1",
        holds=lambda value: sum(getattr(value, name) is not None for name in names) == 1,
    )
