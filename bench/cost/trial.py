"""What one controller takes for so many Canaries, and how soon it acts: one run, from an empty namespace."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from bench.cost.cluster import patiently
from bench.cost.process import Process, running
from bench.cost.world import World
from controller.shell.kubernetes.kinds import CANARY, DEPLOYMENT, Kind
from sandbox.node.controlplane import free_ports
from tests.builders import canary_manifest, make_autoscaler, make_config, make_deployment

FEW = 10
"""Canaries on which single events are timed."""
AT_ONCE = 200
"""Rollouts in progress at once while memory is watched."""
SLOW = {"stepWeight": 1, "maxWeight": 50}
"""Steps that outlast a measurement."""
QUICK = {"stepWeight": 50, "maxWeight": 50}
THRESHOLD = 5
SETTLED = 0.2
"""The part of the rollouts after which memory is compared."""

Figures = dict[str, float]
"""By the names of `bench.cost.table.ROWS`; infinite for what did not happen in time."""


@dataclass(frozen=True)
class Controller:
    """A program that takes Flagger's arguments; ``compares`` if it takes ``compare`` in a metric too."""

    name: str
    command: tuple[str, ...]
    compares: bool = False


@dataclass(frozen=True)
class Sizes:
    """How much is measured; times in seconds.

    Attributes:
        canaries: how many there are, at least 3.
        rollouts: done while memory is watched; 0 for none.
        interval: of an analysis.
        start: from the start of a controller until it counts as idle.
        idle, progress: how long either is measured.
        patience: the longest that anything may take.
    """

    canaries: int
    rollouts: int = 0
    interval: int = 10
    start: float = 60
    idle: float = 60
    progress: float = 120
    patience: float = 900


