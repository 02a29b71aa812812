"""The exceptions of the controller, one tree.

::

    CanaryError                 everything this package raises on purpose
    └── InvalidObject           an object that its CRD would refuse: permanent until somebody edits it

The layers above add their own branches to ``CanaryError``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class CanaryError(Exception):
    """Root of the tree."""


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


class InvalidObject(CanaryError):  # noqa: N818 - what is wrong is the object; every caller reads better without "Error"
    """An object does not fit the schema; ``str()`` lists every problem, a line each."""

    def __init__(self, kind: str, namespace: str, name: str, problems: Sequence[Problem]) -> None:
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.problems = tuple(problems)
        super().__init__(kind, namespace, name, self.problems)

    def __str__(self) -> str:
        full_name = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return "\n".join([f'The {self.kind} "{full_name}" is invalid:', *(f"  {problem}" for problem in self.problems)])
