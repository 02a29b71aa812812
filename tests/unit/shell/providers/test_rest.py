"""Metric servers other than Prometheus, each as it talks: what it is sent, and what its answers mean.

The server is a real one on loopback. What a provider's documentation shows as an answer is one here.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from controller.api.metric_template import MetricProvider
from controller.core.probes import History, NoValues, QueryFailed, Samples, Value
from controller.shell import providers
from controller.shell.providers import DIALECTS, open_provider, rest
from controller.shell.providers.cloudwatch import sign
from tests.unit.shell.fakes import CALLER, outside, serving

PRIVATE_KEY = (
    rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
)
NOW = 1_700_000_000.0
INTERVAL = 60.0


@dataclass
class Server:
    """Answers every request with ``body`` and notes it."""

    body: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    requests: list[web.Request] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        self.bodies.append(await request.text())
        return web.Response(text=self.body, status=self.status, headers=self.headers)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        async with serving(self.answer) as address:
            yield address


@dataclass(frozen=True)
class Case:
    """One provider.

    Attributes:
        query: a query.
        secret: the keys of its Secret.
        sent: method, path, query of the URL, headers and body that the query becomes.
        values: answers, and the number that each is.
        nothing: answers without a number.
        several: an answer of two series.
        errors: answers that say what is wrong (status, body), and the words that a message must have.
        checked: the path of the request that shows whether the server can be used.
    """

    query: str
    secret: Mapping[str, str]
    sent: tuple[str, str, Mapping[str, str], Mapping[str, str], str]
    values: Mapping[str, float]
    nothing: tuple[str, ...]
    several: str
    errors: Mapping[tuple[int, str], str]
    checked: str


def influx(*rows: str, kind: str = "double") -> str:
    """Annotated CSV as InfluxDB 2 writes it."""
    head = (
        f"#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,{kind},string",
        ",result,table,_start,_stop,_value,_field",
    )
    return "\r\n".join((*head, *rows, "", ""))


def stream(*events: tuple[str, Any]) -> str:
    """Server-sent events as SignalFlow writes them: pretty JSON, a data line for each of its lines."""
    blocks = []
    for kind, message in events:
        lines = json.dumps(message, indent=1).splitlines()
        blocks.append("\n".join((f"event: {kind}", *(f"data: {line}" for line in lines))))
    return "\n\n".join(blocks) + "\n\n"


def points(*data: tuple[str, Any]) -> dict[str, Any]:
    return {"data": [{"tsId": name, "value": value} for name, value in data], "logicalTimestampMs": 1_700_000_000_000}


def datadog(*values: Any) -> dict[str, Any]:
    pairs = [[1_700_000_000_000.0 + 1000 * number, value] for number, value in enumerate(values)]
    return {"metric": "trace.http.errors", "scope": "service:backend", "pointlist": pairs, "unit": None}


def dynatrace(*values: Any) -> dict[str, Any]:
    return {"dimensions": ["SERVICE-1"], "timestamps": [1_700_000_000_000] * len(values), "values": list(values)}


STARTED = ("control-message", {"event": "STREAM_START", "timestampMs": 1})
ENDED = ("control-message", {"event": "END_OF_CHANNEL", "timestampMs": 2})


def cloudwatch(*results: Mapping[str, Any]) -> str:
    return json.dumps({"MetricDataResults": [{"StatusCode": "Complete", **each} for each in results], "Messages": []})


def external(*values: str) -> str:
    items = [{"metricName": "queue-length", "metricLabels": {"app": "backend"}, "value": value} for value in values]
    return json.dumps({"kind": "ExternalMetricValueList", "items": items})


def google(*points: Any) -> str:
    """A series for each, of its points from the newest on; as the API writes them."""
    data = [{"labelValues": [{}], "pointData": [{"values": [value]} for value in each]} for each in points]
    return json.dumps({"timeSeriesDescriptor": {}, "timeSeriesData": data})


QUERIES = [{"Id": "e1", "Expression": "m1 / m2", "Label": "ErrorRate"}]
NEWEST = {"Id": "e1", "Label": "ErrorRate", "Timestamps": [1.7e9, 1.69e9], "Values": [1.5, 2.5]}

CASES: Mapping[str, Case] = {
    "cloudwatch": Case(
        query=json.dumps(QUERIES),
        secret={"aws_access_key_id": "AKID-1234567", "aws_secret_access_key": "secret-1234567"},
        sent=(
            "POST",
            "/",
            {},
            {
                "Content-Type": "application/x-amz-json-1.0",
                "X-Amz-Target": "GraniteServiceVersion20100801.GetMetricData",
                "X-Amz-Date": "20231114T221320Z",
            },
            json.dumps(
                {
                    "StartTime": 1_699_999_400,
                    "EndTime": 1_700_000_000,
                    "MaxDatapoints": 20,
                    "MetricDataQueries": QUERIES,
                }
            ),
        ),
        values={cloudwatch(NEWEST): 1.5},
        nothing=(cloudwatch(), cloudwatch({**NEWEST, "Values": []})),
        several=cloudwatch(NEWEST, {**NEWEST, "Id": "e2"}),
        errors={
            (403, '{"__type":"AccessDeniedException","message":"not authorized"}'): "not authorized",
            (200, cloudwatch({**NEWEST, "StatusCode": "InternalError"})): "InternalError: e1",
        },
        checked="/",
    ),
    "datadog": Case(
        query="avg:trace.http.errors{service:backend}",
        secret={"datadog_api_key": "api-key-1234", "datadog_application_key": "app-key-1234"},
        sent=(
            "GET",
            "/api/v1/query",
            {"query": "avg:trace.http.errors{service:backend}", "from": "1699999400", "to": "1700000000"},
            {"DD-API-KEY": "api-key-1234", "DD-APPLICATION-KEY": "app-key-1234"},
            "",
        ),
        values={
            json.dumps({"status": "ok", "series": [datadog(1.5, 2.5)]}): 1.5,
            json.dumps({"status": "ok", "series": [datadog(None, 2.5)]}): 2.5,
        },
        nothing=(json.dumps({"status": "ok", "series": []}), json.dumps({"status": "ok", "series": [datadog(None)]})),
        several=json.dumps({"series": [datadog(1), datadog(2)]}),
        errors={
            (403, '{"errors":["Forbidden"]}'): 'answered 403: {"errors":["Forbidden"]}',
            (200, '{"status":"error","error":"Error parsing query"}'): "Error parsing query",
        },
        checked="/api/v1/validate",
    ),
    "newrelic": Case(
        query="SELECT filter(count(*), WHERE error) / count(*) FROM Transaction",
        secret={"newrelic_account_id": "98765", "newrelic_query_key": "query-key-1234"},
        sent=(
            "GET",
            "/v1/accounts/98765/query",
            {"nrql": "SELECT filter(count(*), WHERE error) / count(*) FROM Transaction SINCE 60 seconds ago"},
            {"X-Query-Key": "query-key-1234"},
            "",
        ),
        values={
            '{"results":[{"result":0.25}]}': 0.25,
            '{"results":[{"average":12.5}],"metadata":{}}': 12.5,
            '{"results":[{"count":3}]}': 3.0,
        },
        nothing=('{"results":[]}', '{"results":[{"result":null}]}', '{"results":[{"average":null}]}'),
        several='{"results":[{"result":1},{"result":2}]}',
        errors={(403, '{"error":"Invalid query key provided."}'): "answered 403: "},
        checked="/v1/accounts/98765/query",
    ),
    "graphite": Case(
        query="target=averageSeries(\n  app.{a,b}.errors\n)&from=-2min",
        secret={"username": "user", "password": "password-1234"},
        sent=(
            "GET",
            "/render",
            {"target": "averageSeries( app.{a,b}.errors )", "from": "-2min", "format": "json"},
            {"Authorization": "Basic " + base64.b64encode(b"user:password-1234").decode()},
            "",
        ),
        values={
            '[{"target":"a","datapoints":[[1,1700000000],[2.5,1700000060],[null,1700000120]]}]': 2.5,
            '[{"target":"a","datapoints":[["3.5","1700000000"]]}]': 3.5,
        },
        nothing=("[]", '[{"target":"a","datapoints":[]}]', '[{"target":"a","datapoints":[[null,1700000000]]}]'),
        several='[{"target":"a","datapoints":[[1,0]]},{"target":"b","datapoints":[[2,0]]}]',
        errors={(400, "Invalid from time"): "answered 400: Invalid from time"},
        checked="/render",
    ),
    "influxdb": Case(
        query='from(bucket: "apps") |> range(start: -1m) |> mean()',
        secret={"token": "token-1234567", "org": "shop"},
        sent=(
            "POST",
            "/api/v2/query",
            {"org": "shop"},
            {"Authorization": "Token token-1234567", "Accept": "application/csv"},
            json.dumps(
                {
                    "query": 'from(bucket: "apps") |> range(start: -1m) |> mean()',
                    "type": "flux",
                    "dialect": {"header": True, "annotations": ["datatype"]},
                }
            ),
        ),
        values={
            influx(",_result,0,2023-11-14T22:12:20Z,2023-11-14T22:13:20Z,1.5,errors"): 1.5,
            influx(",_result,0,,,1.5,errors", ",_result,0,,,2.5,errors"): 1.5,
            influx(",_result,0,,,7,errors", kind="long"): 7.0,
        },
        nothing=("", "\r\n", influx(), influx(",_result,0,,,,errors")),
        several=influx(",_result,0,,,1,a", ",_result,1,,,2,b"),
        errors={
            (401, '{"code":"unauthorized","message":"unauthorized access"}'): "answered 401: ",
            (
                200,
                "#datatype,string,string\r\n,error,reference\r\n,Failed to parse query,897\r\n",
            ): "Failed to parse query",
            (200, influx(",_result,0,,,up,state", kind="string")): "_value is a string, it must be a number",
        },
        checked="/api/v2/query",
    ),
    "dynatrace": Case(
        query="builtin:service.errors.total.rate",
        secret={"dynatrace_token": "dt0c01.token-1234"},
        sent=(
            "GET",
            "/api/v2/metrics/query",
            {
                "metricSelector": "builtin:service.errors.total.rate",
                "resolution": "Inf",
                "from": "1699999400000",
                "to": "1700000000000",
            },
            {"Authorization": "Api-Token dt0c01.token-1234"},
            "",
        ),
        values={json.dumps({"totalCount": 1, "result": [{"metricId": "m", "data": [dynatrace(1.5)]}]}): 1.5},
        nothing=(
            '{"result":[]}',
            '{"result":[{"metricId":"m","data":[]}]}',
            json.dumps({"result": [{"metricId": "m", "data": [dynatrace(None)]}]}),
        ),
        several=json.dumps({"result": [{"metricId": "m", "data": [dynatrace(1), dynatrace(2)]}]}),
        errors={(401, '{"error":{"code":401,"message":"Token Authentication failed"}}'): "Token Authentication failed"},
        checked="/api/v2/metrics",
    ),
    "externalmetrics": Case(
        query="prod/queue-length?labelSelector=app%3Dbackend%2Ctier%20in%20%28a%2Cb%29",
        secret={"token": "token-1234567"},
        sent=(
            "GET",
            "/apis/external.metrics.k8s.io/v1beta1/namespaces/prod/queue-length",
            {"labelSelector": "app=backend,tier in (a,b)"},
            {"Authorization": "Bearer token-1234567"},
            "",
        ),
        values={external("1500m"): 1.5, external("12"): 12.0, external("2Ki"): 2048.0, external("-3e2"): -300.0},
        nothing=(external(),),
        several=external("1", "2"),
        errors={
            (404, '{"kind":"Status","message":"the server could not find the metric queue-length"}'): "could not find",
            (200, external("many")): "'many' is not a quantity of Kubernetes",
        },
        checked="/apis/external.metrics.k8s.io/v1beta1",
    ),
    "splunk": Case(
        query="data('errors', filter=filter('service', 'backend')).mean().publish()",
        secret={"sf_token_key": "token-1234567"},
        sent=(
            "POST",
            "/v2/signalflow/execute",
            {"start": "1699999400000", "stop": "1700000000000", "immediate": "true"},
            {"X-SF-Token": "token-1234567", "Content-Type": "text/plain"},
            "data('errors', filter=filter('service', 'backend')).mean().publish()",
        ),
        values={
            stream(STARTED, ("data", points(("AAA", 1.5))), ("data", points(("AAA", 2.5))), ENDED): 2.5,
            stream(STARTED, ("data", points(("AAA", 3))), ("data", points(("AAA", None))), ENDED): 3.0,
        },
        nothing=(stream(STARTED, ENDED), stream(STARTED, ("data", points()), ENDED)),
        several=stream(("data", points(("AAA", 1), ("BBB", 2)))),
        errors={
            (401, '{"message":"Unauthorized"}'): 'answered 401: {"message":"Unauthorized"}',
            (200, stream(STARTED, ("error", {"error": 400, "message": "line 1: unknown function"}))): (
                "line 1: unknown function"
            ),
        },
        checked="/v2/metric",
    ),
    "stackdriver": Case(
        query="fetch k8s_container | metric 'errors' | mean",
        secret={"project": "shop-1234567"},
        sent=(
            "POST",
            "/v3/projects/shop-1234567/timeSeries:query",
            {},
            {"Authorization": "Bearer ya29.token-1234"},
            json.dumps({"query": "fetch k8s_container | metric 'errors' | mean"}),
        ),
        values={
            google([{"doubleValue": 1.5}, {"doubleValue": 2.5}]): 1.5,
            google([{"int64Value": "7"}]): 7.0,
        },
        nothing=("{}", google(), google([])),
        several=google([{"doubleValue": 1}], [{"doubleValue": 2}]),
        errors={
            (400, '{"error":{"code":400,"message":"Line 1: syntax error","status":"INVALID_ARGUMENT"}}'): (
                "Line 1: syntax error"
            )
        },
        checked="/v3/projects/shop-1234567/timeSeries:query",
    ),
}


@pytest.fixture(autouse=True)
def at_noon(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_ROLE_ARN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(time, "time", lambda: NOW)


def secret_of(keys: Mapping[str, str]) -> dict[str, Any] | None:
    coded = {name: base64.b64encode(value.encode()).decode() for name, value in keys.items()}
    return {"metadata": {"name": "keys"}, "data": coded} if coded else None


@asynccontextmanager
async def metadata_server() -> AsyncIterator[None]:
    """Google's, on a node; the tokens are for whoever asks with its header."""
    async with Server('{"access_token":"ya29.token-1234","expires_in":3599}').serve() as url:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GCE_METADATA_HOST", url.removeprefix("http://"))
            patch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_MONITORING", "")
            yield