@dataclass
class Trial:
    """One controller with one number of Canaries, in a namespace of its own; its log is ``log``."""

    controller: Controller
    sizes: Sizes
    world: World
    log: Path
    figures: Figures = field(default_factory=dict)

    async def run(self) -> Figures:
        """Measure everything."""
        await self._each(self._create, self._names)
        async with self._running() as process:
            await self._initialise(process)
            if self.sizes.rollouts:
                await self._roll_out(process)
        await self._each(lambda name: self._patch(CANARY, name, {"analysis": self._analysis(name, SLOW)}), self._names)
        async with self._running() as process:
            await self._start_and_idle(process)
            await self._see_a_revision()
            await self._progress(process)
            await self._fail()
        return self.figures

    @property
    def _names(self) -> list[str]:
        return [f"app-{number:03}" for number in range(self.sizes.canaries)]

    def _few(self, number: int) -> list[str]:
        """The first, second or third few of the Canaries."""
        size = min(FEW, self.sizes.canaries // 3)
        return self._names[number * size : (number + 1) * size]

    # --- the steps ---

    async def _initialise(self, process: Process) -> None:
        started = time.monotonic()
        await self._until(lambda: all(self.world.phases.get(name) == "Initialized" for name in self._names))
        last = max(self.world.entered.get((name, "Initialized"), math.inf) for name in self._names)
        self.figures |= {"initialised": last - started, "initialised_cpu": process.cpu()}

    async def _roll_out(self, process: Process) -> None:
        """Rollouts one after another, many at once, and how memory grows from the first to the last."""
        left, done = self.sizes.rollouts, 0
        deadline = time.monotonic() + self.sizes.patience

        async def one_after_another(name: str) -> None:
            nonlocal left, done
            while left > 0 and time.monotonic() < deadline:
                left -= 1
                self.world.entered.pop((name, "Succeeded"), None)
                await self._release(name)
                if await self._until(lambda: (name, "Succeeded") in self.world.entered, deadline):
                    done += 1
                if done >= SETTLED * self.sizes.rollouts:
                    self.figures.setdefault("memory_early", process.memory())

        await self._each(one_after_another, self._names[:AT_ONCE])
        self.figures["rollouts"] = done
        self.figures["memory_late"] = process.memory()

    async def _start_and_idle(self, process: Process) -> None:
        await asyncio.sleep(self.sizes.start)
        self.figures["start_cpu"] = process.cpu()
        self.figures["start_memory"] = process.memory()
        await self._use("idle", process, self.sizes.idle)

    async def _see_a_revision(self) -> None:
        delays = []
        for name in self._few(2):
            since = time.monotonic()
            await self._release(name)
            await self._until(lambda name=name: self.world.phases[name] == "Progressing")  # type: ignore[misc]
            delays.append(self.world.entered.get((name, "Progressing"), math.inf) - since)
        self.figures["seen"] = median(delays)

    async def _progress(self, process: Process) -> None:
        """All Canaries in progress."""
        others = [name for name in self._names if name not in self._few(2)]
        await self._each(self._release, others)
        await self._until(lambda: all(self.world.weights.get(name) for name in self._names))
        began = time.monotonic()
        before = await process.lateness()
        await self._use("progress", process, self.sizes.progress)
        self.figures["late_99"] = within(await process.lateness() - before, 0.99)
        times = [[at for at, _ in self.world.steps[name] if at >= began] for name in self._names]
        gaps = sorted(after - before for each in times for before, after in pairwise(each))
        for name, part in (("step", 0.5), ("step_99", 0.99)):
            self.figures[name] = gaps[min(len(gaps) - 1, int(part * len(gaps)))] if gaps else math.inf

    async def _fail(self) -> None:
        """A few canaries that fail all requests, from then until these have no more traffic."""
        compared, judged = (self._few(0), self._few(1)) if self.controller.compares else ([], self._few(1))
        failing = [name for name in (*compared, *judged) if self.world.weights.get(name)]
        since = time.monotonic()
        self.world.failing |= {*failing}
        await self._until(lambda: not any(self.world.weights[name] for name in failing))
        for figure, names in (("back", judged), ("back_compare", compared)):
            delays = [self._back(name, since) for name in names if name in failing]
            if delays:
                self.figures[figure], self.figures[f"{figure}_worst"] = median(delays), max(delays)

    def _back(self, name: str, since: float) -> float:
        return next((at - since for at, weight in self.world.steps[name] if at > since and not weight), math.inf)

    # --- what they are made of ---

    async def _use(self, during: str, process: Process, seconds: float) -> None:
        """CPU, requests and memory over a time."""
        requests, cpu, began = await self.world.cluster.requests(), process.cpu(), time.monotonic()
        await asyncio.sleep(seconds)
        taken, elapsed = process.cpu() - cpu, time.monotonic() - began
        sent = await self.world.cluster.requests() - requests
        self.figures |= {
            f"{during}_cpu": 100 * taken / elapsed,
            f"{during}_requests": 60 * sent / elapsed,
            f"{during}_memory": process.memory(),
        }

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[Process]:
        (port,) = free_ports(1)
        arguments = (
            f"-kubeconfig={self.world.cluster.kubeconfig}",
            f"-namespace={self.world.namespace}",
            f"-metrics-server={self.world.prometheus}",
            "-mesh-provider=istio",
            "-log-level=info",
            f"-port={port}",
        )
        command = (*self.controller.command, *arguments)
        async with running(command, self.log, f"http://127.0.0.1:{port}/metrics") as process:
            yield process

    async def _until(self, holds: Callable[[], bool], deadline: float = math.inf) -> bool:
        """Wait until ``holds``; False if it does not in time."""
        deadline = min(deadline, time.monotonic() + self.sizes.patience)
        while not holds():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.2)
        return True

    @staticmethod
    async def _each(do: Callable[[str], Awaitable[None]], names: Sequence[str]) -> None:
        await asyncio.gather(*(do(name) for name in names))

    async def _patch(self, kind: Kind, name: str, spec: dict[str, Any]) -> None:
        kube = self.world.cluster.kube
        await patiently(lambda: kube.patch(kind, self.world.namespace, name, {"spec": spec}))

    async def _release(self, name: str) -> None:
        """A new version of an app."""
        version = f"podinfo:{time.monotonic_ns()}"
        await self._patch(DEPLOYMENT, name, {"template": _deployment(name, version)["spec"]["template"]})

    async def _create(self, name: str) -> None:
        """An app with a ConfigMap and an HPA, and its Canary."""
        reference = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": name}
        manifests = (
            make_config(f"{name}-config", {"colour": "blue"}),
            _deployment(name, "podinfo:1"),
            make_autoscaler(name, low=1),
            canary_manifest(name=name, analysis=self._analysis(name, QUICK), autoscalerRef=reference),
        )
        for manifest in manifests:
            place = {"name": manifest["metadata"]["name"], "namespace": self.world.namespace}
            body = {key: value for key, value in manifest.items() if key != "status"}
            await self.world.cluster.kube.create({**body, "metadata": place})

    def _analysis(self, name: str, steps: dict[str, int]) -> dict[str, Any]:
        metrics: list[dict[str, Any]] = [
            {"name": "request-success-rate", "thresholdRange": {"min": 99}, "interval": "1m"},
            {"name": "request-duration", "thresholdRange": {"max": 500}, "interval": "1m"},
        ]
        if steps == SLOW and self.controller.compares and name in self._few(0):
            warmup = f"{6 * self.sizes.interval}s"  # a minute at the default interval, as is the default
            metrics[0] = {"name": "errors", "compare": {"errors": {}, "warmup": warmup}}
        return {"interval": f"{self.sizes.interval}s", "threshold": THRESHOLD, **steps, "metrics": metrics}


def within(ticks: Counter[float], part: float) -> float:
    """The least limit, seconds, that so large a part of the ticks kept; NaN if there are none."""
    wanted = part * ticks.get(math.inf, 0)
    return min((limit for limit, count in ticks.items() if count >= wanted), default=math.nan)


def _deployment(name: str, image: str) -> dict[str, Any]:
    deployment = make_deployment(name, image=image)
    deployment["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": f"{name}-config"}}]
    return deployment
