"""The seam to the Kubernetes API: a few requests on plain JSON objects (docs/adr/0002-kubernetes-client.md)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp

from controller.api.names import FIELD_MANAGER
from controller.core.model import Manifest
from controller.shell.kubernetes.errors import Transient, cluster_error
from controller.shell.kubernetes.kinds import KINDS, Kind

REQUEST_SECONDS = 30
SILENCE_SECONDS = 75
"""A watch on which not even a bookmark came for so long is dead; the API server sends one about every minute."""
CONNECTIONS = 50
"""Requests that are open at once; asyncio reserves 256 KiB for each connection with TLS."""
MOST_WATCHES = 40
"""Watches that people who look at the page may cause at a time: a connection each."""
PAGE = 200
"""Objects in one answer to a list; a larger one is larger in memory, for good."""


@dataclass(frozen=True, slots=True)
class Listing:
    """All objects of a kind, and the version of the cluster's state at which that is true."""

    items: tuple[Manifest, ...]
    version: str


class Kube(Protocol):
    """What the controller asks of the cluster. Every method raises ClusterError."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest:
        """Read one object."""
        ...

    async def list(
        self, kind: Kind, namespace: str = "", *, metadata_only: bool = False, selector: str = "", fields: str = ""
    ) -> Listing:
        """Read all objects of a kind, of the whole cluster without a namespace; by labels and fields if given."""
        ...

    def watch(self, kind: Kind, namespace: str, selector: str, version: str) -> AsyncIterator[tuple[str, Manifest]]:
        """What happens to these objects after ``version``: ``ADDED``, ``MODIFIED`` or ``DELETED``, and the object.

        It ends when the server says so, which is no error; whoever goes on has to list again.
        """
        ...

    async def create(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Create; Conflict if it exists. With ``dry_run`` everything is checked and nothing is stored."""
        ...

    async def replace(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Replace; Conflict if the object is not at ``metadata.resourceVersion`` any more. ``dry_run`` as above."""
        ...

    async def replace_status(self, manifest: Manifest) -> Manifest:
        """Replace ``.status`` alone; Conflict as with ``replace``."""
        ...

    async def delete(self, kind: Kind, namespace: str, name: str, version: str) -> None:
        """Delete an object with its dependents; Conflict if it is not at ``version`` any more."""
        ...

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Mapping[str, Any]) -> Manifest:
        """Apply a JSON merge patch."""
        ...


class KubeClient:
    """`Kube` over HTTP.

    Args:
        session: logs in by itself (`Access.open_session`).
        server: the API server's URL.
        count: called with the verb and the kind of every request.
        field_manager: who is said to own the fields it writes.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        server: str,
        count: Callable[[str, str], None],
        field_manager: str = FIELD_MANAGER,
    ) -> None:
        self._session = session
        self._server = server
        self._count = count
        self._field_manager = field_manager
        self._turns = asyncio.Semaphore(CONNECTIONS)

    async def version(self) -> str:
        """That of the API server, as in 1.36.3. Raises ClusterError."""
        request, timeout = "GET /version", aiohttp.ClientTimeout(total=REQUEST_SECONDS)
        with _failures(request):
            async with self._session.get(f"{self._server}/version", timeout=timeout) as response:
                await _raise_for_status(request, response)
                answer = await response.json()
        if not isinstance(answer, dict) or "gitVersion" not in answer:
            raise Transient(request, 0, "the answer has no version")
        return str(answer["gitVersion"]).removeprefix("v")

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest:
        return await self._send("GET", kind, kind.path(namespace, name), verb="get")

    async def list(
        self, kind: Kind, namespace: str = "", *, metadata_only: bool = False, selector: str = "", fields: str = ""
    ) -> Listing:
        items: list[Manifest] = []
        query = {"limit": str(PAGE)} | ({"labelSelector": selector} if selector else {})
        query |= {"fieldSelector": fields} if fields else {}
        while True:
            page = await self._send(
                "GET",
                kind,
                kind.path(namespace),
                verb="list",
                query=query,
                accept=accept_header(metadata_only=metadata_only, listing=True),
            )
            items += [_typed(item, kind) for item in page.get("items") or ()]
            if not page["metadata"].get("continue"):
                return Listing(tuple(items), str(page["metadata"].get("resourceVersion", "")))
            query["continue"] = page["metadata"]["continue"]

    async def watch(
        self, kind: Kind, namespace: str, selector: str, version: str
    ) -> AsyncIterator[tuple[str, Manifest]]:
        request = f"GET {kind.path(namespace)}"
        query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": version, "labelSelector": selector}
        accept = accept_header(metadata_only=False, listing=False)
        timeout = aiohttp.ClientTimeout(sock_connect=REQUEST_SECONDS, sock_read=SILENCE_SECONDS)
        opening = self._open(
            "GET", kind, kind.path(namespace), verb="watch", query=query, accept=accept, timeout=timeout
        )
        with _failures(request):
            async with opening as response:
                await _raise_for_status(request, response)
                async for line in _lines(response.content):
                    event = json.loads(line)
                    if event["type"] == "ERROR":  # most often: that version is too old by now
                        raise Transient(request, int(event["object"]["code"]), str(event["object"].get("message")))
                    if event["type"] != "BOOKMARK":
                        yield event["type"], _typed(event["object"], kind)

    async def create(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        kind, namespace, _ = _place(manifest)
        path = kind.path(namespace)
        return await self._send("POST", kind, path, verb="create", query=_options(dry_run), body=manifest)

    async def replace(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        kind, namespace, name = _place(manifest)
        path = kind.path(namespace, name)
        return await self._send("PUT", kind, path, verb="update", query=_options(dry_run), body=manifest)

    async def replace_status(self, manifest: Manifest) -> Manifest:
        kind, namespace, name = _place(manifest)
        path = kind.path(namespace, name, "status")
        return await self._send("PUT", kind, path, verb="update", body=manifest)

    async def delete(self, kind: Kind, namespace: str, name: str, version: str) -> None:
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"resourceVersion": version},
            "propagationPolicy": "Background",
        }
        await self._send("DELETE", kind, kind.path(namespace, name), verb="delete", body=options)

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Mapping[str, Any]) -> Manifest:
        return await self._send("PATCH", kind, kind.path(namespace, name), verb="patch", body=patch)

    async def _send(
        self,
        method: str,
        kind: Kind,
        path: str,
        *,
        verb: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        accept: str = "application/json",
    ) -> dict[str, Any]:
        request = f"{method} {path}"
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
        with _failures(request):
            # aiohttp gives a free connection to whoever asks next, so with many requests some would wait until they
            # time out: here the one that waits longest is next, and its time begins when it is sent.
            async with (
                self._turns,
                self._open(
                    method, kind, path, verb=verb, query=query, body=body, accept=accept, timeout=timeout
                ) as response,
            ):
                await _raise_for_status(request, response)
                answer: dict[str, Any] = await response.json()
                return answer

    def _open(
        self,
        method: str,
        kind: Kind,
        path: str,
        *,
        verb: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        accept: str,
        timeout: aiohttp.ClientTimeout,
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        self._count(verb, kind.name)
        parameters = dict(query or {})
        headers = {"Accept": accept}
        if method != "GET":
            parameters["fieldManager"] = self._field_manager
            headers["Content-Type"] = "application/merge-patch+json" if method == "PATCH" else "application/json"
        return self._session.request(
            method,
            self._server + path,
            params=parameters,
            headers=headers,
            data=None if body is None else json.dumps(body).encode(),
            timeout=timeout,
        )


@contextmanager
def _failures(request: str) -> Iterator[None]:
    """No answer, or one that is not understood, is Transient."""
    try:
        yield
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise Transient(request, 0, _words(error)) from error


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Each line as it comes; aiohttp's own has a limit, which one object may exceed."""
    begun = bytearray()
    async for chunk in content.iter_any():
        first, *others = chunk.split(b"\n")
        begun += first
        for following in others:
            yield bytes(begun)
            begun = bytearray(following)


def _options(dry_run: bool) -> dict[str, str]:
    return {"dryRun": "All"} if dry_run else {}


def accept_header(*, metadata_only: bool, listing: bool) -> str:
    """``Accept`` for whole objects or for their metadata alone, of a list or of single objects."""
    if metadata_only:
        return f"application/json;as=PartialObjectMetadata{'List' if listing else ''};g=meta.k8s.io;v=v1"
    return "application/json"


def _typed(item: Mapping[str, Any], kind: Kind) -> Manifest:
    """An item of a list with its kind, which lists leave out or call metadata only, and without ``managedFields``."""
    metadata = {name: value for name, value in item["metadata"].items() if name != "managedFields"}
    return {**item, "apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata}


def _place(manifest: Manifest) -> tuple[Kind, str, str]:
    metadata = manifest["metadata"]
    return KINDS[manifest["kind"]], metadata.get("namespace", ""), metadata["name"]


async def _raise_for_status(request: str, response: aiohttp.ClientResponse) -> None:
    if response.status < 400:
        return
    text = await response.text()
    try:
        reason = str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        reason = text.strip()[:300] or str(response.reason)
    raise cluster_error(request, response.status, reason)


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__
