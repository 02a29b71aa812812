r"""What is decided, and what that writes.

Data flows one way (docs/architecture.md)::

    Facts + State --decide--> Measure(probes)      what must be known first; the shell runs the probes and asks again
                         \--> Decision(state, actions, events, hooks, requeue_after)

Everything here is immutable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from controller.core.model import NO_COOKIES, Cookies, Manifest, Routes, State
from controller.core.probes import HookProbe, Probe


@dataclass(frozen=True, slots=True)
class EnsureServices:
    """The ``-canary`` and ``-primary`` Services and their DestinationRules are as the Canary says."""


@dataclass(frozen=True, slots=True)
class EnsurePrimary:
    """The primary and its config copies exist; only ever as ``revision``, which was promoted or is the first.

    Attributes:
        record: what to rebuild it from; None: only the target, when that is at ``revision``.
    """

    revision: str
    record: Manifest | None = None


@dataclass(frozen=True, slots=True)
class PromoteSpec:
    """The primary and its config copies are those of the target's ``revision``.

    With ``dry_run`` nothing is written: the API server would accept all of it.
    """

    revision: str
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class EnsureAutoscaler:
    """The primary's HPA exists; with ``resync`` it also follows the target's.

    ``floor`` is a number of replicas below which it does not go: all the traffic may come back at any moment.
    """

    resync: bool = False
    floor: int = 0


@dataclass(frozen=True, slots=True)
class EnsureApex:
    """The Service that clients call selects the primary's pods."""


@dataclass(frozen=True, slots=True)
class SetRoutes:
    """The VirtualService sends the traffic as ``routes`` says, and whoever has one of ``cookies`` as that does."""

    routes: Routes
    cookies: Cookies = NO_COOKIES


@dataclass(frozen=True, slots=True)
class ReturnTraffic:
    """No VirtualService of the Canary sends anything to a canary; whatever else they say stays as it is."""


@dataclass(frozen=True, slots=True)
class ScaleTarget:
    """The target has so many replicas; one that has no number of them is at rest or not."""

    replicas: int


@dataclass(frozen=True, slots=True)
class RemoveLeftovers:
    """What the Canary owns and does not generate any more is deleted, what it had adopted is given back."""


@dataclass(frozen=True, slots=True)
class GiveBack:
    """The Service and the VirtualService that were adopted are as before, and lead to the target."""


Action: TypeAlias = (
    EnsureServices
    | EnsurePrimary
    | PromoteSpec
    | EnsureAutoscaler
    | EnsureApex
    | SetRoutes
    | ReturnTraffic
    | ScaleTarget
    | RemoveLeftovers
    | GiveBack
)
"""A desired value, never a delta: doing it twice is doing it once."""


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes event on the Canary, reason ``Synced`` (Flagger), and a log line."""

    message: str
    type: Literal["Normal", "Warning"] = "Normal"


Severity: TypeAlias = Literal["info", "warn", "error"]


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where an alert goes.

    Attributes:
        alert: its name in ``spec.analysis.alerts``.
        provider: the AlertProvider, ``NAMESPACE/NAME``.
    """

    alert: str
    provider: str


@dataclass(frozen=True, slots=True)
class Alert:
    """A message to people.

    Attributes:
        severity: how bad it is.
        text: what has happened.
        fields: names and values that are shown below it.
        to: its receivers; empty for those of the controller's own options.
    """

    severity: Severity
    text: str
    fields: tuple[tuple[str, str], ...] = ()
    to: tuple[Receiver, ...] = ()


@dataclass(frozen=True, slots=True)
class Measure:
    """``decide`` cannot go on without these answers.

    Attributes:
        probes: the questions.
        patience: seconds after which a webhook that has not answered is `Pending`; None: its own timeout ends it.
    """

    probes: tuple[Probe, ...]
    patience: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What one tick does, in this order: actions (up to the first that fails), status, events, alerts, hooks, upkeep.

    Attributes:
        state: what the status says afterwards.
        actions: desired values, in order; the status is not written unless all of them are true.
        upkeep: desired values that the state does not depend on: what cannot be written must keep no traffic on a
            canary, nor a failed check from being counted.
        events: recorded once the status is written.
        alerts: sent after that, at most once: a crash in between loses them.
        hooks: called after that; their answers become events and nothing else.
        requeue_after: seconds until the next tick is due whatever the watches say; None: only a watch wakes it.
    """

    state: State
    actions: tuple[Action, ...] = ()
    events: tuple[Event, ...] = ()
    hooks: tuple[HookProbe, ...] = ()
    requeue_after: float | None = None
    upkeep: tuple[Action, ...] = ()
    alerts: tuple[Alert, ...] = ()


@dataclass(frozen=True, slots=True)
class Put:
    """Create ``manifest``, or replace the live object where ``metadata.resourceVersion`` is set.

    With ``dry_run`` the API server only says whether it would.
    """

    manifest: Manifest
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the object, unless it has changed since it was seen at ``version`` (its resource version)."""

    kind: str
    namespace: str
    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Patch:
    """Merge-patch an object that is the user's.

    Attributes:
        kind: kind of the object.
        namespace: of the object.
        name: of the object.
        patch: what is changed.
        done: that in words, as in ``scaled to 0``.
    """

    kind: str
    namespace: str
    name: str
    patch: Mapping[str, Any]
    done: str


Write: TypeAlias = Put | Delete | Patch
