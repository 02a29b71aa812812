"""The HTTP client against an API server made of canned answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from controller.shell.kubernetes import client as kube
from controller.shell.kubernetes.access import Access
from controller.shell.kubernetes.client import KubeClient
from controller.shell.kubernetes.errors import ClusterError, Conflict, NotFound, Rejected, Transient
from controller.shell.kubernetes.kinds import CANARY, DEPLOYMENT, POD, SECRET
from tests.unit.shell.fakes import serving

Answer = Callable[[web.Request], Any]


class Server:
    """Notes each request; answers with the next of ``answers``."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.headers: list[dict[str, str]] = []

    async def respond(self, request: web.Request) -> web.StreamResponse:
        body = await request.text()
        self.requests.append((request.method, request.path, dict(request.query), json.loads(body) if body else None))
        self.headers.append(dict(request.headers))
        answer = self.answers.pop(0)
        if isinstance(answer, web.StreamResponse):
            return answer
        if isinstance(answer, tuple):
            return web.Response(status=answer[0], text=answer[1])
        return web.json_response(answer)


@asynccontextmanager
async def client(
    server: Server, count: Callable[[str, str], None] = lambda verb, kind: None, connections: int = 0
) -> AsyncIterator[KubeClient]:
    async def token(fresh: bool) -> str:
        return "Bearer new" if fresh else "Bearer old"

    async with (
        serving(server.respond) as url,
        Access(url, None, token).open_session(connections=connections) as session,
    ):
        yield KubeClient(session, url, count)


DEPLOYED = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "backend", "namespace": "prod", "resourceVersion": "7"},
}
PATH = "/apis/apps/v1/namespaces/prod/deployments"
MANAGER = {"fieldManager": "canary-controller"}


@pytest.mark.parametrize(
    ("call", "request_"),
    [
        pytest.param(lambda it: it.get(DEPLOYMENT, "prod", "backend"), ("GET", f"{PATH}/backend", {}, None), id="get"),
        pytest.param(lambda it: it.create(DEPLOYED), ("POST", PATH, MANAGER, DEPLOYED), id="create"),
        pytest.param(lambda it: it.replace(DEPLOYED), ("PUT", f"{PATH}/backend", MANAGER, DEPLOYED), id="replace"),
        pytest.param(
            lambda it: it.create(DEPLOYED, dry_run=True),
            ("POST", PATH, {"dryRun": "All", **MANAGER}, DEPLOYED),
            id="try to create",
        ),
        pytest.param(
            lambda it: it.replace(DEPLOYED, dry_run=True),
            ("PUT", f"{PATH}/backend", {"dryRun": "All", **MANAGER}, DEPLOYED),
            id="try to replace",
        ),
        pytest.param(
            lambda it: it.replace_status({**DEPLOYED, "status": {}}),
            ("PUT", f"{PATH}/backend/status", MANAGER, {**DEPLOYED, "status": {}}),
            id="replace the status",
        ),
        pytest.param(
            lambda it: it.patch(DEPLOYMENT, "prod", "backend", {"spec": {"replicas": 3}}),
            ("PATCH", f"{PATH}/backend", MANAGER, {"spec": {"replicas": 3}}),
            id="patch",
        ),
        pytest.param(
            lambda it: it.get(SECRET, "prod", "token"),
            ("GET", "/api/v1/namespaces/prod/secrets/token", {}, None),
            id="core",
        ),
    ],
)
async def test_each_request_is_as_the_api_wants_it(call, request_):
    server, counted = Server(DEPLOYED), []
    async with client(server, lambda *request: counted.append(request)) as it:
        assert await call(it) == DEPLOYED
        assert len(counted) == 1
    assert server.requests == [request_]


async def test_a_list_goes_on_page_by_page_and_names_the_kind_of_its_items():
    item = {"metadata": {"name": "a", "namespace": "prod", "resourceVersion": "5"}}
    pages = [
        {"metadata": {"resourceVersion": "9", "continue": "token"}, "items": [item]},
        {"metadata": {"resourceVersion": "9"}, "items": None},
    ]
    server = Server(*pages)
    async with client(server) as it:
        listing = await it.list(SECRET, metadata_only=True)
    assert listing.version == "9"
    assert listing.items == ({**item, "apiVersion": "v1", "kind": "Secret"},)
    assert [query.get("continue") for _, _, query, _ in server.requests] == [None, "token"]
    assert server.headers[0]["Accept"] == "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


def status(code: int, message: str) -> tuple[int, str]:
    return code, json.dumps({"kind": "Status", "message": message, "code": code})


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (status(409, "the object has been modified"), Conflict, "answered 409: the object has been modified"),
        (
            status(404, 'deployments.apps "backend" not found'),
            NotFound,
            'answered 404: deployments.apps "backend" not found',
        ),
        (status(403, "forbidden"), Rejected, "answered 403: forbidden"),
        (status(422, "spec: invalid"), Rejected, "answered 422: spec: invalid"),
        (status(410, "expired"), Transient, "answered 410: expired"),
        (status(429, "too many"), Transient, "answered 429: too many"),
        ((502, "<html>bad gateway</html>"), Transient, "answered 502: <html>bad gateway</html>"),
        ((500, ""), Transient, "answered 500: Internal Server Error"),
        ((200, "<html>a login page</html>"), Transient, "unexpected mimetype"),
    ],
)
async def test_a_failure_is_an_error_of_the_tree_in_the_server_s_words(answer, error, said):
    async with client(Server(answer)) as it:
        with pytest.raises(error) as caught:
            await it.get(DEPLOYMENT, "prod", "backend")
    assert type(caught.value) is error
    assert str(caught.value).startswith(f"Kubernetes API, GET {PATH}/backend: ")
    assert said in str(caught.value)


