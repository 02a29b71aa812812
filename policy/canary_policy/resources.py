"""The resources of a program as the rules read them: plain mappings, nothing of Pulumi."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

EXCEPTION = "except.canary-on-istio/"
"""Before the name of a rule: the annotation of an object for which the rule does not hold. Its value is the reason."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource.

    Attributes:
        type: as in ``kubernetes:apps/v1:Deployment``.
        urn: Pulumi's own name, which has the types of the components around it.
        props: its properties; an object of Kubernetes, where it is one.
    """

    type: str
    urn: str
    props: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """``Deployment``; empty for what is no object of Kubernetes."""
        return self.type.rpartition(":")[2] if self.type.startswith("kubernetes:") else ""

    @property
    def components(self) -> Sequence[str]:
        """The types of the components that it is part of."""
        types = self.urn.split("::")[2] if self.urn.count("::") > 2 else ""
        return types.split("$")[:-1]

    @property
    def metadata(self) -> Mapping[str, Any]:
        return fields(self.props.get("metadata"))

    @property
    def spec(self) -> Mapping[str, Any]:
        return fields(self.props.get("spec"))

    @property
    def namespace(self) -> str:
        """Empty for the provider's own."""
        return str(self.metadata.get("namespace") or "")

    @property
    def name(self) -> str:
        return str(self.metadata.get("name") or self.urn.rpartition("::")[2])

    @property
    def label(self) -> str:
        """``Deployment prod/backend``."""
        return f"{self.kind or self.type} {'/'.join(filter(None, (self.namespace, self.name)))}"

    def exception(self, rule: str) -> str:
        """Why the rule does not hold for the object, as it says itself; empty where it does."""
        return str(fields(self.metadata.get("annotations")).get(EXCEPTION + rule) or "").strip()

    @property
    def containers(self) -> Iterator[Mapping[str, Any]]:
        """Those of its pods, the initial ones included; none for what makes no pods."""
        spec = fields(fields(self.spec.get("jobTemplate")).get("spec")) if self.kind == "CronJob" else self.spec
        pod = spec if self.kind == "Pod" else fields(fields(spec.get("template")).get("spec"))
        for key in ("initContainers", "containers"):
            yield from map(fields, entries(pod.get(key)))


def fields(value: Any) -> Mapping[str, Any]:
    """The fields of a part of an object; none where it is not there."""
    return value if isinstance(value, Mapping) else {}


def entries(value: Any) -> Sequence[Any]:
    """The entries of a list in an object; none where it is not there."""
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text in an object with what it is called: by its key, or by ``name`` beside ``value``."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        named = value.get("name") if {"name", "value"} <= value.keys() else None
        for name, inside in value.items():
            yield from texts(inside, str(named) if named and name == "value" else name)
    else:
        for inside in entries(value):
            yield from texts(inside, key)
