"""The fence: no write leaves a process that does not lead (docs/adr/0010-one-leader-by-a-lease.md)."""

from __future__ import annotations

from collections.abc import Callable

import aiohttp
from aiohttp.abc import AbstractStreamWriter

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
        def refusal(self) -> NotLeaderError | None:
            if self.method in READING or may_write():
                return None
            return NotLeaderError("not sent: this controller does not hold the Lease")

        async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
            if refusal := self.refusal():
                raise refusal
            return await super().send(conn)

        async def write_bytes(
            self, writer: AbstractStreamWriter, conn: aiohttp.connector.Connection, content_length: int | None = None
        ) -> None:
            """The body, and the headers that wait for it: a task of their own, whose turn may come late."""
            refusal = self.refusal()
            if refusal is None:
                await super().write_bytes(writer, conn, content_length)
            elif conn.protocol is not None:
                conn.protocol.set_exception(refusal)  # for the one that waits for the answer
                conn.close()

    return FencedRequest
