"""Which of several controllers leads: the one that holds a Lease (docs/adr/0010-one-leader-by-a-lease.md).

No clock but this process' own counts: a Lease is free when it has not changed for as long as it says, counted from
when this process saw it last change (client-go's rule).
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

from controller.api.names import LEASE_NAME
from controller.core.model import Manifest
from controller.shell.kubernetes.client import Kube
from controller.shell.kubernetes.errors import ClusterError, Conflict, NotFound, StoppedError
from controller.shell.kubernetes.kinds import LEASE

log = logging.getLogger(__name__)

LEASE_SECONDS = 12
"""A leader that is killed is replaced after this and at most two looks."""
WRITE_SECONDS = 8.0
"""How long after the request that renewed the Lease its holder may write. The rest of `LEASE_SECONDS` is for what was
sent at the last moment: it has to arrive before somebody else leads."""
RENEW_SECONDS, LOOK_SECONDS = 2.0, 1.0
"""How often the leader renews the Lease, and how often one that stands by looks at it."""
ATTEMPT_SECONDS = 3.0
"""How long one attempt may take."""


def boot_seconds() -> float:
    """Seconds on a clock that nobody sets, and that goes on while the machine is suspended, where there is one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def own_name() -> str:
    """A name that no other process has, a later one of the same pod neither."""
    return f"{socket.gethostname()}_{uuid.uuid4()}"


class Election:
    """One process' part in the election.

    Args:
        kube: sends the requests about the Lease, which no fence stops.
        namespace: where the Lease is.
        name: who holds it, then.
        clock: seconds that only grow.
    """

    def __init__(self, kube: Kube, namespace: str, name: str, clock: Callable[[], float] = boot_seconds) -> None:
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self._clock = clock
        self._until: float | None = None  # as long as it has never led
        self._own: Manifest | None = None
        self._seen: Mapping[str, Any] = {}
        self._seen_at = 0.0
        self._said = ""

    def may_write(self) -> bool:
        """Whether it is certain that no other process leads. Once lost that is never true again."""
        return self._left() > 0

    async def acquire(self) -> None:
        """Stand by until the Lease is this process'."""
        while not await self.ask():  # noqa: ASYNC110 -- what it waits for is no event of ours
            await asyncio.sleep(LOOK_SECONDS)
        log.info("Leading: %s holds %s", self._name, self._place)

    async def hold(self) -> NoReturn:
        """Renew the Lease while that is possible.

        Raises:
            StoppedError: it is lost. This process may write nothing any more.
        """
        while self.may_write():
            await asyncio.sleep(min(RENEW_SECONDS, self._left()))
            await self.ask()
        raise StoppedError(f"{self._place} is lost: {self._said or f'not renewed for {WRITE_SECONDS:g}s'}")

    async def ask(self) -> bool:
        """Ask once for the Lease, or for more of it; whether this process leads. What fails is logged."""
        asked, leading = self._clock(), self.may_write()
        if self._until is not None and not leading:
            return False
        try:
            async with asyncio.timeout(min(ATTEMPT_SECONDS, self._left()) if leading else ATTEMPT_SECONDS):
                mine = await self._claim()
        except Conflict:  # somebody was faster, or has edited it: look again
            return self.may_write()
        except (ClusterError, TimeoutError) as error:
            self._say(logging.WARNING, f"{self._place} cannot be had: {str(error) or 'no answer in time'}")
            return self.may_write()
        if mine and self.may_write() is leading:  # what ran out meanwhile is lost: some request was refused by then
            self._until, self._said = asked + WRITE_SECONDS, ""
        elif not mine:
            self._until = float("-inf") if leading else None
            self._say(logging.INFO, f"{self._place} is held by {self._seen['holderIdentity']}")
        return self.may_write()

    async def release(self) -> None:
        """Write nothing from here on, and give the Lease back: another process may lead at once."""
        self._until = float("-inf")
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                lease = await self._kube.get(LEASE, self._namespace, LEASE_NAME)
                spec = dict(lease.get("spec") or {})
                if spec.pop("holderIdentity", "") == self._name:
                    await self._kube.replace({**lease, "spec": spec})
                    log.info("%s is released", self._place)
        except (ClusterError, TimeoutError) as error:
            log.warning("%s is not released, it runs out: %s", self._place, str(error) or "no answer in time")

    async def _claim(self) -> bool:
        """Write this process' name and the time into the Lease, if it is free or has the name already."""
        lease = self._own or await self._read()
        if not self._is_free(lease):
            return False
        metadata = {"namespace": self._namespace, "name": LEASE_NAME} if lease is None else lease["metadata"]
        claimed = {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.name,
            "metadata": metadata,
            "spec": self._spec((lease or {}).get("spec") or {}),
        }
        self._own = None  # until there is an answer nobody knows
        self._own = await (self._kube.create(claimed) if lease is None else self._kube.replace(claimed))
        return True

    async def _read(self) -> Manifest | None:
        try:
            return await self._kube.get(LEASE, self._namespace, LEASE_NAME)
        except NotFound:
            return None

    def _is_free(self, lease: Manifest | None) -> bool:
        """A Lease that somebody deletes is still its holder's until it would have run out."""
        spec = self._seen if lease is None else lease.get("spec") or {}
        if spec != self._seen:
            self._seen, self._seen_at = spec, self._clock()
        if spec.get("holderIdentity") in (None, "", self._name):
            return True
        return self._clock() - self._seen_at >= (spec.get("leaseDurationSeconds") or LEASE_SECONDS)

    def _spec(self, before: Mapping[str, Any]) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {
            **before,
            "holderIdentity": self._name,
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": now,
        }
        if before.get("holderIdentity") != self._name:
            spec |= {"acquireTime": now, "leaseTransitions": int(before.get("leaseTransitions") or 0) + bool(before)}
        return spec

    def _left(self) -> float:
        """Seconds in which this process may write."""
        return 0.0 if self._until is None else self._until - self._clock()

    @property
    def _place(self) -> str:
        return f"Lease {LEASE_NAME}.{self._namespace}"

    def _say(self, level: int, what: str) -> None:
        if what != self._said:
            log.log(level, "%s", what)
        self._said = what
