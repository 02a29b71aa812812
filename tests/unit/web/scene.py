"""The page on loopback, over a cache that a test fills, and a cluster that knows two people."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiohttp import ClientResponse, ClientSession, ClientTimeout

from controller.core.model import Manifest
from controller.shell.history import HistoryKeeper
from controller.shell.informer.cache import Cache
from controller.web.server import Page
from tests.unit.shell.fakes import FakeKube, serving

MAY, MAY_NOT = "token-of-ann", "token-of-bob"
PEOPLE = {MAY: "ann", MAY_NOT: "bob"}


class Cluster(FakeKube):
    """Knows `PEOPLE` by their tokens; ann may update Canaries in prod."""

    def __init__(self, *manifests: Mapping[str, Any]) -> None:
        super().__init__(*manifests)
        self.reviews: list[Mapping[str, Any]] = []

    async def create(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        spec = manifest["spec"]
        self.reviews.append(spec)
        if manifest["kind"] == "TokenReview":
            name = PEOPLE.get(spec["token"])
            user = {"username": name, "groups": ["dev"], "uid": f"uid-{name}"}
            return {"status": {"authenticated": True, "user": user} if name else {"authenticated": False}}
        return {"status": {"allowed": spec["user"] == "ann" and spec["resourceAttributes"]["namespace"] == "prod"}}


@dataclass
class Scene:
    """An open page.

    Attributes:
        cache: what it is drawn from; `put` changes it.
    """

    address: str
    session: ClientSession
    page: Page
    cache: Cache
    kube: Cluster
    version: int = field(default=100)

    def put(self, *manifests: Mapping[str, Any]) -> None:
        """The watches show newer versions."""
        for each in manifests:
            self.version += 1
            metadata = {**each["metadata"], "resourceVersion": str(self.version)}
            self.cache.put({**each, "metadata": metadata})

    async def get(self, path: str) -> str:
        async with self.session.get(self.address + path) as response:
            assert response.status == 200, await response.text()
            return await response.text()

    async def act(self, action: Any, path: str = "/canaries/prod/backend", **headers: str) -> tuple[int, str]:
        """Status and text of the answer to an action."""
        sent = {"Content-Type": "application/json", **{name.replace("_", "-"): headers[name] for name in headers}}
        body = action if isinstance(action, str) else json.dumps(action)
        async with self.session.post(f"{self.address}{path}/actions", data=body, headers=sent) as response:
            return response.status, (await response.text()).strip()

    @asynccontextmanager
    async def news(self, path: str) -> AsyncIterator[News]:
        """The server-sent events of a page."""
        async with self.session.get(self.address + path) as response:
            assert response.content_type == "text/event-stream"
            yield News(response)


@dataclass
class News:
    response: ClientResponse

    async def next(self) -> tuple[str, str | None]:
        """Id and HTML of the next element."""
        while True:
            line = (await self.response.content.readline()).decode()
            assert line, "the stream has ended"
            if line.startswith("data: "):
                event = json.loads(line.removeprefix("data: "))
                return event["id"], event["html"]


@asynccontextmanager
async def open_scene(
    *manifests: Mapping[str, Any], clock: Callable[[], datetime] | None = None
) -> AsyncIterator[Scene]:
    """The page over these objects."""
    kube = Cluster(*manifests)
    cache = Cache(lambda *_: None)
    history = HistoryKeeper(kube, cache)
    page = Page(cache, history, kube, clock)
    cache.witness(page.changed)
    for each in manifests:
        cache.put(each)
    async with (
        serving(page.application(), cancelling=True) as address,
        ClientSession(timeout=ClientTimeout(20)) as session,
    ):
        yield Scene(address, session, page, cache, kube)
