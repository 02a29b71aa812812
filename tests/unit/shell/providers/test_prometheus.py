"""Prometheus' answers, from a real HTTP server on loopback."""

from __future__ import annotations

import base64
import math
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from controller.api.metric_template import MetricProvider
from controller.core.probes import NoValues, QueryFailed, Sample, Samples, Value
from controller.shell.providers import open_provider
from controller.shell.providers.prometheus import GET_CHARACTERS, Prometheus
from tests.unit.shell.fakes import CALLER, outside, serving

LOOPBACK = Path(__file__).parents[1] / "loopback.pem"
CERTIFICATE = LOOPBACK.read_text().partition("-----END PRIVATE KEY-----\n")[2]


class Server:
    def __init__(self, answer: Any, status: int = 200) -> None:
        self.answer, self.status = answer, status
        self.query = self.method = ""
        self.headers: dict[str, str] = {}

    async def respond(self, request: web.Request) -> web.Response:
        self.method = request.method
        self.query = str({**request.query, **await request.post()}["query"])
        self.headers = dict(request.headers)
        if isinstance(self.answer, str):
            return web.Response(text=self.answer, status=self.status)
        return web.json_response(self.answer, status=self.status)

    @asynccontextmanager
    async def serve(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
        application = web.Application()
        application.router.add_route("*", "/api/v1/query", self.respond)
        application.router.add_route("*", "/api/v1/query_range", self.respond)
        async with serving(application, tls) as address:
            yield address


def success(kind: str, result: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": kind, "result": result}}


def sample(value: str) -> dict[str, Any]:
    return {"metric": {}, "value": [0, value]}


async def ask(
    server: Server, secret: dict[str, Any] | None = None, tls: ssl.SSLContext | None = None, **provider: Any
) -> Any:
    async with server.serve(tls) as address, outside() as it:
        described = MetricProvider.model_validate({"type": "prometheus", "address": f"{address}/", **provider})
        opened = open_provider(it, CALLER, described, secret)
        if isinstance(opened, QueryFailed):
            return opened
        answer = await opened.query("up{}")
        if isinstance(answer, QueryFailed):
            return answer.reason.replace(address, "ADDRESS")
        return answer


URL = "ADDRESS"


@pytest.mark.parametrize(
    ("server", "answer"),
    [
        pytest.param(Server(success("vector", [sample("1.5")])), Value(1.5), id="a vector of one"),
        pytest.param(
            Server(success("vector", [sample("1"), sample("2")])),
            "the query gives 2 series, it must give one: {}, {}; aggregate it",
            id="several series",
        ),
        pytest.param(Server(success("scalar", [0, "+Inf"])), Value(math.inf), id="infinity"),
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
                f"{URL} gave a result that cannot be read: a vector is not the answer to a range query: "
                '{"status": "success", "data": {"resultType": "vector", "result": []}}'
            ),
            id="something else",
        ),
    ],
)
async def test_a_range_query_has_series(server, answer):
    async with server.serve() as address, outside() as it:
        prometheus = Prometheus(it, CALLER, MetricProvider(type="prometheus", address=address))
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
        pytest.param(secret(**{"token": "abc", "ca.crt": CERTIFICATE}), "Bearer abc", id="a token and authorities"),
        pytest.param(secret(**{"ca.crt": CERTIFICATE}), None, id="authorities alone"),
    ],
)
async def test_credentials_and_headers_go_along(credentials, header):
    server = Server(success("vector", [sample("1")]))
    reference = {"name": "credentials"}
    answer = await ask(server, credentials, secretRef=reference, headers={"X-Scope-OrgID": ["team"]})
    assert answer == Value(1.0)
    assert (server.headers.get("Authorization"), server.headers["X-Scope-OrgID"]) == (header, "team")


@pytest.mark.parametrize(
    ("credentials", "reason"),
    [
        (None, "Secret 'credentials' of the metric provider ADDRESS not found"),
        (secret(key="x"), "ADDRESS: Secret 'credentials' has neither a token nor a username and password"),
        ({**secret(), "data": {"token": "%%%"}}, "ADDRESS: key 'token' of the Secret is not text in base64"),
        (secret(**{"ca.crt": "x"}), "ADDRESS: key 'ca.crt' of the Secret has no certificates in PEM"),
        (secret(**{"ca.crt": ""}), "ADDRESS: key 'ca.crt' of the Secret has no certificates in PEM"),
    ],
)
async def test_a_secret_that_is_missing_or_unusable_fails_the_query(credentials, reason):
    answer = await ask(Server(success("vector", [])), credentials, secretRef={"name": "credentials"})
    text = answer.reason if isinstance(answer, QueryFailed) else answer
    assert _anonymous(text) == reason


@pytest.mark.parametrize(
    ("provider", "answer"),
    [
        ({"secretRef": {"name": "credentials"}}, Value(1.0)),
        ({}, "ADDRESS failed: "),
        ({"insecureSkipVerify": True}, Value(1.0)),
    ],
    ids=["its authority is in the Secret", "nobody knows its authority", "it is not checked"],
)
async def test_a_server_with_a_certificate_of_its_own(provider, answer):
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(LOOPBACK)
    credentials = secret(**{"ca.crt": CERTIFICATE}) if provider.get("secretRef") else None
    found = await ask(Server(success("scalar", [0, "1"])), credentials, tls, **provider)
    assert found == answer if isinstance(answer, Value) else found.startswith(answer)