async def test_the_version_of_the_server_is_without_its_letter():
    server = Server({"gitVersion": "v1.36.3"})
    async with client(server) as kube_client:
        assert await kube_client.version() == "1.36.3"
    assert server.requests == [("GET", "/version", {}, None)]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((403, "forbidden"), Rejected),
        ((503, "later"), Transient),
        ((200, "<html>"), Transient),
        ([], Transient),
        ({}, Transient),
    ],
    ids=["forbidden", "down", "no JSON", "a list", "of something else"],
)
async def test_a_version_that_is_not_said_is_an_error_of_the_tree(answer, error):
    async with client(Server(answer)) as kube_client:
        with pytest.raises(error, match="GET /version"):
            await kube_client.version()


async def test_a_server_that_is_down_is_transient():
    async with client(Server()) as it:
        pass
    access = Access(it._server, None, _no_token)
    async with access.open_session() as session:
        with pytest.raises(Transient, match="Cannot connect to host"):
            await KubeClient(session, access.server, lambda verb, kind: None).get(CANARY, "prod", "backend")


async def _no_token(fresh: bool) -> str:
    return ""


async def test_a_token_that_is_refused_is_renewed_and_the_request_sent_again():
    server = Server(status(401, "Unauthorized"), DEPLOYED)
    async with client(server) as it:
        assert await it.replace(DEPLOYED) == DEPLOYED
    assert [headers["Authorization"] for headers in server.headers] == ["Bearer old", "Bearer new"]
    assert [body for _, _, _, body in server.requests] == [DEPLOYED, DEPLOYED]


async def test_a_new_token_that_is_refused_too_is_transient():
    async with client(Server(status(401, "Unauthorized"), status(401, "Unauthorized"))) as it:
        with pytest.raises(Transient, match="401"):
            await it.get(DEPLOYMENT, "prod", "backend")


async def test_a_request_that_waits_for_a_connection_is_not_overtaken(monkeypatch):
    monkeypatch.setattr(kube, "CONNECTIONS", 1)
    server = Server(*[DEPLOYED] * 6)
    async with client(server, connections=1) as it:

        async def one_after_another(name: str) -> None:
            for _ in range(3):
                await it.get(DEPLOYMENT, "prod", name)

        await asyncio.gather(one_after_another("one"), one_after_another("two"))
    assert [path.rpartition("/")[2] for _, path, _, _ in server.requests] == ["one", "two"] * 3


async def test_a_silent_server_is_given_up(monkeypatch):
    monkeypatch.setattr(kube, "REQUEST_SECONDS", 0.05)

    class Silent(Server):
        async def respond(self, request):
            await asyncio.sleep(1)

    async with client(Silent()) as it:
        with pytest.raises(ClusterError, match="no answer in time"):
            await it.get(DEPLOYMENT, "prod", "backend")


def told(happened: str, name: str, version: int = 1, **more: Any) -> bytes:
    """An event of a watch."""
    metadata = {"name": name, "resourceVersion": str(version), "managedFields": [{}]}
    return json.dumps({"type": happened, "object": {"metadata": metadata, **more}}).encode() + b"\n"


async def watched(*chunks: bytes) -> tuple[list[tuple[str, Any]], Server, ClusterError | None]:
    """What a watch shows of a stream that comes in these pieces, and how it ends."""
    seen: list[tuple[str, Any]] = []

    async def stream(request: web.Request) -> web.StreamResponse:
        server.requests.append((request.method, request.path, dict(request.query), None))
        response = web.StreamResponse()
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
            await asyncio.sleep(0)
        return response

    server = Server()
    server.respond = stream  # type: ignore[method-assign]
    async with client(server) as it:
        try:
            async for each in it.watch(POD, "prod", "app=backend", "7"):
                seen.append(each)  # noqa: PERF401 -- what came before an error counts
        except ClusterError as error:
            return seen, server, error
    return seen, server, None


async def test_a_watch_shows_what_happens_and_ends_with_its_answer():
    big = told("MODIFIED", "b", status={"message": "x" * 300_000})
    stream = told("ADDED", "a") + told("BOOKMARK", "") + big + told("DELETED", "a")
    seen, server, error = await watched(stream[:70], stream[70:200_000], stream[200_000:])
    assert [(happened, pod["metadata"]["name"], pod["kind"]) for happened, pod in seen] == [
        ("ADDED", "a", "Pod"),
        ("MODIFIED", "b", "Pod"),
        ("DELETED", "a", "Pod"),
    ]
    assert (error, "managedFields" in seen[0][1]["metadata"]) == (None, False)
    query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": "7", "labelSelector": "app=backend"}
    assert server.requests == [("GET", "/api/v1/namespaces/prod/pods", query, None)]


async def test_a_watch_from_a_version_that_is_too_old_says_so():
    gone = json.dumps({"type": "ERROR", "object": {"code": 410, "message": "too old resource version"}}).encode()
    seen, _, error = await watched(told("ADDED", "a") + gone + b"\n")
    assert (len(seen), type(error)) == (1, Transient)
    assert "answered 410: too old resource version" in str(error)


async def test_a_silent_watch_is_given_up(monkeypatch):
    monkeypatch.setattr(kube, "SILENCE_SECONDS", 0.1)

    async def silent(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.Event().wait()
        return response

    server = Server()
    server.respond = silent  # type: ignore[method-assign]
    async with client(server) as it:
        with pytest.raises(Transient, match="no answer in time"):
            await anext(it.watch(POD, "prod", "app=backend", "7"))
