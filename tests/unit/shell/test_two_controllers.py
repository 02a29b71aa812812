"""Two controllers on one cluster, interleaved at every write and every call: only one is ever heard.

Each runs the real election, cache and reconciler. One may be stopped at any request for any time, and go on as if
nothing had happened; it may be killed, or give its Lease back.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine, Mapping
from datetime import datetime, timedelta
from typing import Any

from hypothesis import Phase as Work
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from controller.core.model import Manifest, Options
from controller.core.probes import HookProbe, Passed, ProbeResult, Refused, Value
from controller.shell.informer.cache import Cache
from controller.shell.informer.lists import Lists
from controller.shell.kubernetes.errors import Transient
from controller.shell.kubernetes.kinds import WATCHED
from controller.shell.leadership import RENEW_SECONDS, Election
from controller.shell.reconciler.reconciler import Reconciler
from controller.shell.reconciler.tasks import CanaryTasks
from controller.shell.reporting.alerts import AlertSender
from controller.shell.reporting.events import EventRecorder
from controller.shell.reporting.metrics import Metrics
from tests.builders import NOW, WEIGHTED, canary_manifest, make_deployment, ready_status, webhook
from tests.unit.shell.fakes import FakeKube

KEY = ("Canary", "prod", "backend")
METRIC = {"name": "error-rate", "query": "errors", "thresholdRange": {"max": 1}}
HOOKS = [webhook("smoke", "pre-rollout"), webhook("load", "rollout"), webhook("after", "post-rollout")]
GOOD, BAD = ("good:1", "good:2", "good:3"), ("bad:1", "bad:2")
STRATEGIES: Mapping[str, Mapping[str, Any]] = {
    "weighted": WEIGHTED,
    "promoted by steps": {**WEIGHTED, "stepWeightPromotion": 50},
    "blue/green": {"interval": "10s", "threshold": 2, "iterations": 2},
}
QUIET = 6
"""Passes of the event loop after which everything that can go on without a permit has."""


class Process:
    """One controller, which waits for a permit before each write and each call.

    Attributes:
        broken: what it did that it must never do.
        called: the hooks that it called, each with the status that it was called for.
    """

    _numbers = itertools.count()

    def __init__(self, world: World) -> None:
        self.world = world
        self.election = Election(world.kube, "istio-system", f"process-{next(self._numbers)}", world.clock)
        self.permits = asyncio.Semaphore(0)
        tasks = CanaryTasks()
        self.cache = Cache(tasks.changed)
        kube = InterleavedKube(self)
        self.lists = Lists(world.kube, self.cache, ())
        recorder = EventRecorder(kube, None, world.now)  # type: ignore[arg-type]
        self.reconciler = Reconciler(
            kube=kube,
            cache=self.cache,
            runner=self,  # type: ignore[arg-type]
            recorder=recorder,
            alerts=AlertSender(kube, None, recorder.record),  # type: ignore[arg-type]
            metrics=Metrics("test"),
            depend=tasks.depend,
            tell=tasks.wake_followers,
            clock=world.now,
            options=Options(minimum_interval=1.0),
        )
        self.working: asyncio.Task[None] | None = None
        self.resting = False
        self.image = ""

    async def stand_up(self) -> None:
        await self.lists.fill()

    async def ask(self) -> None:
        """A look at the Lease, or a renewal; who gets it catches up, and starts to work."""
        if await self.election.ask() and self.working is None:
            await self.lists.catch_up()
            self.working = asyncio.create_task(self._work())

    async def _work(self) -> None:
        while True:
            self.resting = True
            await self.permits.acquire()
            self.resting = False
            target = self.cache.get(("Deployment", "prod", "backend"))
            assert target is not None
            self.image = target["spec"]["template"]["spec"]["containers"][0]["image"]
            outcome = await self.reconciler._guarded_tick(KEY, 0)
            if outcome.result not in {"ok", "Conflict", "Transient"}:
                self.world.broken.append(outcome.result)

    async def die(self) -> None:
        tasks = [*self.reconciler.background, *([self.working] if self.working else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def turn(self, what: str) -> bool:
        """Wait for a permit; whether this may be sent. If so it must have been decided on the status as it is."""
        await self.permits.acquire()
        if not self.election.may_write():
            return False
        if status(self.cache.get(KEY)) != status(self.world.kube.object(*KEY)):
            self.world.broken.append(f"{what} was decided on a status of the past")
        return True

    async def measure(self, canary, asked) -> dict[str, ProbeResult]:
        answers: dict[str, ProbeResult] = {}
        for probe in asked.probes:
            if not isinstance(probe, HookProbe):
                answers[probe.key] = Value(100.0 if self.image.startswith("bad") else 0.0)
            elif await self.turn(probe.key):
                self.world.calls.append(probe.key)
                answers[probe.key] = Passed()
            else:
                answers[probe.key] = Refused("not sent")
        return answers

    def forget(self, namespace, name, keep=()) -> None:
        """Every call is answered at once."""

    async def check_providers(self, canary, providers) -> list[str]:
        return []


class InterleavedKube:
    """The cluster as one process reaches it."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._kube = process.world.kube
        self.get, self.list = self._kube.get, self._kube.list

    def __getattr__(self, name: str) -> Any:
        async def write(*arguments: Any, **options: Any) -> Any:
            if not await self._process.turn(f"{name} {arguments}"):
                raise Transient(name, 0, "not sent")
            return await getattr(self._kube, name)(*arguments, **options)

        return write