async def test_the_name_of_a_server_is_checked_whoever_signed_its_certificate():
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(LOOPBACK)
    async with Server(success("scalar", [0, "1"])).serve(tls) as address, outside() as it:
        name = address.replace("127.0.0.1", "localhost")
        described = MetricProvider.model_validate(
            {"type": "prometheus", "address": name, "secretRef": {"name": "credentials"}}
        )
        opened = open_provider(it, CALLER, described, secret(**{"ca.crt": CERTIFICATE}))
        assert not isinstance(opened, QueryFailed)
        answer = await opened.query("up")
        assert isinstance(answer, QueryFailed)
        assert answer.reason.startswith(f"{name} failed: ")


def _anonymous(text: str) -> str:
    return re.sub(r"http://127.0.0.1:\d+", "ADDRESS", text)


async def test_an_unsupported_provider_is_reported():
    assert await ask(Server(""), type="keptn") == QueryFailed("metric provider 'keptn' is not supported")


async def test_a_prometheus_that_is_down_fails_the_query():
    async with Server("").serve() as address:
        pass
    async with outside() as it:
        opened = open_provider(it, CALLER, MetricProvider(type="prometheus", address=address), None)
        assert not isinstance(opened, QueryFailed)
        answer = await opened.query("up")
        assert isinstance(answer, QueryFailed)
        assert answer.reason.startswith(f"{address} failed: Cannot connect to host 127.0.0.1")
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
    async with server.serve() as address, outside() as it:
        opened = open_provider(it, CALLER, MetricProvider(type="prometheus", address=address), None)
        assert not isinstance(opened, QueryFailed)
        samples = await opened.samples("up")
        if isinstance(samples, QueryFailed):
            samples = QueryFailed(samples.reason.replace(address, "ADDRESS"))
        assert samples == answer


@pytest.mark.parametrize(("value", "problem"), [("1", ""), ("2", "answers vector(1) with Value(value=2.0)")])
async def test_the_check_asks_for_a_constant(value, problem):
    server = Server(success("vector", [sample(value)]))
    async with server.serve() as address, outside() as it:
        opened = open_provider(it, CALLER, MetricProvider(type="prometheus", address=address), None)
        assert not isinstance(opened, QueryFailed)
        assert (await opened.check()).removeprefix(f"{address} ") == problem
    assert server.query == "vector(1)"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param("[" * 100_000, id="JSON nested deeper than any parser goes"),
        pytest.param(success("scalar", [0, int("9" * 400)]), id="an integer of 400 digits"),
        pytest.param(success("scalar", [0, None]), id="null for a number"),
        pytest.param(success("scalar", None), id="null for a result"),
        pytest.param(success("vector", [{"metric": None, "value": [0, "1"]}]), id="null for labels"),
        pytest.param(success("vector", [{"metric": {}, "value": None}]), id="null for a value"),
        pytest.param(success("vector", [None]), id="null for a sample"),
        pytest.param({"status": "success", "data": None}, id="null for data"),
        pytest.param({"status": "success", "data": {}}, id="nothing in data"),
        pytest.param({"status": "error", "error": {"a": ["x" * 2_000_000]}}, id="an error of 2 MB that is no text"),
        pytest.param({"status": "error", "error": "x" * 2_000_000}, id="an error of 2 MB"),
        pytest.param({"status": "error", "error": "a\x00\x1b[31m\n" * 1000}, id="control characters"),
        pytest.param("\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), id="text that is no UTF-8"),
    ],
)
async def test_whatever_is_answered_is_a_failure_with_a_short_reason_on_one_line(answer):
    reason = await ask(Server(answer))
    assert isinstance(reason, str)
    assert len(reason) < 600
    assert reason.isprintable()


@pytest.mark.parametrize(("query", "method"), [("up", "GET"), ("x" * GET_CHARACTERS, "POST")])
async def test_short_queries_are_sent_with_get(query, method):
    server = Server(success("scalar", [0, "1"]))
    async with server.serve() as address, outside() as it:
        prometheus = Prometheus(it, CALLER, MetricProvider(type="prometheus", address=address))
        assert await prometheus.query(query) == Value(1.0)
    assert (server.method, server.query) == (method, query)


@pytest.mark.parametrize("end", ["#", "?x=y", "/#fragment"])
async def test_an_address_that_would_swallow_the_path_is_refused(end):
    async with outside() as it:
        prometheus = Prometheus(it, CALLER, MetricProvider(type="prometheus", address=f"http://p.test{end}"))
        assert await prometheus.query("up") == QueryFailed("http://p.test: the address of a Prometheus has no ? or #")


async def test_a_redirect_is_not_followed():
    reason = await ask(Server("", 301))
    assert reason == "ADDRESS answered 301: redirects are not followed, the address must be the final one"