@asynccontextmanager
async def opened(name: str, server: Server, secret: Mapping[str, str] | None = None) -> AsyncIterator[Any]:
    keys = CASES[name].secret if secret is None else secret
    spec: dict[str, Any] = {"type": name, **({"secretRef": {"name": "keys"}} if keys else {})}
    async with metadata_server(), server.serve() as address, outside() as it:
        os.environ["CLOUDSDK_API_ENDPOINT_OVERRIDES_MONITORING"] = address
        described = MetricProvider.model_validate({**spec, "address": f"{address}/", "region": "eu-west-1"})
        yield open_provider(it, CALLER, described, secret_of(keys), INTERVAL)


async def query(name: str, server: Server, **options: Any) -> Any:
    async with opened(name, server, **options) as provider:
        return await provider.query(CASES[name].query)


ANSWERS: list[tuple[str, str, Value | NoValues]] = [
    (name, body, Value(number)) for name, case in CASES.items() for body, number in case.values.items()
]
ANSWERS += [(name, body, NoValues()) for name, case in CASES.items() for body in case.nothing]
ERRORS = [(name, *answer, words) for name, case in CASES.items() for answer, words in case.errors.items()]
BROKEN: tuple[str, ...] = ("<html>login</html>", "[1]", '{"a": 1}', "null", '"text"', "[" * 100_000)