class World:
    """The cluster, the time, and what must be true of them."""

    def __init__(self, analysis: Mapping[str, Any]) -> None:
        canary = canary_manifest(analysis={**analysis, "metrics": [METRIC], "webhooks": HOOKS})
        self.kube = FakeKube(canary, make_deployment(image=GOOD[0]))
        self.seconds = 0.0
        self.broken: list[str] = []
        self.calls: list[str] = []

    def clock(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def image(self, name: str) -> str:
        found = [item for item in self.kube.objects("Deployment") if item["metadata"]["name"] == name]
        return str(found[0]["spec"]["template"]["spec"]["containers"][0]["image"]) if found else ""


def status(canary: Manifest | None) -> Any:
    return (canary or {}).get("status")


class TwoControllers(RuleBasedStateMachine):
    """Two processes, and everything that may happen to them."""

    @initialize(strategy=st.sampled_from(sorted(STRATEGIES)))
    def begin(self, strategy: str) -> None:
        self.loop = asyncio.new_event_loop()
        self.world = World(STRATEGIES[strategy])
        self.processes = [Process(self.world), Process(self.world)]
        for process in self.processes:
            self._do(process.stand_up())
        self.run_alone(5)
        assert self.world.kube.object(*KEY)["status"]["phase"] == "Initialized"
        self.push(GOOD[1])

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        async def done_and_quiet() -> None:
            await work
            for _ in range(QUIET):
                await asyncio.sleep(0)

        self.loop.run_until_complete(done_and_quiet())
        for deployment in self.world.kube.objects("Deployment"):
            wanted = ready_status(deployment["spec"].get("replicas", 1), deployment["metadata"].get("generation", 1))
            if deployment.get("status") != wanted:
                self.world.kube.set({**deployment, "status": wanted})

    def run_alone(self, rounds: int) -> None:
        """The first process undisturbed, with its watches, its Lease and a whole tick each 10 seconds."""
        for _ in range(rounds):
            self.pass_time(10, (True, False))
            self._watch(self.processes[0])
            self._permit(self.processes[0], 1)
            while self.processes[0].working and not self.processes[0].resting:
                self._permit(self.processes[0], 1)

    def _permit(self, process: Process, requests: int) -> None:
        async def permit() -> None:
            for _ in range(requests):
                process.permits.release()
                await asyncio.sleep(0)

        if process.working is not None:
            self._do(permit())

    def _watch(self, process: Process) -> None:
        async def take_in() -> None:
            for kind in WATCHED:
                for manifest in self.world.kube.objects(kind.name):
                    process.cache.put(manifest)

        self.loop.run_until_complete(take_in())

    # --- what happens ---

    @rule(image=st.sampled_from([*GOOD, *BAD]))
    def push(self, image: str) -> None:
        kube = self.world.kube
        deployment = kube.object("Deployment", "prod", "backend")
        template = make_deployment(image=image)["spec"]["template"]
        kube.set({**deployment, "spec": {**deployment["spec"], "template": template}})

    @rule(seconds=st.sampled_from([2, 4, 10, 14]), awake=st.tuples(st.booleans(), st.booleans()))
    def pass_time(self, seconds: int, awake: tuple[bool, bool]) -> None:
        """One that is not awake is stopped, or cannot reach the API."""
        for _ in range(seconds // 2):
            self.world.seconds += RENEW_SECONDS
            for process, on in zip(self.processes, awake, strict=True):
                if on:
                    self._do(process.ask())

    @rule(which=st.sampled_from([0, 1]), requests=st.integers(1, 12))
    def go_on(self, which: int, requests: int) -> None:
        """Send the next requests, whoever leads by now."""
        self._permit(self.processes[which], requests)

    @rule(which=st.sampled_from([0, 1]), others=st.integers(1, 12), own=st.integers(1, 12))
    def stop_past_the_lease(self, which: int, others: int, own: int) -> None:
        """One is stopped, wherever it is; the other works; the first goes on as if nothing had happened."""
        self.pass_time(14, (which == 1, which == 0))
        self.go_on(1 - which, others)
        self.go_on(which, own)

    @rule(which=st.sampled_from([0, 1]))
    def watch(self, which: int) -> None:
        self._watch(self.processes[which])

    @rule(which=st.sampled_from([0, 1]), killed=st.booleans())
    def restart(self, which: int, *, killed: bool) -> None:
        """By SIGKILL, or by SIGTERM; the next one knows nothing of this one."""
        process = self.processes[which]
        self._do(process.die())
        if not killed:
            self._do(process.election.release())
        self.processes[which] = Process(self.world)
        self._do(self.processes[which].stand_up())

    def teardown(self) -> None:
        try:
            self.end_alone()
        finally:
            for process in self.processes:
                self._do(process.die())
            self.loop.close()

    def end_alone(self) -> None:
        """With one left the rollout ends as if it had been alone all the time."""
        self.restart(1, killed=True)
        self.restart(0, killed=True)
        self.run_alone(40)
        self.one_is_heard()
        end, routes = (
            self.world.kube.object(*KEY)["status"],
            self.world.kube.object("VirtualService", "prod", "backend"),
        )
        target, primary = self.world.image("backend"), self.world.image("backend-primary")
        assert [route["weight"] for route in routes["spec"]["http"][0]["route"]] == [100, 0]
        assert end["phase"] == "Failed" if target in BAD else end["phase"] in {"Initialized", "Succeeded"}, end
        assert primary in GOOD if target in BAD else primary == target

    # --- what has to be true ---

    @invariant()
    def one_is_heard(self) -> None:
        assert self.world.broken == []
        assert sum(process.election.may_write() for process in self.processes) <= 1
        assert self.world.image("backend-primary") not in BAD


TestTwoControllers = TwoControllers.TestCase
TestTwoControllers.settings = settings(
    max_examples=settings().max_examples // 2, stateful_step_count=30, phases=(Work.generate, Work.shrink)
)
