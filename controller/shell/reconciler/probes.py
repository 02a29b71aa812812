"""Running the probes the core asks for: webhooks and metric queries."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from pathlib import Path

from controller.api.canary import Canary
from controller.api.metric import DEFAULT_METRIC_INTERVAL_SECONDS
from controller.api.metric_template import MetricProvider
from controller.core.decision import Measure
from controller.core.probes import (
    CounterProbe,
    HistoryProbe,
    HookProbe,
    MetricProbe,
    Passed,
    Pending,
    Pods,
    PodsProbe,
    ProbeResult,
    Query,
    QueryFailed,
    Refused,
    TrafficProbe,
)
from controller.shell.budget import Caller
from controller.shell.informer.cache import Cache
from controller.shell.kubernetes.client import Kube
from controller.shell.kubernetes.errors import ClusterError
from controller.shell.kubernetes.kinds import POD, SECRET
from controller.shell.outside import Outside
from controller.shell.providers import Provider, open_provider
from controller.shell.reconciler.observe import read_config
from controller.shell.secrets import mounted
from controller.shell.webhooks import ask_webhook

log = logging.getLogger(__name__)


class ProbeRunner:
    """Runs probes.

    Args:
        outside: sends webhooks and queries.
        kube, cache: where a provider's Secret comes from.
        default: the Prometheus that answers where a metric names no provider.
        credentials: the folder with its Secret; None if it needs none.
    """

    def __init__(
        self, outside: Outside, kube: Kube, cache: Cache, default: MetricProvider, credentials: Path | None = None
    ) -> None:
        self._outside = outside
        self._kube = kube
        self._cache = cache
        self._default = default
        self._credentials = credentials
        self._calls: dict[tuple[str, str, str], tuple[HookProbe, asyncio.Task[Passed | Refused]]] = {}

    async def measure(self, canary: Canary, asked: Measure) -> dict[str, ProbeResult]:
        """The answers by ``Probe.key``: queries all at once, webhooks one after the other, as Flagger calls them."""
        queries = [probe for probe in asked.probes if not isinstance(probe, HookProbe | PodsProbe)]
        values = await asyncio.gather(*(self._query(canary, probe) for probe in queries))
        answers: dict[str, ProbeResult] = {probe.key: value for probe, value in zip(queries, values, strict=True)}
        for probe in asked.probes:
            if isinstance(probe, HookProbe):
                answers[probe.key] = await self._call(canary, probe, asked.patience)
            elif isinstance(probe, PodsProbe):
                answers[probe.key] = await self._pods(canary, probe)
        return answers

    async def _pods(self, canary: Canary, probe: PodsProbe) -> Pods:
        """Pods explain a message and decide nothing, so a cluster that does not show them is no failure."""
        try:
            return Pods((await self._kube.list(POD, canary.namespace, selector=probe.selector)).items)
        except ClusterError as error:
            log.info("Reading the pods of %s.%s: %s", probe.workload, canary.namespace, error)
            return Pods(())

    def forget(self, namespace: str, name: str, keep: Collection[str] = ()) -> None:
        """End the calls of a Canary whose answers nobody waits for any more, all but those under the keys to keep."""
        for place in [place for place in self._calls if place[:2] == (namespace, name) and place[2] not in keep]:
            self._calls.pop(place)[1].cancel()

    async def _call(self, canary: Canary, probe: HookProbe, patience: float | None) -> ProbeResult:
        """The answer of a webhook; after ``patience`` the call goes on, and is looked at when it is asked for again."""
        place = canary.namespace, canary.name, probe.key
        called, call = self._calls.pop(place, (None, None))
        if call is not None and called == probe:
            patience = 0.0
        else:
            if call is not None:
                call.cancel()
            call = asyncio.create_task(ask_webhook(self._outside, canary, probe), name=f"{probe.key} of {canary.name}")
        try:
            done, _ = await asyncio.wait((call,), timeout=patience)
        except asyncio.CancelledError:
            call.cancel()
            raise
        if done:
            return call.result()
        self._calls[place] = probe, call
        return Pending()

    async def check_providers(
        self, canary: Canary, providers: Mapping[str, tuple[MetricProvider | None, str]]
    ) -> list[str]:
        """What is wrong with each provider, with its name in ``providers`` (name: provider, namespace)."""
        problems: list[str] = []
        for name, (described, namespace) in providers.items():
            opened = await self._open(canary, described, namespace)
            problem = opened.reason if isinstance(opened, QueryFailed) else await opened.check()
            if problem:
                problems.append(f"{(described or self._default).type} in {name} not available: {problem}")
        return problems

    async def _query(self, canary: Canary, probe: Query) -> ProbeResult:
        opened = await self._open(canary, probe.provider, probe.namespace, probe)
        if isinstance(opened, QueryFailed):
            return opened
        match probe:
            case CounterProbe() | TrafficProbe():
                return await opened.samples(probe.query)
            case HistoryProbe():
                return await opened.history(probe.query, probe.looks, probe.step)
            case _:
                return await opened.query(probe.query)

    async def _open(
        self, canary: Canary, described: MetricProvider | None, namespace: str, probe: Query | None = None
    ) -> Provider | QueryFailed:
        provider = described or self._default
        secret = None
        try:
            if provider.secret_ref is not None:
                secret = await read_config(self._kube, self._cache, (SECRET.name, namespace, provider.secret_ref.name))
            elif described is None and self._credentials is not None:
                secret = mounted(self._credentials)
        except (ClusterError, OSError) as error:
            return QueryFailed(str(error))
        caller = Caller(canary.namespace, canary.name, urgent=True)
        interval = probe.interval if isinstance(probe, MetricProbe) else DEFAULT_METRIC_INTERVAL_SECONDS
        return open_provider(self._outside, caller, provider, secret, interval)