def test_every_provider_has_a_case():
    assert set(CASES) == set(DIALECTS)


@pytest.mark.parametrize("name", CASES)
async def test_a_query_is_sent_as_the_provider_takes_it(name):
    method, path, parameters, headers, body = CASES[name].sent
    server = Server(next(iter(CASES[name].values)))
    await query(name, server)
    (request,) = server.requests
    assert (request.method, request.path, dict(request.query)) == (method, path, parameters)
    assert headers.items() <= dict(request.headers).items()
    (sent,) = server.bodies
    assert sent == body or json.loads(sent) == json.loads(body)


@pytest.mark.parametrize(("name", "body", "meant"), ANSWERS)
async def test_an_answer_is_a_number_or_none(name, body, meant):
    assert await query(name, Server(body)) == meant


@pytest.mark.parametrize(("name", "status", "body", "words"), ERRORS)
async def test_what_the_provider_says_is_wrong_is_told(name, status, body, words):
    failed = await query(name, Server(body, status))
    assert isinstance(failed, QueryFailed)
    assert words in failed.reason
    assert failed.reason.startswith("http://127.0.0.1:")


@pytest.mark.parametrize("name", CASES)
async def test_several_series_are_an_error_that_names_them(name):
    failed = await query(name, Server(CASES[name].several))
    assert isinstance(failed, QueryFailed)
    assert failed.reason.startswith("the query gives 2 series, it must give one: {")


