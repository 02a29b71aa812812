"""What all models of this API share: strict, frozen, camelCase in manifests, and dumped as the user wrote them.

Defaults are not written into the CRDs: the API server returns what the user applied, so another field manager such as
Pulumi sees no change that nobody made. The models apply Flagger's defaults when they are read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    AllowInfNan,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    Strict,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from controller.api.rules import ABOVE_ZERO, DURATION, HTTP_URL, Rule, obey, validations


class Model(BaseModel):
    """Base of all models. Unknown fields are rejected, lists become tuples, mappings must not be modified."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        extra="forbid",
        frozen=True,
    )

    rules: ClassVar[tuple[Rule, ...]] = ()
    """Rules for the object as a whole."""

    @model_validator(mode="after")
    def _obeys_its_rules(self) -> Self:
        obey(self.rules, self)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        json_schema = handler.resolve_ref_schema(handler(schema))
        json_schema.update(validations(tuple(rule.as_validation() for rule in cls.rules)))
        return json_schema

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values under the API's names: the fields that were set, no defaults."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)


class Observed(Model):
    """Written by a controller, possibly of another version: unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore")


def _whole(value: Any) -> Any:
    """Read 5.0 as 5: protobuf, and so Pulumi, has no other numbers than floats."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _as_written(value: float) -> int | float:
    return int(value) if value.is_integer() else value


def _to_utc(value: datetime) -> datetime:
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def _to_utc_seconds(value: datetime) -> datetime:
    return _to_utc(value).replace(microsecond=0)


def _to_rfc3339(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


def _as_json(value: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise PydanticCustomError("not_json", "must have only values of JSON: text, finite numbers, no times") from None
    return value


Integer = Annotated[int, Strict(), BeforeValidator(_whole)]
Number = Annotated[
    float, Strict(), AllowInfNan(allow_inf_nan=False), PlainSerializer(_as_written, return_type=int | float)
]
Boolean = Annotated[bool, Strict()]
Name = Annotated[str, Field(min_length=1, max_length=253)]
Url = Annotated[str, HTTP_URL]
Duration = Annotated[str, Field(max_length=32), DURATION]
PositiveDuration = Annotated[Duration, ABOVE_ZERO]
StringMap = Mapping[str, str]
Time = Annotated[datetime, AfterValidator(_to_utc_seconds), PlainSerializer(_to_rfc3339, return_type=str)]
"""``metav1.Time``: whole seconds, UTC."""
MicroTime = Annotated[datetime, AfterValidator(_to_utc), PlainSerializer(_to_rfc3339, return_type=str)]
"""``metav1.MicroTime``: for times that are compared more finely than by seconds."""
SavedObject = Annotated[
    Mapping[str, Any],
    WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
]
"""Written by a controller; whoever reads it validates it."""
OpenObject = Annotated[SavedObject, AfterValidator(_as_json)]
"""Passed to Istio unchanged. Istio validates it; a schema here would lag behind Istio's own."""
