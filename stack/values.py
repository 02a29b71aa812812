"""What several sections of a stack's configuration are made of: texts with a description of what they allow."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from controller.api.base import Integer, Model
from controller.api.quantities import parse_quantity
from controller.api.rules import at_least, between


@dataclass(frozen=True, slots=True)
class Pattern:
    """A check of a text: `allowed` describes what `regex` matches."""

    regex: str
    allowed: str

    def __call__(self, value: str) -> str:
        if not re.fullmatch(self.regex, value):
            raise ValueError(f"must be {self.allowed}")
        return value


def matching(regex: str, allowed: str) -> AfterValidator:
    """Metadata for `Annotated`: the whole text must match `regex`."""
    return AfterValidator(Pattern(regex, allowed))


def _number_as_text(value: Any) -> Any:
    """`pulumi config set --path` stores 4711 and true as what they look like; the text is meant.

    Raises:
        ValueError: a fraction, since 1.10 and 1.1 are the same number and different texts.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        raise ValueError('must be a text: put it in quotes, as in "1.10"')  # noqa: TRY004 -- pydantic expects ValueError
    return str(value) if isinstance(value, int) else value


def _number_as_quantity(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _not_empty(value: SecretStr) -> SecretStr:
    if not value:
        raise ValueError("must not be empty")
    return value


_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"

Text = Annotated[str, BeforeValidator(_number_as_text)]
Label = Annotated[Text, matching(_LABEL, "a name of at most 63 characters from a-z, 0-9 and -, as in team-1")]
ServiceName = Annotated[
    Text,
    matching(
        r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", "a name of at most 63 characters from a-z, 0-9 and -, not a digit first"
    ),
]
Host = Annotated[
    str,
    matching(
        rf"(({_LABEL}|\.|\*)/)?(\*|(\*\.)?{_LABEL}(\.{_LABEL})*)",
        "a host name, as in shop.example.com, *.example.com or *, with namespace/ before it if only that may route it",
    ),
]
HostPattern = Annotated[
    str, matching(r"[-A-Za-z0-9._*/?{}\[\]!]+", "a pattern without blanks and commas, as in *.{namespace}.svc")
]
CanaryPattern = Annotated[
    str, matching(r"[-a-z0-9*?\[\]!]+/[-a-z0-9*?\[\]!]+", "a pattern as namespace/name, as in prod/* or */backend")
]
EnvName = Annotated[
    Text, matching(r"[-._a-zA-Z][-._a-zA-Z0-9]*", "the name of an environment variable, as in LOG_LEVEL")
]
LabelKey = Annotated[
    str,
    matching(
        rf"({_LABEL}(\.{_LABEL})*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?",
        "a label key, as in example.com/team",
    ),
]
LabelValue = Annotated[
    Text,
    matching(
        r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?",
        "a label value of at most 63 characters from A-Z, a-z, 0-9, -, _ and .",
    ),
]
ObjectName = Annotated[
    Text,
    matching(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*", "a name of at most 253 characters from a-z, 0-9, - and ."),
]
DataKey = Annotated[Text, matching(r"[-._A-Za-z0-9]{1,253}", "a key of a Secret, from A-Z, a-z, 0-9, -, _ and .")]
SecretText = Annotated[SecretStr, AfterValidator(_not_empty)]
PrometheusDuration = Annotated[Text, matching(r"[1-9][0-9]*[sm]", "whole seconds or minutes above 0, as in 30s or 1m")]
Retention = Annotated[Text, matching(r"[1-9][0-9]*[hdw]", "whole hours, days or weeks above 0, as in 6h or 15d")]
Quantity = Annotated[
    str,
    BeforeValidator(_number_as_quantity),
    matching(r"[0-9]+(\.[0-9]+)?(m|k|[MGTPE]|[KMGTPE]i)?", "a Kubernetes quantity, as in 100m or 128Mi"),
]
Url = Annotated[str, matching(r"https?://[^\s/]+\S*", "a URL that starts with http:// or https://")]
ChartRepository = Annotated[
    str, matching(r"(https?|oci)://[^\s/]+\S*", "a chart repository that starts with https://, http:// or oci://")
]
REPOSITORY = r"([A-Za-z0-9.-]+(:[0-9]+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*"
_TAG, _DIGEST = r"[\w][\w.-]{0,127}", r"@sha256:[0-9a-f]{64}"

Image = Annotated[
    str,
    matching(rf"{REPOSITORY}(:{_TAG})?({_DIGEST})?", "an image reference, as in prom/prometheus:v3.16.0"),
]
ImageTag = Annotated[
    Text,
    matching(
        rf"{_TAG}({_DIGEST})?|{_DIGEST[1:]}", "an image tag, a digest or both, as in 6.1.0 or 6.1.0@sha256:<digest>"
    ),
]
FilePath = Annotated[str, matching(r"(/[-._A-Za-z0-9]+)+", "the absolute path of a file, as in /etc/shop/shop.yaml")]
Port = Annotated[Integer, between(1, 65535)]
Natural = Annotated[Integer, at_least(0)]
Positive = Annotated[Integer, at_least(1)]
NonEmpty = Annotated[str, Field(min_length=1)]


class Resources(Model):
    requests: dict[str, Quantity] = Field(default_factory=dict, description="What the scheduler reserves, by resource.")
    limits: dict[str, Quantity] = Field(default_factory=dict, description="Upper limit of use, by resource.")

    @model_validator(mode="after")
    def _requests_within_limits(self) -> Self:
        for resource, limit in self.limits.items():
            request = self.requests.get(resource)
            if request and parse_quantity(request) > parse_quantity(limit):
                raise ValueError(f"requests.{resource} ({request}) must not be above limits.{resource} ({limit})")
        return self
