"""What a plugin's resource kinds implement, free of gRPC."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sandbox.plugin.diff import Difference
from sandbox.plugin.errors import InterruptError
from sandbox.plugin.wire import Properties


@dataclass(frozen=True)
class Target:
    """The resource that an operation is about. `proposed_name` is what it is called where its inputs name nothing,
    unless the stack's configuration has `autonaming_disabled`.
    """

    urn: str
    type: str
    name: str
    proposed_name: str = ""
    autonaming_disabled: bool = False


@dataclass(frozen=True)
class Run:
    """One create, update or delete: whether it is a preview, how long it may wait (seconds, 0: the kind's default),
    whom to tell.
    """

    preview: bool = False
    timeout: float = 0.0
    cancelled: threading.Event = field(default_factory=threading.Event)
    status: Callable[[str], None] = lambda _: None
    log: Callable[[str], None] = lambda _: None
    warn: Callable[[str], None] = lambda _: None
    secret_inputs: frozenset[str] = frozenset()

    def check_cancelled(self) -> None:
        if self.cancelled.is_set():
            raise InterruptError("interrupted")


@dataclass(frozen=True)
class Outcome:
    """A resource's ID and outputs; `secrets` names the outputs to keep encrypted."""

    id: str
    outputs: Mapping[str, Any]
    secrets: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Found:
    """What a refresh or an import read."""

    outcome: Outcome
    inputs: Mapping[str, Any]


@dataclass(frozen=True)
class Old:
    """What Pulumi's state holds of a resource."""

    id: str
    inputs: Properties
    outputs: Properties


class Handler(Protocol):
    """One kind of resource. Every method may raise a PluginError."""

    def check(self, target: Target, old_inputs: Properties, inputs: Properties) -> Properties: ...

    def diff(self, target: Target, old: Old, inputs: Properties) -> Difference: ...

    def create(self, target: Target, inputs: Properties, run: Run) -> Outcome: ...

    def read(self, target: Target, old: Old) -> Found | None: ...

    def update(self, target: Target, old: Old, inputs: Properties, ignored: list[str], run: Run) -> Outcome: ...

    def delete(self, target: Target, old: Old, run: Run) -> None: ...


class Plugin(Protocol):
    """One plugin. `accepts_secrets`: whether inputs come with their secrets marked."""

    name: str
    accepts_secrets: bool

    def check_config(self, config: Properties) -> None: ...

    def replaces_on(self, old: Properties, new: Properties) -> list[str]:
        """The provider inputs whose change replaces the provider, and with it all its resources."""
        ...

    def configure(self, config: Properties) -> None: ...

    def handler(self, token: str) -> Handler:
        """Raises PluginError for a resource type that the stand-in does not serve."""
        ...

    def invoke(self, token: str, arguments: Properties) -> Properties: ...
