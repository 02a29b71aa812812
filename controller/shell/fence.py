"""The fence: no write leaves a process that does not lead (docs/adr/0010-one-leader-by-a-lease.md)."""

from __future__ import annotations

from collections.abc import Callable

import aiohttp

MayWrite = Callable[[], bool]
"""Whether this process may change anything now."""
READING = frozenset({"GET", "HEAD"})


class NotLeaderError(aiohttp.ClientError):
    """The request was not sent."""


def always() -> bool:
    """There is no other controller."""
    return True


def fenced(may_write: MayWrite) -> type[aiohttp.ClientRequest]:
    """The class of a session's requests, of which all but those that only read are sent while ``may_write``.

    It is asked after everything that a request waits for: its credentials, a free connection, the handshake.
    """

    class FencedRequest(aiohttp.ClientRequest):
        async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
            if self.method not in READING and not may_write():
                raise NotLeaderError("not sent: this controller does not hold the Lease")
            return await super().send(conn)

    return FencedRequest
