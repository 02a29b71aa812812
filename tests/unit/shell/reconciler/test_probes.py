"""Probes are sent to where they belong, with the Secret they need, and every failure is an answer."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest

from controller.api.metric_template import MetricProvider
from controller.api.status import Phase
from controller.api.webhook import Webhook
from controller.core.decision import Measure
from controller.core.probes import (
    CounterProbe,
    HookProbe,
    MetricProbe,
    NoValues,
    Passed,
    Pending,
    QueryFailed,
    Sample,
    Samples,
    Value,
)
from controller.shell.informer.cache import Cache
from controller.shell.kubernetes.errors import Rejected
from controller.shell.reconciler import probes as measure
from controller.shell.reconciler.probes import ProbeRunner
from tests.builders import make_canary, make_config
from tests.unit.shell.fakes import FakeKube

DEFAULT = MetricProvider(type="prometheus", address="http://prometheus:9090")


class FakeProvider:
    def __init__(self, provider: MetricProvider, secret: Any) -> None:
        self.provider, self.secret = provider, secret

    async def query(self, query: str) -> Value | NoValues | QueryFailed:
        return Value(len(query)) if query else NoValues()

    async def samples(self, query: str) -> Samples | QueryFailed:
        return Samples((Sample({"instance": "a"}, 5.0),)) if query else QueryFailed("refused")

    async def check(self) -> str:
        return "connection refused" if "down" in self.provider.address else ""


class Stage:
    def __init__(self, monkeypatch, *manifests: dict[str, Any], credentials: Path | None = None) -> None:
        self.asked: list[str] = []
        self.cancelled: list[str] = []
        self.opened: list[FakeProvider] = []
        self.intervals: list[float] = []
        self.kube = FakeKube(*manifests)
        cache = Cache(lambda key, before, after: None)
        for manifest in self.kube.objects("Secret"):
            cache.note(manifest)
        monkeypatch.setattr(measure, "ask_webhook", self._ask)
        monkeypatch.setattr(measure, "open_provider", self._open)
        self.runner = ProbeRunner(None, self.kube, cache, DEFAULT, credentials)  # type: ignore[arg-type]

    async def _ask(self, outside, canary, probe) -> Passed:
        self.asked.append(probe.webhook.name)
        try:
            await asyncio.sleep(60 if probe.webhook.name == "slow" else 0)
        except asyncio.CancelledError:
            self.cancelled.append(probe.checksum)
            raise
        return Passed()

    def _open(self, outside, caller, provider, secret, interval) -> FakeProvider | QueryFailed:
        self.intervals.append(interval)
        if provider.secret_ref and secret is None:
            return QueryFailed("no secret")
        self.opened.append(FakeProvider(provider, secret))
        return self.opened[-1]


def hook(name: str, checksum: str = "") -> HookProbe:
    return HookProbe(Webhook(name=name, url="http://hooks.test"), Phase.PROGRESSING, checksum)


async def test_every_probe_is_answered_under_its_key(monkeypatch):
    stage = Stage(monkeypatch)
    counters = CounterProbe("c", "x"), CounterProbe("d", "")
    probes = (MetricProbe("a", "four"), hook("first"), MetricProbe("b", ""), *counters, hook("second"))
    answers = await stage.runner.measure(make_canary(), Measure(probes))
    assert answers == {
        "metric/a": Value(4),
        "metric/b": NoValues(),
        "counters/c": Samples((Sample({"instance": "a"}, 5.0),)),
        "counters/d": QueryFailed("refused"),
        "webhook/rollout/first": Passed(),
        "webhook/rollout/second": Passed(),
    }
    assert stage.asked == ["first", "second"]
    assert {opened.provider.address for opened in stage.opened} == {"http://prometheus:9090"}


TOKEN = make_config("credentials", {"token": base64.b64encode(b"abc").decode()}, kind="Secret")
SECURED = MetricProvider.model_validate(
    {"type": "prometheus", "address": "http://p", "secretRef": {"name": "credentials"}}
)


async def test_a_provider_is_told_how_far_back_the_metric_looks(monkeypatch):
    stage = Stage(monkeypatch)
    await stage.runner.measure(make_canary(), Measure((MetricProbe("a", "q"), MetricProbe("b", "q", interval=300.0))))
    assert stage.intervals == [60.0, 300.0]


async def test_a_provider_s_secret_is_read_from_its_namespace(monkeypatch):
    stage = Stage(monkeypatch, TOKEN)
    await stage.runner.measure(make_canary(), Measure((MetricProbe("a", "q", SECURED, "prod"),)))
    assert stage.opened[0].secret["data"] == TOKEN["data"]


async def test_the_credentials_of_the_default_server_are_read_each_time_and_sent_to_no_other(monkeypatch, tmp_path):
    stage = Stage(monkeypatch, TOKEN, credentials=tmp_path)
    other = MetricProvider(type="prometheus", address="http://other")
    probes = (MetricProbe("own", "q"), MetricProbe("other", "q", other, "prod"), MetricProbe("s", "q", SECURED, "prod"))
    found = []
    for token in ("first", "second"):
        (tmp_path / "token").write_text(token)
        await stage.runner.measure(make_canary(), Measure(probes))
        found += [each.secret and each.secret["data"] for each in stage.opened]
        stage.opened.clear()
    assert found == [
        data
        for token in ("first", "second")
        for data in ({"token": base64.b64encode(token.encode()).decode()}, None, TOKEN["data"])
    ]


async def test_credentials_that_cannot_be_read_fail_the_query(monkeypatch, tmp_path):
    stage = Stage(monkeypatch, credentials=tmp_path / "none")
    assert await stage.runner.measure(make_canary(), Measure((MetricProbe("a", "q"),))) == {
        "metric/a": QueryFailed(f"[Errno 2] No such file or directory: '{tmp_path / 'none'}'")
    }


@pytest.mark.parametrize("namespace", ["other"])
async def test_a_secret_that_is_not_there_fails_the_query(monkeypatch, namespace):
    stage = Stage(monkeypatch, TOKEN)
    answers = await stage.runner.measure(make_canary(), Measure((MetricProbe("a", "q", SECURED, namespace),)))
    assert answers == {"metric/a": QueryFailed("no secret")}


async def test_a_secret_that_may_not_be_read_fails_the_query_and_nothing_else(monkeypatch):
    stage = Stage(monkeypatch, TOKEN)
    stage.kube.failures["get"] = [Rejected("GET secrets/credentials", 403, "forbidden")]
    probes = (MetricProbe("a", "q", SECURED, "prod"), MetricProbe("b", "four"))
    assert await stage.runner.measure(make_canary(), Measure(probes)) == {
        "metric/a": QueryFailed("Kubernetes API, GET secrets/credentials: answered 403: forbidden"),
        "metric/b": Value(4),
    }


async def test_providers_that_cannot_be_used_are_named(monkeypatch):
    stage = Stage(monkeypatch)
    down = MetricProvider(type="prometheus", address="http://down")
    providers = {
        "the metrics server": (None, "prod"),
        "metric template a.b": (down, "b"),
        "metric template s.b": (SECURED, "b"),
    }
    assert await stage.runner.check_providers(make_canary(), providers) == [
        "prometheus in metric template a.b not available: connection refused",
        "prometheus in metric template s.b not available: no secret",
    ]


SLOW = "webhook/rollout/slow"


@pytest.mark.looptime
async def test_a_webhook_is_waited_for_no_longer_than_asked_and_called_once(monkeypatch):
    stage, clock = Stage(monkeypatch), asyncio.get_running_loop().time
    for at, elapsed, answer in ((0, 10, Pending()), (20, 20, Pending()), (70, 70, Passed())):
        await asyncio.sleep(at - clock())
        answers = await stage.runner.measure(make_canary(), Measure((hook("slow"),), 10))
        assert (answers[SLOW], clock()) == (answer, elapsed)
    assert stage.asked == ["slow"]
    await stage.runner.measure(make_canary(), Measure((hook("slow"),)))
    assert (stage.asked, clock()) == (["slow", "slow"], 130)


@pytest.mark.looptime
async def test_a_call_that_nobody_waits_for_any_more_is_ended(monkeypatch):
    stage = Stage(monkeypatch)
    for revision in ("a", "b", "b"):
        await stage.runner.measure(make_canary(), Measure((hook("slow", revision),), 1))
    assert (stage.asked, stage.cancelled) == (["slow", "slow"], ["a"])
    stage.runner.forget("prod", "backend", keep={SLOW})
    stage.runner.forget("prod", "other")
    await asyncio.sleep(1)
    assert stage.cancelled == ["a"]
    stage.runner.forget("prod", "backend")
    await asyncio.sleep(1)
    assert stage.cancelled == ["a", "b"]
    waiting = asyncio.create_task(stage.runner.measure(make_canary(), Measure((hook("slow", "c"),))))
    await asyncio.sleep(1)
    waiting.cancel()
    await asyncio.sleep(1)
    assert stage.cancelled == ["a", "b", "c"]
