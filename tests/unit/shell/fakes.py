"""What the shell speaks to: a Kubernetes API in memory, as strict as the real one, and servers on loopback."""

from __future__ import annotations

import asyncio
import copy
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from controller.core.model import Manifest
from controller.shell.budget import Caller
from controller.shell.kubernetes.client import Listing
from controller.shell.kubernetes.errors import ClusterError, Conflict, NotFound
from controller.shell.kubernetes.kinds import KINDS, Key, Kind, key_of
from controller.shell.outside import Outside, open_outside

CALLER = Caller("prod", "backend")
Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def outside() -> AsyncIterator[Outside]:
    async with open_outside() as session:
        yield Outside(session)


@asynccontextmanager
async def serving(
    answers: web.Application | Respond, tls: ssl.SSLContext | None = None, *, cancelling: bool = False
) -> AsyncIterator[str]:
    """The address of a server on loopback: an application, or one handler for every request.

    ``cancelling`` ends a handler whose client is gone.
    """
    if isinstance(answers, web.Application):
        application = answers
    else:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", answers)
    runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=cancelling)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class FakeKube:
    """`Kube` in memory.

    Attributes:
        requests: verb and object of every request, in order.
        watching: what each watch that is open has yet to show; ``END`` ends it, as the server does.
        failures: what the next requests raise, in order, by verb, or by verb and object; None for one that succeeds.
    """

    def __init__(self, *manifests: Mapping[str, Any]) -> None:
        self.requests: list[tuple[str, str]] = []
        self.failures: dict[str, list[ClusterError | None]] = defaultdict(list)
        self.watching: list[asyncio.Queue[tuple[str, dict[str, Any]]]] = []
        self._objects: dict[Key, dict[str, Any]] = {}
        self._version = 0
        for manifest in manifests:
            self.set(manifest)

    def object(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        return copy.deepcopy(self._objects[kind, namespace, name])

    def objects(self, kind: str) -> list[dict[str, Any]]:
        return [copy.deepcopy(manifest) for key, manifest in self._objects.items() if key[0] == kind]

    def set(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Somebody else creates or changes an object."""
        self._version += 1
        stored = copy.deepcopy(dict(manifest))
        stored["metadata"]["resourceVersion"] = str(self._version)
        stored["metadata"].setdefault("uid", f"uid-{self._version}")
        self._happened("MODIFIED" if key_of(stored) in self._objects else "ADDED", stored)
        self._objects[key_of(stored)] = stored
        return copy.deepcopy(stored)

    def remove(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        self._version += 1
        deleted = self._objects.pop((kind, namespace, name))
        deleted["metadata"]["resourceVersion"] = str(self._version)
        self._happened("DELETED", deleted)
        return deleted

    def writes(self) -> list[tuple[str, str]]:
        return [request for request in self.requests if request[0] not in ("get", "list", "watch")]

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest:
        self._requested("get", f"{kind.name}/{name}")
        return copy.deepcopy(self._stored((kind.name, namespace, name)))

    async def list(
        self, kind: Kind, namespace: str = "", *, metadata_only: bool = False, selector: str = "", fields: str = ""
    ) -> Listing:
        self._requested("list", kind.name)
        items = [item for key, item in self._objects.items() if key[0] == kind.name and namespace in ("", key[1])]
        items = [item for item in items if _selected(item, selector)]
        for path, value in (part.split("=") for part in fields.split(",") if part):
            items = [item for item in items if _at(item, path) == value]
        shown = [_metadata(item) if metadata_only else item for item in items]
        return Listing(tuple(copy.deepcopy(shown)), str(self._version))

    async def watch(
        self, kind: Kind, namespace: str, selector: str, version: str
    ) -> AsyncIterator[tuple[str, Manifest]]:
        self._requested("watch", kind.name)
        events: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()
        self.watching.append(events)
        try:
            while True:
                happened, item = await events.get()
                if happened == "END":
                    return
                if key_of(item)[:2] == (kind.name, namespace) and _selected(item, selector):
                    yield happened, item
        finally:
            if events in self.watching:
                self.watching.remove(events)

    def _happened(self, happened: str, item: Mapping[str, Any]) -> None:
        for each in self.watching:
            each.put_nowait((happened, copy.deepcopy(dict(item))))

    async def create(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        key = key_of(manifest)
        self._requested("try to create" if dry_run else "create", f"{key[0]}/{key[2]}")
        if key in self._objects:
            raise Conflict(f"POST {key[0]}", 409, "already exists")
        return manifest if dry_run else self.set(manifest)

    async def replace(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        key = key_of(manifest)
        self._requested("try to replace" if dry_run else "replace", f"{key[0]}/{key[2]}")
        self._expect_version(manifest)
        if dry_run:
            return manifest
        status = self._objects[key].get("status")
        body = {name: value for name, value in manifest.items() if name != "status"}
        return self.set({**body, **({} if status is None else {"status": status})})

    async def replace_status(self, manifest: Manifest) -> Manifest:
        key = key_of(manifest)
        self._requested("replace status", f"{key[0]}/{key[2]}")
        self._expect_version(manifest)
        return self.set({**self._objects[key], "status": manifest["status"]})

    async def delete(self, kind: Kind, namespace: str, name: str, version: str) -> None:
        key = (kind.name, namespace, name)
        self._requested("delete", f"{kind.name}/{name}")
        if self._stored(key)["metadata"]["resourceVersion"] != version:
            raise Conflict(f"DELETE {kind.name}", 409, "the object has been modified")
        self.remove(*key)

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Mapping[str, Any]) -> Manifest:
        self._requested("patch", f"{kind.name}/{name}")
        return self.set(_merged(self._stored((kind.name, namespace, name)), patch))

    def _requested(self, verb: str, what: str) -> None:
        self.requests.append((verb, what))
        failures = self.failures[f"{verb} {what}"] or self.failures[verb]
        failure = failures.pop(0) if failures else None
        if failure is not None:
            raise failure

    def _stored(self, key: Key) -> dict[str, Any]:
        if key not in self._objects:
            raise NotFound(f"GET {KINDS[key[0]].plural}/{key[2]}", 404, "not found")
        return self._objects[key]

    def _expect_version(self, manifest: Manifest) -> None:
        stored = self._stored(key_of(manifest))
        if stored["metadata"]["resourceVersion"] != manifest["metadata"]["resourceVersion"]:
            raise Conflict(f"PUT {manifest['kind']}", 409, "the object has been modified")


def _selected(item: Mapping[str, Any], selector: str) -> bool:
    wanted = dict(part.split("=") for part in selector.split(",") if part)
    return wanted.items() <= (item["metadata"].get("labels") or {}).items()


def _at(item: Any, path: str) -> Any:
    for part in path.split("."):
        item = item.get(part, {})
    return item


def _metadata(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {name: manifest[name] for name in ("apiVersion", "kind", "metadata")}


def _merged(stored: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON merge patch applied."""
    merged = {**stored, **patch}
    for key, value in patch.items():
        if isinstance(value, Mapping) and isinstance(stored.get(key), Mapping):
            merged[key] = _merged(stored[key], value)
    return {key: value for key, value in merged.items() if value is not None}
