"""Exceptions of the stand-in plugins; their messages are what the person at `pulumi up` reads.

PluginError
├── CheckError         inputs that can be refused before anything is touched
├── NotReadyError      the object exists but did not become ready: Pulumi keeps it, with the reasons
├── InterruptError     the user interrupted
├── ApiError           the API server refused a request
└── UnreachableError   the API server does not answer
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class PluginError(Exception):
    """What a resource operation ends with when it cannot be done."""


@dataclass(frozen=True)
class Failure:
    """One input that was refused: its property path (may be empty) and why."""

    path: str
    reason: str


class CheckError(PluginError):
    def __init__(self, *failures: Failure) -> None:
        super().__init__("; ".join(f"{f.path}: {f.reason}" if f.path else f.reason for f in failures))
        self.failures = failures


class NotReadyError(PluginError):
    """Created or updated, but not ready. Carries what Pulumi must remember for the next `up` to continue from there."""

    def __init__(self, message: str, *, resource_id: str, outputs: Mapping[str, Any], reasons: Sequence[str]) -> None:
        super().__init__(message)
        self.resource_id = resource_id
        self.outputs = outputs
        self.reasons = tuple(reasons)


class InterruptError(PluginError):
    pass


class UnreachableError(PluginError):
    pass


class ApiError(PluginError):
    """A `Status` answer of the API server: HTTP code, `reason`, message, and the causes it lists."""

    def __init__(self, code: int, status: Mapping[str, Any], subject: str) -> None:
        self.code = code
        self.reason = str(status.get("reason") or "")
        self.causes: list[dict[str, Any]] = (status.get("details") or {}).get("causes") or []
        self.text = str(status.get("message") or f"HTTP {code}")
        super().__init__(f"{subject}: {self.text}")
