"""The queries for Istio's metrics, answered by a real Prometheus that scrapes what pods and a gateway would expose."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.api import promql
from controller.api.metric import BUILTIN_METRICS
from controller.api.metric_template import MetricProvider
from controller.api.parse import parse_metric_template
from controller.core.analysis.counters import plan_counters, plan_history, read_samples
from controller.core.analysis.failures import describe_failures, plan_failures
from controller.core.analysis.thresholds import plan_query
from controller.core.analysis.traffic import plan_traffic, read_traffic
from controller.core.analysis.values import plan_values
from controller.core.evidence.readings import Reading
from controller.core.probes import (
    CounterProbe,
    History,
    MetricProbe,
    NoValues,
    QueryFailed,
    Samples,
    TrafficProbe,
    Value,
)
from controller.shell.providers import open_provider
from sandbox.node.controlplane import free_ports
from sandbox.paths import Cache
from tests.builders import WEIGHTED, make_canary
from tests.unit.shell.fakes import CALLER, outside

SCRAPES = 4
START_SECONDS = 30


@dataclass(frozen=True)
class Series:
    """A counter; ``step`` is what it grows by from scrape to scrape."""

    name: str
    labels: Mapping[str, str]
    value: float
    step: float = 0.0

    def line(self, scrape: int) -> str:
        labels = ",".join(f"{key}={json.dumps(value)}" for key, value in self.labels.items())
        return f"{self.name}{{{labels}}} {self.value + self.step * scrape:.17g}\n"


def requests(workload: str, code: str, value: float, step: float = 0.0, **labels: str) -> Series:
    described = {
        "reporter": "destination",
        "destination_workload": workload,
        "destination_workload_namespace": "prod",
        "destination_service_namespace": "prod",
        "destination_service_name": workload,
        "response_code": code,
        "response_flags": "-",
        **labels,
    }
    return Series("istio_requests_total", described, value, step)


def unreached(service: str, code: str, flags: str, value: float, workload: str = "unknown", **labels: str) -> Series:
    """As a gateway counts it: no workload is known where no pod was reached."""
    source = {
        "reporter": "source",
        "destination_service_name": service,
        "destination_workload_namespace": "unknown",
        "response_flags": flags,
    }
    return requests(workload, code, value, 0.0, **source, **labels)


def durations(workload: str, counts: Mapping[str, float], step: float = 0.0) -> list[Series]:
    """Cumulative counts by edge as Envoy writes it; each grows by ``step`` but the first."""
    labels = {
        "reporter": "destination",
        "destination_workload": workload,
        "destination_workload_namespace": "prod",
    }
    return [
        Series("istio_request_duration_milliseconds_bucket", {**labels, "le": edge}, count, step if number else 0.0)
        for number, (edge, count) in enumerate(counts.items())
    ]


TCP = {"reporter": "destination", "destination_workload_namespace": "prod"}
PODS: Mapping[str, list[Series]] = {
    "canary-1": [
        requests("backend", "200", 90, source_workload="a"),
        requests("backend", "200", 5, source_workload="b"),
        requests("backend", "404", 3),
        requests("backend", "500", 1),
        requests("backend", "503", 1),
        requests("backend", "200", 7000, destination_workload_namespace="elsewhere"),
        *durations("backend", {"0.5": 0, "100": 40, "1800000": 99, "+Inf": 100}),
    ],
    "canary-2": [requests("backend", "500", 10)],
    "primary": [
        requests("backend-primary", "200", 1e12),
        requests("backend-primary", "500", 30),
        *durations("backend-primary", {"0.5": 1, "100": 700, "1800000": 900, "+Inf": 901}),
    ],
    "neighbours": [
        requests("backend-primary-2", "500", 100),
        requests("my-backend", "500", 100),
        requests("web.v2", "500", 4),
        requests("webxv2", "500", 100),
        requests("web.v2-primary", "200", 6),
    ],
    "gateway": [
        requests("backend", "500", 5000, reporter="source", destination_service_name="backend-canary"),
        unreached("backend-canary", "503", "UH", 2),
        # The same but for the workload: one endpoint's name was known before the connection failed.
        unreached("backend-canary", "503", "UF,URX", 3),
        unreached("backend-canary", "503", "UF,URX", 4, workload="backend"),
        unreached("backend-canary", "0", "DC", 1000),
        unreached("backend-canary", "504", "UT", 1000),
        unreached("backend-primary", "503", "UO", 6),
        unreached("backend-primary", "503", "UH", 1000, destination_service_namespace="elsewhere"),
        unreached("backend", "503", "NC", 1000),
        unreached("grpc-canary", "200", "UH", 2, grpc_response_status="14"),
    ],
    "grpc": [
        *(requests("grpc", "200", value, grpc_response_status=status) for status, value in (("0", 90), ("5", 7))),
        *(requests("grpc", "200", value, grpc_response_status=status) for status, value in (("14", 2), ("13", 1))),
        requests("grpc", "503", 4, grpc_response_status="14"),
        requests("grpc", "404", 6, grpc_response_status=""),
    ],
    "tcp": [
        Series(promql.CONNECTIONS, {**TCP, "destination_workload": workload}, value)
        for workload, value in (("tcp", 12), ("tcp-primary", 30))
    ],
    "shop-1": [
        *(Series("orders_total", {"app": "shop", "result": result}, 40, 1) for result in ("ok", "late")),
        Series("orders_total", {"app": "shop", "result": "failed"}, 20),
        Series("queue", {"pod": "shop-6d4f9c-abcde"}, 8),
    ],
    "shop-2": [Series("orders_total", {"app": "shop", "result": "ok"}, 30)],
    "shop-primary": [
        Series("orders_total", {"app": "shop-primary", "result": "failed"}, 5),
        Series("queue", {"pod": "shop-primary-6d4f9c-abcde"}, 4),
        Series("queue", {"pod": "shop-primary-6d4f9c-fghij"}, 6),
    ],
    "rates": [
        requests("only-5xx", "500", 1e6, 5),
        requests("no-5xx", "200", 1e6, 5),
        requests("mixed", "200", 1e6, 3),
        requests("mixed", "503", 1e6, 1, response_flags="UC", source_workload="web"),
        requests("mixed-primary", "200", 1e6, 9),
        requests("mixed-primary", "404", 1e6, 1),
        requests("idle", "200", 1e6),
        requests("idle", "500", 1e6),
        *durations("mixed", {"50": 1e6, "100": 2e6, "+Inf": 2e6}, 10),
        *durations("idle", {"50": 1e6, "100": 2e6, "+Inf": 2e6}),
    ],
}


class Exporter(BaseHTTPRequestHandler):
    """``/POD`` of every pod."""

    scrapes: dict[str, int] = {}  # noqa: RUF012  # the server makes a new handler for every request

    def do_GET(self) -> None:
        pod = self.path.removeprefix("/")
        self.scrapes[pod] = self.scrapes.get(pod, 0) + 1
        text = "".join(sorted(series.line(self.scrapes[pod]) for series in PODS[pod])).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args: Any) -> None:
        pass


@dataclass
class Running:
    """A Prometheus that has scraped every pod a few times."""

    address: str
    folder: Path
    process: subprocess.Popen[bytes] = field(repr=False)

    def value(self, query: str) -> float:
        with urllib.request.urlopen(f"{self.address}/api/v1/query?query={query}") as response:
            result = json.load(response)["data"]["result"]
        return float(result[0]["value"][1]) if result else 0.0

    def wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            log = (self.folder / "log").read_text(errors="replace")
            assert self.process.poll() is None, log
            assert time.monotonic() < deadline, log
            try:
                if self.value("min(count_over_time(up[1m]))") >= SCRAPES and self.value("count(up)") == len(PODS):
                    return
            except OSError:
                pass
            time.sleep(0.1)


@pytest.fixture(scope="module")
def exporter() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Exporter) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def prometheus(exporter: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    binary = Cache.default().bin / "prometheus"
    if not binary.exists():
        missing = f"{binary} is missing: run `python -m sandbox build` first"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    folder, (port,) = tmp_path_factory.mktemp("prometheus"), free_ports(1)
    scraped = [
        {"targets": [f"127.0.0.1:{exporter}"], "labels": {"__metrics_path__": f"/{pod}", "instance": pod}}
        for pod in PODS
    ]
    config = {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"},
        "scrape_configs": [{"job_name": "pods", "static_configs": scraped}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    command = [
        str(binary),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            running = Running(f"http://127.0.0.1:{port}", folder, process)
            running.wait()
            yield running
        finally:
            process.terminate()


async def ask(
    prometheus: Running, probe: MetricProbe | CounterProbe | TrafficProbe
) -> Value | NoValues | Samples | QueryFailed:
    provider = MetricProvider(type="prometheus", address=prometheus.address)
    async with outside() as it:
        opened = open_provider(it, CALLER, provider, None)
        assert not isinstance(opened, QueryFailed)
        return await (opened.query if isinstance(probe, MetricProbe) else opened.samples)(probe.query)


# --- counters of a comparison -----------------------------------------------------------------------------------------


async def counters(prometheus: Running, compare: Mapping[str, Any], **spec: Any) -> Reading:
    canary = make_canary(analysis={**WEIGHTED, "metrics": [{"name": "compared", "compare": compare}]}, **spec)
    metric = canary.spec.analysis.metrics[0]
    answer = await ask(prometheus, plan_counters(canary, metric))
    assert isinstance(answer, Samples), answer
    assert metric.compare
    return read_samples(canary, answer.samples, metric.compare.edges_ms)


CANARY_1, CANARY_2 = "destination/canary-1", "destination/canary-2"
PRIMARY, GATEWAY = "destination/primary", "source/gateway"


async def test_errors_of_both_sides_come_pod_by_pod_with_what_reached_no_pod(prometheus):
    assert await counters(prometheus, {"errors": {}}) == Reading(
        {
            CANARY_1: (100, 2),
            CANARY_2: (10, 10),
            GATEWAY: (9, 9),
        },
        {PRIMARY: (1e12 + 30, 30), GATEWAY: (6, 6)},
        callers=("gateway",),
    )


async def test_the_past_of_the_counters_is_read_time_by_time(prometheus):
    metrics = [{"name": "compared", "compare": {"errors": {}}}]
    canary = make_canary(analysis={**WEIGHTED, "metrics": metrics})
    now = await counters(prometheus, {"errors": {}})
    probe = plan_history(canary, canary.spec.analysis.metrics[0], interval=1.0)
    async with outside() as it:
        opened = open_provider(it, CALLER, MetricProvider(type="prometheus", address=prometheus.address), None)
        assert not isinstance(opened, QueryFailed)
        past = await opened.history(probe.query, 3, probe.step)
    assert isinstance(past, History), past
    readings = [read_samples(canary, each.samples) for each in past.times]
    assert 1 <= len(readings) <= 4
    assert readings[-1] == now


@pytest.mark.parametrize(
    ("codes", "bad"),
    [
        pytest.param("4..|5..", 5, id="several"),
        pytest.param(r"5\d\d", 2, id="a backslash"),
        pytest.param("50[3-9]", 1, id="a class"),
        pytest.param('5.."', 0, id="a quote matches nothing and breaks nothing"),
        pytest.param("50", 0, id="the whole code is matched"),
    ],
)
async def test_response_codes_say_what_is_bad(prometheus, codes, bad):
    reading = await counters(prometheus, {"errors": {"responseCodes": codes}})
    assert reading.canary[CANARY_1] == (100, bad)


async def test_response_codes_that_are_no_expression_fail_the_query_in_prometheus_words(prometheus):
    compare = {"errors": {"responseCodes": "5(.."}}
    canary = make_canary(analysis={**WEIGHTED, "metrics": [{"name": "compared", "compare": compare}]})
    answer = await ask(prometheus, plan_counters(canary, canary.spec.analysis.metrics[0]))
    assert isinstance(answer, QueryFailed)
    assert "invalid regular expression in label_replace(): (5(..)|0" in answer.reason


async def test_a_dot_in_a_name_is_a_dot(prometheus):
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web.v2"}
    assert await counters(prometheus, {"errors": {}}, targetRef=target, service={"name": "web"}) == Reading(
        {"destination/neighbours": (4, 4)}, {"destination/neighbours": (6, 0)}
    )


async def test_latency_of_both_sides_comes_by_edge_however_this_prometheus_spells_it(prometheus):
    assert await counters(prometheus, {"latency": {"edges": ["0.5ms", "100ms", "30m"]}}) == Reading(
        {CANARY_1: (100, 100, 60, 1)},
        {PRIMARY: (901, 900, 201, 1)},
    )


async def test_without_traffic_there_are_no_counters(prometheus):
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "nobody"}
    comparisons: tuple[dict[str, Any], ...] = ({"errors": {}}, {"latency": {"edges": ["100ms"]}})
    for compare in comparisons:
        assert await counters(prometheus, compare, targetRef=target, service={"name": "nobody"}) == Reading()


@pytest.mark.parametrize(
    ("errors", "bad"),
    [
        pytest.param({}, 7, id="a server's faults, by HTTP or by gRPC, each request once"),
        pytest.param({"grpcStatuses": "5|14"}, 13, id="as they are given"),
        pytest.param({"grpcStatuses": "[1-9]|1[0-6]", "responseCodes": "4.."}, 20, id="all but OK"),
    ],
)
async def test_grpc_errors_are_in_the_same_query(prometheus, errors, bad):
    named = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "grpc"}
    reading = await counters(prometheus, {"errors": errors}, targetRef=named, service={"name": "grpc"})
    assert reading.canary == {"destination/grpc": (110, bad), GATEWAY: (2, 2)}


SHOP = {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"}, "service": {"name": "shop"}}


async def test_counters_of_one_s_own_come_pod_by_pod(prometheus):
    asked = {
        "bad": 'orders_total{app="{{ workload }}", result="failed"} # those that failed',
        "total": 'orders_total{app="{{ workload }}", result!="late"}',
    }
    reading = await counters(prometheus, {"counters": asked}, **SHOP)
    assert reading.problem is None
    assert reading.primary == {"destination/shop-primary": (5, 5)}
    (total, bad), other = reading.canary["destination/shop-1"], reading.canary["destination/shop-2"]
    assert (total > 60, bad, other) == (True, 20, (30, 0))


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ('sum(orders_total{app="{{ workload }}"})', "a series has no label instance, so its pod is not known"),
        ('orders_total{app="{{ workload }}-primary", result="failed"}', "shop-primary has bad events and no total"),
        (
            'orders_total{app=~"{{ workload }}.*", result="failed"}',
            "shop-primary counts for both the canary and the primary; a pod belongs to one of them",
        ),
    ],
)
async def test_counters_of_one_s_own_that_are_not_the_pods_of_a_side_are_a_problem(prometheus, bad, problem):
    asked = {"bad": bad, "total": 'orders_total{app="{{ workload }}", result="ok"}'}
    assert (await counters(prometheus, {"counters": asked}, **SHOP)).problem == problem


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        pytest.param('avg(queue{pod=~"{{ pods }}"})', (8, 5), id="a mean over the pods of a side"),
        pytest.param('scalar(sum(queue{pod=~"{{ pods }}"}))', (8, 10), id="a scalar"),
    ],
)
async def test_a_number_of_each_side(prometheus, query, numbers):
    metric = {"name": "queue", "compare": {"value": {"query": query, "better": "lower"}}}
    canary = make_canary(analysis={**WEIGHTED, "metrics": [metric]}, **SHOP)
    planned = plan_values(canary, canary.spec.analysis.metrics[0], {})
    assert [await ask(prometheus, probe) for probe in planned] == [Value(number) for number in numbers]


# --- what was served ----------------------------------------------------------------------------------------------


def target(name: str) -> dict[str, Any]:
    return {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}, "service": {"name": name}}


@pytest.mark.parametrize(
    ("spec", "served"),
    [
        pytest.param({}, (110, 1e12 + 30), id="requests of all pods of a side"),
        pytest.param({"targetRef": target("web.v2")["targetRef"]}, (4, 6), id="a dot in a name is a dot"),
        pytest.param(
            {**target("tcp"), "service": {"name": "tcp", "port": 6379, "appProtocol": "tcp"}},
            (12, 30),
            id="connections where these are routed",
        ),
    ],
)
async def test_what_both_sides_have_served_comes_with_when_that_was_scraped(prometheus, spec, served):
    canary = make_canary(**spec)
    traffic = read_traffic(canary, await ask(prometheus, plan_traffic(canary)))
    assert traffic is not None
    assert (traffic.canary.requests, traffic.primary.requests) == served
    assert all(0 <= time.time() - side.scraped_at < 5 for side in (traffic.canary, traffic.primary))


async def test_what_a_service_that_nobody_calls_has_served_is_not_known(prometheus):
    canary = make_canary(**target("nobody"))
    assert read_traffic(canary, await ask(prometheus, plan_traffic(canary))) is None


async def test_the_failures_of_a_canary_are_told_by_caller_code_and_flags(prometheus):
    canary, now = make_canary(**target("mixed")), datetime.now(UTC)
    words = describe_failures(canary, await ask(prometheus, plan_failures(canary, now - timedelta(minutes=2), now)))
    told = re.fullmatch(r"code 503 UC to web: ([\d,]+) of ([\d,]+) requests \(primary 0 of ([\d,]+)\)", words)
    assert told, words
    failed, tried, kept = (int(number.replace(",", "")) for number in told.groups())
    assert tried == pytest.approx(4 * failed, abs=2)
    assert kept == pytest.approx(10 * failed, abs=5)


async def test_a_canary_without_failures_has_none_to_tell(prometheus):
    canary, now = make_canary(**target("idle")), datetime.now(UTC)
    assert describe_failures(canary, await ask(prometheus, plan_failures(canary, now, now))) == ""


# --- thresholds -------------------------------------------------------------------------------------------------------


def template(name: str, query: str) -> Any:
    return parse_metric_template(
        {
            "apiVersion": "flagger.app/v1beta1",
            "kind": "MetricTemplate",
            "metadata": {"name": name, "namespace": "istio-system"},
            "spec": {"provider": {"type": "prometheus", "address": "http://prometheus"}, "query": query},
        }
    )


TEMPLATES = {
    "istio-system/error-rate": template("error-rate", promql.error_rate(promql.TARGET, promql.INTERVAL)),
    "istio-system/latency": template("latency", promql.latency(promql.TARGET, promql.INTERVAL)),
}
SUCCESS, DURATION = BUILTIN_METRICS


@pytest.mark.parametrize(
    ("metric", "target", "value"),
    [
        ("error-rate", "only-5xx", 100),
        ("error-rate", "no-5xx", 0),
        ("error-rate", "mixed", 25),
        ("error-rate", "idle", None),
        ("error-rate", "nobody", None),
        ("latency", "mixed", 99.5),
        ("latency", "idle", None),
        ("latency", "nobody", None),
        (SUCCESS, "only-5xx", 0),
        (SUCCESS, "no-5xx", 100),
        (SUCCESS, "mixed", 75),
        (SUCCESS, "idle", None),
        (SUCCESS, "nobody", None),
        (DURATION, "mixed", 99.5),
        (DURATION, "idle", None),
        (DURATION, "nobody", None),
    ],
)
async def test_the_value_of_a_metric(prometheus, metric, target, value):
    reference = {} if metric in BUILTIN_METRICS else {"templateRef": {"name": metric, "namespace": "istio-system"}}
    metrics = [{"name": metric, "interval": "1m", **reference}]
    canary = make_canary(name=target, analysis={**WEIGHTED, "metrics": metrics})
    probe = plan_query(canary, canary.spec.analysis.metrics[0], TEMPLATES)
    assert isinstance(probe, MetricProbe)
    answer = await ask(prometheus, probe)
    if value is None:
        assert answer == NoValues()
    else:
        assert isinstance(answer, Value), answer
        assert math.isclose(answer.value, value, rel_tol=1e-9, abs_tol=1e-9)
