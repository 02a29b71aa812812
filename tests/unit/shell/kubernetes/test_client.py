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
from controller.shell.kubernetes.kinds import CANARY, DEPLOYMENT, SECRET
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