@pytest.mark.parametrize("body", BROKEN, ids=lambda body: body[:20])
@pytest.mark.parametrize("name", CASES)
async def test_a_body_of_something_else_is_no_number(name, body):
    failed = await query(name, Server(body))
    assert isinstance(failed, QueryFailed)
    assert "gave a result that cannot be read: " in failed.reason
    assert len(failed.reason) < 400


@pytest.mark.parametrize("status", [302, 500])
@pytest.mark.parametrize("name", CASES)
async def test_no_other_status_is_an_answer(name, status):
    server = Server(next(iter(CASES[name].values)), status, {"Location": "/login"} if status == 302 else {})
    failed = await query(name, server)
    assert isinstance(failed, QueryFailed)
    assert f"answered {status}: " in failed.reason
    assert len(server.requests) == 1


@pytest.mark.parametrize("name", CASES)
async def test_a_server_that_is_slow_or_away_is_a_failure(monkeypatch, name):
    hurried = {name: dataclasses.replace(DIALECTS[name], seconds=0.0)}
    monkeypatch.setattr(providers, "DIALECTS", hurried)
    failed = await query(name, Server(""))
    assert isinstance(failed, QueryFailed)
    assert failed.reason.endswith("gave no answer within 0s")


@pytest.mark.parametrize(("name", "key"), [(name, key) for name, case in CASES.items() for key in case.secret])
async def test_a_key_that_the_secret_does_not_have_is_named(name, key):
    server = Server("")
    others = {other: value for other, value in CASES[name].secret.items() if other != key} or {"other": "x"}
    failed = await query(name, server, secret=others)
    assert isinstance(failed, QueryFailed)
    assert f"the Secret of spec.provider.secretRef must have the key {key}" in failed.reason
    assert server.requests == []


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("name", CASES)
async def test_no_secret_is_quoted(name, status):
    secret = CASES[name].secret
    server = Server(f"you sent {' '.join(secret.values())}", status)
    failed = await query(name, server)
    assert isinstance(failed, QueryFailed)
    sent = [value for value in secret.values() if any(value in each for each in server.requests[0].headers.values())]
    assert not [value for value in sent if value in failed.reason and not value.startswith("AKID")], "an id is none"


