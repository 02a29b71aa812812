"""What Pulumi says it would do, read from the output of ``pulumi preview --json --show-sames``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

KUBERNETES = "kubernetes:"
HELM_RELEASE = "kubernetes:helm.sh/v3:Release"


class Op(StrEnum):
    """What becomes of a resource, the most dangerous first. The steps of a replacement count as one."""

    DELETE = "delete"
    REPLACE = "replace"
    UPDATE = "update"
    CREATE = "create"
    IMPORT = "import"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class Change:
    """One resource.

    Attributes:
        type: as in ``kubernetes:apps/v1:Deployment``.
        name: of the resource in the program.
        before, after: its inputs; empty where there is none.
        paths: the properties that change, as in ``spec.replicas``.
    """

    op: Op
    type: str
    name: str
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    paths: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """``Deployment``, or the whole type of what is not an object of Kubernetes."""
        return self.type.rpartition(":")[2] if self.type.startswith(KUBERNETES) else self.type

    @property
    def object(self) -> dict[str, Any]:
        """The object of Kubernetes that is asked for, without what its provider notes for itself."""
        return {key: value for key, value in self.after.items() if not key.startswith("__")}

    @property
    def place(self) -> tuple[str, str]:
        """Namespace and name of an object of Kubernetes; empty where it has none."""
        metadata = fields(self.after.get("metadata")) or fields(self.before.get("metadata"))
        return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")


def fields(value: Any) -> Mapping[str, Any]:
    """The fields of a part of an object; none where it is not there, or not known before the update."""
    return value if isinstance(value, Mapping) else {}


def read_changes(steps: Sequence[Mapping[str, Any]]) -> Iterator[Change]:
    """The resources in ``steps``; without components, providers and the stack, which are nothing of a cluster's."""
    for step in steps:
        state = step.get("newState") or step.get("oldState") or {}
        kind = str(state.get("type", ""))
        if step["op"] not in set(Op) or not state.get("custom") or kind.startswith("pulumi:"):
            continue
        yield Change(
            Op(step["op"]),
            kind,
            str(step["urn"]).rpartition("::")[2],
            before=(step.get("oldState") or {}).get("inputs") or {},
            after=(step.get("newState") or {}).get("inputs") or {},
            paths=tuple(sorted(step.get("detailedDiff") or step.get("diffReasons") or ())),
        )


def read_messages(diagnostics: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """What Pulumi warns of, each once; without the colours."""
    loud = (each for each in diagnostics if each.get("severity") in ("warning", "error"))
    return tuple(dict.fromkeys(str(each.get("message", "")).strip() for each in loud))
