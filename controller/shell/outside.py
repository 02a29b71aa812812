"""HTTP requests to servers that a Canary's author chose: webhooks, metric providers and chats.

Nothing about such a server is trusted. Every answer becomes a value, bounded in size and time; redirects are not
followed; neither paths and credentials of a URL nor control characters of an answer reach a message. One Canary cannot
use up the connections that others need.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from controller.shell.budget import Budget, Caller, NoSlotError
from controller.shell.fence import MayWrite, NotLeaderError, always, fenced

ANSWER_BYTES = 1024 * 1024
"""What is read of an answer, after decompression."""
QUOTED = 200
"""Characters of an answer that a message quotes."""
SECRET_CHARACTERS = 8
"""Shorter parts of a path or a header are no secrets by themselves."""
RESOLVER_THREADS = 64
"""Names that do not resolve hold their thread for many seconds; the rest of the process has threads of its own."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, and the body as text.

    Attributes:
        status: of HTTP.
        text: at most as many bytes of the body as are read.
        complete: False where the body was longer.
        secrets: parts of the request that no message may quote; servers like to repeat what they were asked.
    """

    status: int
    text: str
    complete: bool = True
    secrets: tuple[str, ...] = field(default=(), repr=False, compare=False)

    def quoted(self, text: str | None = None) -> str:
        """The beginning of the body, or of ``text`` from it, for a message."""
        shown = printable(self.text if text is None else text)
        for secret in self.secrets:
            shown = shown.replace(secret, "***")
        return shown[:QUOTED]


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """There was none; ``reason`` goes on from the server's name, as in ``gave no answer within 5s``."""

    reason: str


class Outside:
    """Sends requests to servers other than the Kubernetes API.

    Args:
        session: of `open_outside`.
        allowed: patterns of host names, as in ``*.svc``, that a Canary may call; ``{namespace}`` stands for the
            Canary's. Empty: all.
        trusted: URLs that the controller's own options name; they need no pattern.
    """

    def __init__(
        self, session: aiohttp.ClientSession, allowed: Iterable[str] = (), trusted: Iterable[str] = ()
    ) -> None:
        self._session = session
        self._allowed = tuple(allowed)
        self._trusted = {URL(url).origin() for url in trusted if url}
        self._budget = Budget()

    async def ask(
        self,
        caller: Caller,
        method: str,
        url: str,
        *,
        seconds: float,
        verify: bool | ssl.SSLContext = True,
        headers: Sequence[tuple[str, str]] = (),
        params: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        body: Any = None,
        text: str | None = None,
        proxy: str | None = None,
        limit: int = ANSWER_BYTES,
    ) -> Answer | NoAnswer:
        """Send one request. Never raises.

        Args:
            caller: whose budget and permissions count.
            method: HTTP method.
            url: absolute.
            seconds: time in which the whole answer must have been read.
            verify: whether the certificate is checked, or by what.
            headers: sent along; not quoted in any message.
            params: appended to the URL.
            form: sent as the body of a form.
            body: sent as JSON.
            text: sent as it is.
            proxy: URL of the HTTP proxy to go through; it must be allowed as well.
            limit: bytes to read of the answer.
        """
        try:
            origin, *proxies = [URL(each).origin() for each in (url, proxy) if each]
        except ValueError:
            return NoAnswer("is not called: its URL, or that of its proxy, is not one")
        if not all(self._may_call(each, caller.namespace) for each in (origin, *proxies)):
            what = "this host and its proxy" if proxies else "this host"
            return NoAnswer(f"is not called: --allowed-addresses of the controller has no pattern for {what}")
        try:
            async with (
                self._budget.take(caller, origin.host or ""),
                asyncio.timeout(seconds),
                self._session.request(
                    method,
                    url,
                    headers=[("Accept-Encoding", "identity"), *headers],
                    params=params,
                    data=form if text is None else text.encode(),
                    json=body,
                    proxy=proxy,
                    ssl=verify,
                    allow_redirects=False,
                ) as response,
            ):
                return replace(await _read(response, limit), secrets=_secrets(URL(url), headers))
        except NoSlotError as error:
            return NoAnswer(f"is not called: {error}")
        except TimeoutError:
            return NoAnswer(f"gave no answer within {seconds:g}s")
        except Exception as error:  # noqa: BLE001 -- whatever a server makes aiohttp raise, it is a failed request
            return NoAnswer(f"failed: {_problem(error)}")

    def _may_call(self, origin: URL, namespace: str) -> bool:
        patterns = (pattern.replace("{namespace}", namespace) for pattern in self._allowed)
        trusted = not self._allowed or origin in self._trusted
        return trusted or any(fnmatchcase(origin.host or "", pattern) for pattern in patterns)


