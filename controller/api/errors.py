"""The exceptions of the controller, one tree.

::

    CanaryError                 every error that this package raises on purpose
    └── InvalidObject           an object that its CRD would reject; permanent until it is edited

The other layers derive their errors from ``CanaryError``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SHOWN_CHARACTERS, SHOWN_PROBLEMS = 200, 20


class CanaryError(Exception):
    """Root of the tree."""


def shown(text: str) -> str:
    """``text`` from an object, fit for a line of a message: control characters escaped, shortened when it is long."""
    escaped = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text[: SHOWN_CHARACTERS + 1])
    return escaped if len(text) <= SHOWN_CHARACTERS else f"{escaped[:SHOWN_CHARACTERS]}..."


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an object.

    Attributes:
        path: where, as kube-apiserver writes it: ``spec.analysis.metrics[0].name``; empty for the object as a whole.
        message: what is wrong and what is allowed, in kube-apiserver's words.
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class InvalidObject(CanaryError):  # noqa: N818 - named for the object that is invalid
    """An object does not match its schema; ``str()`` lists the problems, one per line."""

    def __init__(self, kind: str, namespace: str, name: str, problems: Sequence[Problem]) -> None:
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.problems = tuple(problems)
        super().__init__(kind, namespace, name, self.problems)

    def __str__(self) -> str:
        full_name = f"{self.namespace}/{self.name}" if self.namespace else self.name
        lines = [f'The {self.kind} "{full_name}" is invalid:']
        lines += [f"  {problem}" for problem in self.problems[:SHOWN_PROBLEMS]]
        more = len(self.problems) - SHOWN_PROBLEMS
        return "\n".join([*lines, f"  and {more} more"] if more > 0 else lines)