@pytest.mark.parametrize(("status", "problem"), [(200, ""), (403, "answered 403: no")])
@pytest.mark.parametrize("name", CASES)
async def test_the_check_asks_for_little_and_says_what_is_wrong(name, status, problem):
    server = Server("no", status)
    async with opened(name, server) as provider:
        assert (await provider.check()).endswith(problem)
    assert [request.path for request in server.requests] == [CASES[name].checked]


@pytest.mark.parametrize("name", CASES)
async def test_counters_need_prometheus(name):
    async with opened(name, Server("")) as provider:
        answers: list[Samples | History | QueryFailed] = [
            await provider.samples("q"),
            await provider.history("q", 2, 5),
        ]
    reason = f"{name} has no counters; compare.counters needs a provider of type prometheus"
    assert answers == [QueryFailed(reason)] * 2


@pytest.mark.parametrize("name", ["externalmetrics", "graphite", "influxdb"])
async def test_without_a_secret_there_are_no_credentials(name):
    server = Server(next(iter(CASES[name].values)))
    await query(name, server, secret={})
    assert "Authorization" not in server.requests[0].headers


@pytest.mark.parametrize("address", ["", "backend:80", "http://x/?a=b", "http://x/#a"])
@pytest.mark.parametrize("name", sorted(set(CASES) - {"cloudwatch", "datadog", "newrelic", "stackdriver"}))
async def test_an_address_that_is_none_is_told(name, address):
    described = MetricProvider.model_validate({"type": name, "address": address})
    async with outside() as it:
        provider = open_provider(it, CALLER, described, secret_of(CASES[name].secret))
        assert not isinstance(provider, QueryFailed)
        failed = await provider.query(CASES[name].query)
    assert isinstance(failed, QueryFailed)
    assert "spec.provider.address must be a URL that starts with http://" in failed.reason


