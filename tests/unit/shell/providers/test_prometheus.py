"""Prometheus' answers, from a real HTTP server on loopback."""

from __future__ import annotations

import base64
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from controller.api.metric_template import MetricProvider
from controller.core.model import NoValues, QueryFailed, Sample, Samples, Value
from controller.shell.providers import open_provider
from controller.shell.providers.prometheus import Prometheus


class Server:
    def __init__(self, answer: Any, status: int = 200) -> None:
        self.answer, self.status = answer, status
        self.query = ""
        self.headers: dict[str, str] = {}

    async def respond(self, request: web.Request) -> web.Response:
        self.query = str((await request.post())["query"])
        self.headers = dict(request.headers)
        if isinstance(self.answer, str):
            return web.Response(text=self.answer, status=self.status)
        return web.json_response(self.answer, status=self.status)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        application = web.Application()
        application.router.add_post("/api/v1/query", self.respond)
        application.router.add_post("/api/v1/query_range", self.respond)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


def success(kind: str, result: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": kind, "result": result}}


def sample(value: str) -> dict[str, Any]:
    return {"metric": {}, "value": [0, value]}


async def ask(server: Server, secret: dict[str, Any] | None = None, **provider: Any) -> Any:
    async with server.serve() as address, aiohttp.ClientSession() as session:
        described = MetricProvider.model_validate({"type": "prometheus", "address": f"{address}/", **provider})
        opened = open_provider(session, described, secret)
        if isinstance(opened, QueryFailed):
            return opened
        answer = await opened.query("up{}")
        if isinstance(answer, QueryFailed):
            return answer.reason.replace(address, "ADDRESS")
        return answer


URL = "ADDRESS/api/v1/query"


@pytest.mark.parametrize(
    ("server", "answer"),
    [
        pytest.param(Server(success("vector", [sample("1.5")])), Value(1.5), id="a vector of one"),
        pytest.param(
            Server(success("vector", [sample("1"), sample("2")])),
            "the query gives 2 series, it must give one: {}, {}; aggregate it",
            id="several series",
        ),
        pytest.param(Server(success("vector", [])), NoValues(), id="an empty vector"),
        pytest.param(Server(success("vector", [sample("NaN")])), NoValues(), id="NaN"),
        pytest.param(Server(success("scalar", [0, "3"])), Value(3.0), id="a scalar"),
        pytest.param(
            Server({"status": "error", "errorType": "bad_data", "error": "parse error: unexpected {"}, 400),
            f"{URL} answered 400: parse error: unexpected {{",
            id="a query it cannot parse, in its own words",
        ),
        pytest.param(
            Server("<html>Bad Gateway</html>", 502),
            f"{URL} answered 502, which is not Prometheus' JSON: <html>Bad Gateway</html>",
            id="a proxy's page",
        ),
        pytest.param(Server([1], 200), f"{URL} answered 200: [1]", id="JSON of another kind"),
    ],
)
async def test_an_answer_is_a_value_or_says_what_is_wrong(server, answer):
    assert await ask(server) == answer
    assert server.query == "up{}"


async def test_a_range_vector_is_refused_with_what_is_allowed():
    reason = await ask(Server(success("matrix", [])))
    assert "a matrix is not a number; the query must give a scalar or an instant vector" in reason


@pytest.mark.parametrize(
    ("server", "answer"),
    [
        pytest.param(
            Server(success("matrix", [{"metric": {"a": "b"}, "values": [[1.5, "2"]]}])),
            ({"metric": {"a": "b"}, "values": [[1.5, "2"]]},),
            id="series",
        ),
        pytest.param(Server(success("matrix", [])), (), id="no series"),
        pytest.param(
            Server(success("vector", [])),
            QueryFailed(
                f"{URL}_range gave a result that cannot be read (a vector is not the answer to a range query): "
                '{"status": "success", "data": {"resultType": "vector", "result": []}}'
            ),
            id="something else",
        ),
    ],
)
async def test_a_range_query_has_series(server, answer):
    async with server.serve() as address, aiohttp.ClientSession() as session:
        prometheus = Prometheus(session, MetricProvider(type="prometheus", address=address), {})
        found = await prometheus.series("up", start=0, end=60, step=30)
        if isinstance(found, QueryFailed):
            found = QueryFailed(found.reason.replace(address, "ADDRESS"))
        assert found == answer


def secret(**values: str) -> dict[str, Any]:
    data = {name: base64.b64encode(value.encode()).decode() for name, value in values.items()}
    return {"kind": "Secret", "metadata": {"name": "credentials"}, "data": data}


@pytest.mark.parametrize(
    ("credentials", "header"),
    [
        pytest.param(secret(token="abc"), "Bearer abc", id="a token"),
        pytest.param(secret(username="me", password="pass"), "Basic bWU6cGFzcw==", id="a user and password"),
    ],
)
async def test_credentials_and_headers_go_along(credentials, header):
    server = Server(success("vector", [sample("1")]))
    reference = {"name": "credentials"}
    answer = await ask(server, credentials, secretRef=reference, headers={"X-Scope-OrgID": ["team"]})
    assert answer == Value(1.0)
    assert (server.headers["Authorization"], server.headers["X-Scope-OrgID"]) == (header, "team")


@pytest.mark.parametrize(
    ("credentials", "reason"),
    [
        (None, "Secret 'credentials' of the metric provider ADDRESS/ not found"),
        (secret(key="x"), f"{URL} failed: Secret 'credentials' has neither a token nor a username and password"),
        (
            {**secret(), "data": {"token": "%%%"}},
            f"{URL} failed: key 'token' of the Secret is not text in base64",
        ),
    ],
)
async def test_a_secret_that_is_missing_or_unusable_fails_the_query(credentials, reason):
    answer = await ask(Server(success("vector", [])), credentials, secretRef={"name": "credentials"})
    text = answer.reason if isinstance(answer, QueryFailed) else answer
    assert _anonymous(text) == reason


def _anonymous(text: str) -> str:
    words = ["ADDRESS/" if word.startswith("http://127.0.0.1") else word for word in text.split(" ")]
    return " ".join(words)


async def test_a_provider_that_is_not_supported_is_told_with_those_that_are():
    answer = await ask(Server(""), type="datadog")
    assert answer == QueryFailed("metric provider 'datadog' is not supported; supported: prometheus")


async def test_a_prometheus_that_is_down_fails_the_query():
    async with Server("").serve() as address:
        pass
    async with aiohttp.ClientSession() as session:
        opened = open_provider(session, MetricProvider(type="prometheus", address=address), None)
        assert not isinstance(opened, QueryFailed)
        answer = await opened.query("up")
        assert isinstance(answer, QueryFailed)
        assert answer.reason.startswith(f"{address}/api/v1/query failed: Cannot connect to host 127.0.0.1")
        assert await opened.check() == answer.reason


@pytest.mark.parametrize(
    ("server", "answer"),
    [
        pytest.param(
            Server(
                success(
                    "vector",
                    [
                        {"metric": {"instance": "10.0.0.1"}, "value": [0, "90"]},
                        {"metric": {"instance": "10.0.0.1", "bad": "true"}, "value": [0, "1e+12"]},
                    ],
                )
            ),
            Samples((Sample({"instance": "10.0.0.1"}, 90.0), Sample({"instance": "10.0.0.1", "bad": "true"}, 1e12))),
            id="every element with its labels",
        ),
        pytest.param(Server(success("vector", [])), Samples(()), id="an empty vector is nothing counted yet"),
        pytest.param(
            Server(success("vector", [sample("+Inf")])), Samples((Sample({}, math.inf),)), id="what the core must judge"
        ),
        pytest.param(
            Server({"status": "error", "error": "query timed out"}, 503),
            QueryFailed(f"{URL} answered 503: query timed out"),
            id="an error is no empty vector",
        ),
    ],
)
async def test_of_a_vector_all_samples_can_be_had(server, answer):
    async with server.serve() as address, aiohttp.ClientSession() as session:
        opened = open_provider(session, MetricProvider(type="prometheus", address=address), None)
        assert not isinstance(opened, QueryFailed)
        samples = await opened.samples("up")
        if isinstance(samples, QueryFailed):
            samples = QueryFailed(samples.reason.replace(address, "ADDRESS"))
        assert samples == answer


@pytest.mark.parametrize(("value", "problem"), [("1", ""), ("2", "answers vector(1) with Value(value=2.0)")])
async def test_the_check_asks_for_a_constant(value, problem):
    server = Server(success("vector", [sample(value)]))
    async with server.serve() as address, aiohttp.ClientSession() as session:
        opened = open_provider(session, MetricProvider(type="prometheus", address=address), None)
        assert not isinstance(opened, QueryFailed)
        assert (await opened.check()).removeprefix(f"{address}/api/v1/query ") == problem
    assert server.query == "vector(1)"
