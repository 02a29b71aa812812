"""What is around a controller and is not measured: nodes, Prometheus, and the users who see weights and phases."""

from __future__ import annotations

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from bench.cost.cluster import Cluster, patiently
from controller.core.model import Manifest
from controller.shell.kubernetes.errors import Conflict, NotFound
from controller.shell.kubernetes.kinds import CANARY, DEPLOYMENT, VIRTUAL_SERVICE
from tests.apiserver.stage import listening
from tests.builders import ready_status

REQUESTS_PER_SECOND = 100
LATENCY_MS = 20
GATEWAY = {"reporter": "source", "instance": "gateway"}


@dataclass
class World:
    """One namespace.

    Attributes:
        phases: the phase of each Canary.
        entered: when a Canary was last seen to come into a phase, seconds of the monotonic clock.
        weights: the canary's weight of each service, percent.
        steps: when each of them changed, and to what.
        failing: Canaries whose new version answers every request with a 500.
        prometheus: the address of what answers Istio's queries.
    """

    cluster: Cluster
    namespace: str
    phases: dict[str, str] = field(default_factory=dict)
    entered: dict[tuple[str, str], float] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)
    steps: dict[str, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))
    failing: set[str] = field(default_factory=set)
    prometheus: str = ""
    _counters: dict[str, _Counters] = field(default_factory=dict)

    async def watch_canaries(self) -> None:
        async for canary in self.cluster.watch(CANARY, self.namespace):
            name, phase = canary["metadata"]["name"], canary.get("status", {}).get("phase", "")
            if self.phases.get(name) != phase:
                self.phases[name] = phase
                self.entered[name, phase] = time.monotonic()

    async def watch_routes(self) -> None:
        async for service in self.cluster.watch(VIRTUAL_SERVICE, self.namespace):
            name, weight = service["metadata"]["name"], _canary_weight(service)
            if self.weights.get(name) != weight:
                self._counters.setdefault(name, _Counters()).serve(self.weights.get(name, 0), name in self.failing)
                self.weights[name] = weight
                self.steps[name].append((time.monotonic(), weight))

    async def play_nodes(self) -> None:
        """Pods are ready as soon as a Deployment asks for them."""
        writes = set[asyncio.Task[None]]()
        async for deployment in self.cluster.watch(DEPLOYMENT, self.namespace):
            replicas = deployment["spec"].get("replicas", 1)
            status = {**ready_status(replicas, deployment["metadata"]["generation"]), "readyReplicas": replicas}
            seen = deployment.get("status", {})
            if any(seen.get(name, 0) != value for name, value in status.items()):
                writes.add(task := asyncio.create_task(self._put({**deployment, "status": status})))
                task.add_done_callback(writes.discard)

    async def _put(self, deployment: Manifest) -> None:
        with suppress(Conflict, NotFound):  # it has changed since, which the watch will say
            await patiently(lambda: self.cluster.kube.replace_status(deployment))

    async def answer(self, request: web.Request) -> web.Response:
        """Prometheus: counters of both sides, or a number for the canary."""
        query = str({**request.query, **await request.post()}["query"])
        kind, result = "vector", [_number(1 if query == "vector(1)" else LATENCY_MS)]
        named = re.search(r'destination_workload=~\s*"([^"|]+)', query)
        name = named[1] if named else ""
        if query.endswith("s]"):  # a subquery, for the time before the rollout
            kind, result = "matrix", []
        elif "sum by (destination_workload" in query:
            counters = self._counters.setdefault(name, _Counters())
            counters.serve(self.weights.get(name, 0), name in self.failing)
            result = counters.samples(name)
        elif "histogram_quantile" not in query and name:
            result = [_number(0 if name in self.failing else 100)]
        return web.json_response({"status": "success", "data": {"resultType": kind, "result": result}})


@dataclass
class _Counters:
    """The requests of one service so far, all that a canary and its primary have answered."""

    at: float = field(default_factory=time.monotonic)
    primary: float = 0.0
    canary: float = 0.0
    bad: float = 0.0

    def serve(self, weight: int, failing: bool) -> None:
        """The requests since the last call, at the weight that the canary had."""
        now = time.monotonic()
        requests, self.at = REQUESTS_PER_SECOND * (now - self.at), now
        self.primary += requests * (100 - weight) / 100
        self.canary += requests * weight / 100 * (not failing)
        self.bad += requests * weight / 100 * failing

    def samples(self, name: str) -> list[dict[str, Any]]:
        counts: list[tuple[str, dict[str, str], float]] = [
            (f"{name}-primary", {}, self.primary),
            (name, {}, self.canary),
            (name, {"bad": "true"}, self.bad),
        ]
        pods = [
            _number(count, destination_workload=workload, reporter="destination", instance=f"{workload}:15090", **bad)
            for workload, bad, count in counts
            if count
        ]
        return [_number(0, **GATEWAY), *pods]


def _number(value: float, **labels: str) -> dict[str, Any]:
    return {"metric": labels, "value": [time.time(), str(int(value))]}


def _canary_weight(service: Manifest) -> int:
    """What goes to the canary by the last route, which is the one for everybody."""
    routes = service["spec"]["http"][-1]["route"]
    return sum(each.get("weight", 0) for each in routes if each["destination"]["host"].endswith("-canary"))


@asynccontextmanager
async def open_world(cluster: Cluster, namespace: str) -> AsyncIterator[World]:
    """A new namespace in which everything is played but the controller."""
    await cluster.post("/api/v1/namespaces", {"metadata": {"name": namespace}})
    world = World(cluster, namespace)
    async with listening(world.answer) as world.prometheus, asyncio.TaskGroup() as group:
        players = [
            group.create_task(each) for each in (world.watch_canaries(), world.watch_routes(), world.play_nodes())
        ]
        yield world
        for player in players:
            player.cancel()