@pytest.mark.parametrize(
    ("name", "address", "url"),
    [
        ("cloudwatch", "", "https://monitoring.eu-west-1.amazonaws.com/"),
        ("datadog", "", "https://api.datadoghq.com/api/v1/query"),
        ("newrelic", "", "https://insights-api.newrelic.com/v1/accounts/98765/query"),
        ("splunk", "https://api.us1.signalfx.com", "https://stream.us1.signalfx.com/v2/signalflow/execute"),
        ("splunk", "wss://stream.us1.signalfx.com", "https://stream.us1.signalfx.com/v2/signalflow/execute"),
        ("splunk", "wss://api.us1.signalfx.com/", "https://stream.us1.signalfx.com/v2/signalflow/execute"),
    ],
)
def test_the_address_is_the_provider_s_default_or_one_of_its_hosts(name, address, url):
    described = MetricProvider.model_validate({"type": name, "address": address, "region": "eu-west-1"})
    question = rest.Question(described, CASES[name].secret, CASES[name].query, INTERVAL, NOW)
    assert DIALECTS[name].ask(question).url == url


def test_a_signature_is_that_of_aws_s_own_example():
    """post-vanilla of the test suite for signature version 4."""
    keys = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    signed = sign({"Host": "example.amazonaws.com"}, "", keys, ("us-east-1", "service"), 1_440_938_160)
    assert signed["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        "SignedHeaders=host;x-amz-date, "
        "Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
    )


CREDENTIALS = {"AccessKeyId": "ASIA-1234567", "SecretAccessKey": "secret", "SessionToken": "session-1234567"}
ASSUMED = {"AssumeRoleWithWebIdentityResponse": {"AssumeRoleWithWebIdentityResult": {"Credentials": CREDENTIALS}}}


async def test_without_a_secret_cloudwatch_is_asked_as_the_controller_s_role(monkeypatch, tmp_path):
    (tmp_path / "token").write_text("web-identity\n")
    sts = Server(json.dumps(ASSUMED))
    async with sts.serve() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", url)
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/canary")
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
        server = Server(cloudwatch(NEWEST))
        assert await query("cloudwatch", server, secret={}) == Value(1.5)
        sts.status, sts.body = 403, "ExpiredTokenException"
        failed = await query("cloudwatch", server, secret={})
    assert sts.requests[0].content_type == "application/x-www-form-urlencoded"
    assert "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fcanary" in sts.bodies[0]
    assert "WebIdentityToken=web-identity" in sts.bodies[0]
    headers = server.requests[0].headers
    assert headers["X-Amz-Security-Token"] == "session-1234567"
    assert headers["Authorization"].startswith(
        "AWS4-HMAC-SHA256 Credential=ASIA-1234567/20231114/eu-west-1/monitoring/"
    )
    assert failed == QueryFailed(f"{url} answered 403: ExpiredTokenException")


async def test_without_a_secret_and_a_role_cloudwatch_is_not_asked(monkeypatch):
    server = Server(cloudwatch(NEWEST))
    failed = await query("cloudwatch", server, secret={})
    assert "neither a Secret with aws_access_key_id and aws_secret_access_key nor a role" in failed.reason
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID-1234567")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-1234567")
    assert await query("cloudwatch", server, secret={}) == Value(1.5)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("written", "region", "said"),
    [
        ("SELECT AVG(x)", "eu-west-1", "a query of CloudWatch is a JSON list of MetricDataQueries"),
        ('{"Id": "m1"}', "eu-west-1", "a query of CloudWatch is a JSON list of MetricDataQueries"),
        ("[]", None, "spec.provider.region must be a region of AWS"),
        ("[]", "evil.example.com/", "spec.provider.region must be a region of AWS"),
    ],
)
async def test_what_cloudwatch_cannot_be_asked_says_why(written, region, said):
    described = MetricProvider.model_validate({"type": "cloudwatch", "region": region})
    async with outside() as it:
        provider = open_provider(it, CALLER, described, secret_of(CASES["cloudwatch"].secret))
        assert not isinstance(provider, QueryFailed)
        failed = await provider.query(written)
    assert isinstance(failed, QueryFailed)
    assert failed.reason.startswith(f"cloudwatch: {said}")