@asynccontextmanager
async def open_outside(may_write: MayWrite = always) -> AsyncIterator[aiohttp.ClientSession]:
    """A session that keeps no cookies and no answer's encoding; connections are counted by `Outside`.

    Args:
        may_write: see `fenced`; a webhook is a write.
    """
    resolver = _Resolver()
    connector = aiohttp.TCPConnector(limit=0, resolver=resolver)
    async with aiohttp.ClientSession(
        connector=connector,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "canary-controller"},
        request_class=fenced(may_write),
        timeout=aiohttp.ClientTimeout(total=None),
    ) as session:
        yield session
    await resolver.close()


def server_of(url: str) -> str:
    """Scheme, host and port: what a message may say of a URL. Path, query and credentials may be secret."""
    try:
        return str(URL(url).origin())
    except ValueError:
        return "the URL"


def _secrets(url: URL, headers: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Credentials, and the parts of a path that may be some (Slack's are), the longest first."""
    parts = {url.path, url.raw_path, url.query_string, url.password or ""}
    longer = [*url.parts, *(word for _, value in headers for word in value.split())]
    parts |= {part for part in longer if len(part) >= SECRET_CHARACTERS}
    return tuple(sorted((part for part in parts if len(part) > 1), key=len, reverse=True))


def printable(text: str) -> str:
    """``text`` on one line, without control characters."""
    return " ".join(without_controls(text[: 20 * QUOTED]).split())


def without_controls(text: str) -> str:
    """``text`` with a blank for each control character but the line feed."""
    return "".join(each if each.isprintable() or each == "\n" else " " for each in text)


async def _read(response: aiohttp.ClientResponse, limit: int) -> Answer:
    """At most ``limit`` bytes, decompressed as they arrive."""
    coding = response.headers.get("Content-Encoding", "identity").lower()
    if coding not in ("identity", "gzip", "deflate"):
        raise _UnreadableError(f"its Content-Encoding {printable(coding)[:QUOTED]} is not supported")
    unpack = None if coding == "identity" else zlib.decompressobj(zlib.MAX_WBITS | 32)
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += unpack.decompress(chunk, limit + 1 - len(body)) if unpack else chunk
        if len(body) > limit:
            break
    text = bytes(body[:limit]).decode(errors="replace")
    return Answer(response.status, text, complete=len(body) <= limit)


class _UnreadableError(Exception):
    """An answer that cannot be read; the message may be quoted."""


def _problem(error: Exception) -> str:
    """What a message may say: aiohttp quotes whole URLs in some of its errors."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return printable(str(error))[:QUOTED]
    if isinstance(error, (_UnreadableError, NotLeaderError)):
        return str(error)
    return type(error).__name__


class _Resolver(AbstractResolver):
    """getaddrinfo in threads of its own."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(RESOLVER_THREADS, thread_name_prefix="resolve")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        arguments = (host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)
        found = await loop.run_in_executor(self._threads, socket.getaddrinfo, *arguments)
        numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=int(address[1]),
                family=found_family,
                proto=proto,
                flags=numeric,
            )
            for found_family, _, proto, _, address in found
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