async def test_the_controller_s_token_goes_to_google_whatever_the_template_says():
    described = MetricProvider.model_validate({"type": "stackdriver", "address": "https://evil.example.com"})
    question = rest.Question(described, {"project": "shop", "access_token": "ya29"}, "q", INTERVAL, NOW)
    assert DIALECTS["stackdriver"].ask(question).url == (
        "https://monitoring.googleapis.com/v3/projects/shop/timeSeries:query"
    )


async def test_a_sign_in_has_no_header_of_the_template(monkeypatch):
    metadata, server = Server('{"access_token":"ya29.token-1234"}'), Server("{}")
    async with metadata.serve() as url, server.serve() as address, outside() as it:
        monkeypatch.setenv("GCE_METADATA_HOST", url.removeprefix("http://"))
        monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_MONITORING", address)
        described = MetricProvider.model_validate({"type": "stackdriver", "headers": {"X-Team": ["shop"]}})
        provider = open_provider(it, CALLER, described, secret_of(CASES["stackdriver"].secret))
        assert not isinstance(provider, QueryFailed)
        assert await provider.query("q") == NoValues()
    (asked,), (queried,) = metadata.requests, server.requests
    assert asked.path == "/computeMetadata/v1/instance/service-accounts/default/token"
    assert (asked.headers["Metadata-Flavor"], "X-Team" in asked.headers) == ("Google", False)
    assert queried.headers["X-Team"] == "shop"


def service_account(**fields: Any) -> dict[str, str]:
    """The Secret with the key of a service account of Google, as its console writes the file."""
    account = {"client_email": "shop@example.iam", "private_key_id": "key-1", "private_key": PRIVATE_KEY}
    return {"project": "shop", "serviceAccountKey": json.dumps({"type": "service_account", **account, **fields})}


async def test_a_key_of_google_s_service_account_signs_each_request():
    server = Server("{}")
    assert await query("stackdriver", server, secret=service_account()) == NoValues()
    (request,) = server.requests
    token = request.headers["Authorization"].removeprefix("Bearer ")
    public = load_pem_private_key(PRIVATE_KEY.encode(), None).public_key()
    checks = {"verify_exp": False, "verify_iat": False}  # NOW is long ago
    audience = "https://monitoring.googleapis.com/"
    assert jwt.decode(token, public, ["RS256"], audience=audience, options=checks) == {  # type: ignore[arg-type]
        "iss": "shop@example.iam",
        "sub": "shop@example.iam",
        "aud": audience,
        "iat": int(NOW),
        "exp": int(NOW) + 600,
    }
    assert jwt.get_unverified_header(token)["kid"] == "key-1"


@pytest.mark.parametrize(
    "secret",
    [
        {"project": "shop", "serviceAccountKey": "no JSON private-1234"},
        {"project": "shop", "serviceAccountKey": '["private-1234"]'},
        service_account(private_key="private-1234"),
        service_account(private_key=None),
        {"project": "shop", "serviceAccountKey": '{"client_email": "private-1234"}'},
    ],
)
async def test_what_is_no_key_of_a_service_account_is_told_without_the_key(secret):
    server = Server("{}")
    failed = await query("stackdriver", server, secret=secret)
    assert isinstance(failed, QueryFailed)
    assert "serviceAccountKey of the Secret must hold the JSON of a key of a service account" in failed.reason
    assert "private-1234" not in failed.reason
    assert server.requests == []


@pytest.mark.parametrize(
    ("written", "path"),
    [("queue", "default/queue"), ("/queue", "default/queue"), (" prod/queue\n", "prod/queue"), ("a b/c", "a%20b/c")],
)
def test_an_external_metric_has_a_namespace(written, path):
    described = MetricProvider.model_validate({"type": "externalmetrics", "address": "https://api"})
    question = rest.Question(described, {}, written, INTERVAL, NOW)
    assert DIALECTS["externalmetrics"].ask(question).url == (
        f"https://api/apis/external.metrics.k8s.io/v1beta1/namespaces/{path}"
    )


@pytest.mark.parametrize("written", ["", "prod/", "a/b/c"])
async def test_a_query_of_external_metrics_names_one(written):
    async with opened("externalmetrics", Server("")) as provider:
        failed = await provider.query(written)
    assert "a query of external metrics is NAMESPACE/METRIC?labelSelector=SELECTOR" in failed.reason


async def test_a_query_of_graphite_has_a_target():
    async with opened("graphite", Server("")) as provider:
        failed = await provider.query("averageSeries(app.errors)")
    assert "a query of Graphite has a target" in failed.reason
