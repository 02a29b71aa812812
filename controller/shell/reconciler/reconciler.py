"""The loop of one Canary: observe, decide (running probes on the way), act, status, events, alerts, hooks."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from controller.api.canary import Canary
from controller.api.errors import CanaryError, InvalidObject, shown
from controller.api.metric_template import MetricProvider
from controller.api.parse import parse_canary
from controller.api.status import Phase
from controller.core.analysis.thresholds import broken_templates, missing_templates
from controller.core.decision import Decision, Event, Measure
from controller.core.model import Facts, Manifest, Options, Routes, State
from controller.core.objects.kinds import WORKLOADS
from controller.core.objects.routing import returns
from controller.core.objects.workload import serves
from controller.core.probes import Passed
from controller.core.rollout.by_hand import unanswered
from controller.core.rollout.drive import deciding
from controller.core.rollout.groups import says_the_same
from controller.core.rollout.termination import seconds_left
from controller.core.rollout.turns import begins, may_begin
from controller.core.status import report, state_from_status, status_from_state
from controller.shell.allowance import Allowance
from controller.shell.informer.cache import Cache
from controller.shell.kubernetes.backoff import backoff_seconds
from controller.shell.kubernetes.client import Kube
from controller.shell.kubernetes.errors import ClusterError, Conflict, NotFound, Transient
from controller.shell.kubernetes.kinds import Key
from controller.shell.reconciler.act import act, apply_write, refresh
from controller.shell.reconciler.finalizer import has_finalizer, set_finalizer
from controller.shell.reconciler.observe import dependencies, find_actor, observe
from controller.shell.reconciler.orphans import give_back_orphans
from controller.shell.reconciler.peers import followed, moves_others, with_latest, with_others
from controller.shell.reconciler.probes import ProbeRunner
from controller.shell.reporting.alerts import AlertSender
from controller.shell.reporting.events import EventRecorder
from controller.shell.reporting.logs import canary_log
from controller.shell.reporting.metrics import Metrics
from controller.shell.turnstile import Turnstile

CONFLICTS_AT_ONCE = 5
"""After so many conflicts in a row somebody is writing the same objects all the time: wait a little."""
BUGS_AT_MOST = 2
"""After so many internal errors in a row nobody judges the canary: its traffic goes back."""
FIRST_RETRY_SECONDS = 1.0
NO_TRAFFIC = {"canaryWeight": 0, "mirrored": False, "iterations": 0}
"""The part of a status that says that nothing goes to a canary."""
TICKS_AT_ONCE, TICK_SECONDS = 10, 1.0
"""Ticks of a Canary without a pause, and how often one more: its own writes wake it, and those of a rival do."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How a tick ended: seconds until the next is due (None: when woken), and its result for the metrics."""

    delay: float | None
    result: str = "ok"
    failed: bool = False


@dataclass(frozen=True)
class Reconciler:
    """What every Canary's loop shares.

    Attributes:
        depend: called with the objects whose changes must wake a Canary.
        tell: called with a Canary whose change matters to those that depend on it.
        clock: the time, aware, in UTC.
        options: what decisions depend on beside the cluster.
        moving: the states of Canaries in a tick that matters to others and has not written its status yet.
        turnstile: what every piece of work passes that takes milliseconds.
    """

    kube: Kube
    cache: Cache
    runner: ProbeRunner
    recorder: EventRecorder
    alerts: AlertSender
    metrics: Metrics
    depend: Callable[[Key, frozenset[Key]], object]
    tell: Callable[[Key], None]
    clock: Callable[[], datetime]
    options: Options
    background: set[asyncio.Task[None]] = field(default_factory=set)
    moving: dict[Key, State] = field(default_factory=dict)
    turnstile: Turnstile = field(default_factory=Turnstile)

    async def run(self, key: Key, woken: asyncio.Event, resting: Callable[[float | None], None]) -> None:
        """Reconcile one Canary until cancelled; ``resting`` hears how long it sleeps at most, None for a tick."""
        try:
            await self._loop(key, woken, resting)
        finally:
            self.runner.forget(key[1], key[2])

    async def _loop(self, key: Key, woken: asyncio.Event, resting: Callable[[float | None], None]) -> None:
        loop, failures, due = asyncio.get_running_loop(), 0, math.inf
        allowance = Allowance(TICKS_AT_ONCE, TICK_SECONDS, loop.time())
        while True:
            await asyncio.sleep(allowance.take(loop.time()))
            resting(None)
            await self.turnstile.wait()
            woken.clear()
            started = loop.time()
            if due <= started:
                self.metrics.observe_lateness(started - due)
            outcome = await self._guarded_tick(key, failures)
            self.metrics.observe_tick(
                key[2], key[1], seconds=loop.time() - started, at=self.clock().timestamp(), result=outcome.result
            )
            failures = failures + 1 if outcome.failed else 0
            resting(math.inf if outcome.delay is None else outcome.delay)
            due = math.inf if outcome.delay is None else loop.time() + outcome.delay
            if outcome.failed and outcome.delay:  # what fails must not spin, however often it is woken
                await asyncio.sleep(min(outcome.delay, FIRST_RETRY_SECONDS))
            await _wait(woken, outcome.delay)

    async def _guarded_tick(self, key: Key, failures: int) -> _Outcome:
        """One tick, whatever happens in it."""
        try:
            return _Outcome(await self.tick(key))
        except Conflict as error:
            canary_log(key[2], key[1], __name__).info("deciding again: %s", error)
            delay = 0.0 if failures < CONFLICTS_AT_ONCE else backoff_seconds(failures)
            return _Outcome(delay, "Conflict", failed=True)
        except Transient as error:
            canary_log(key[2], key[1], __name__).warning("trying again: %s", error)
            result = "Transient"
        except InvalidObject as error:
            kept = await self._return_traffic(key, str(error), invalid=True)
            return _Outcome(FIRST_RETRY_SECONDS if kept else None, "InvalidObject")  # an edit can fix it, and wakes
        except CanaryError as error:
            await self._report(key, str(error))
            result = type(error).__name__
        except Exception as error:  # noqa: BLE001 -- a bug that one Canary meets must not stop it for good, or any other
            canary_log(key[2], key[1], __name__).exception("internal error")
            problem = f"internal error, see the controller's log: {type(error).__name__}: {shown(str(error))}"
            await (self._return_traffic if failures >= BUGS_AT_MOST else self._report)(key, problem)
            result = type(error).__name__
        return _Outcome(backoff_seconds(failures + 1, first=FIRST_RETRY_SECONDS), result, failed=True)

    async def tick(self, key: Key) -> float | None:
        """One pass: everything is decided on one snapshot, and the status is written before anything is reported."""
        manifest = self.cache.get(key)
        if manifest is None:
            return None
        if manifest["metadata"].get("deletionTimestamp"):
            return await self._terminate(key, manifest)
        canary = self._parse(key, manifest)
        if has_finalizer(manifest) != canary.spec.revert_on_deletion:
            manifest = await set_finalizer(self.kube, manifest, wanted=canary.spec.revert_on_deletion)
            self.cache.put(manifest, quietly=True)
        return (await self._step(key, manifest, canary)).requeue_after

    async def _step(self, key: Key, manifest: Manifest, canary: Canary) -> Decision:
        self.depend(key, dependencies(self.cache, canary).union(followed(self.cache, canary, self.moving)))
        facts = await observe(self.kube, self.cache, canary, self.clock(), self.options)
        facts = await with_others(self.kube, self.cache, facts, self.moving)
        before = state_from_status(canary)
        if unanswered(facts, before):
            facts = replace(facts, actor=await find_actor(self.kube, canary))
        decision = await self._decide(before, facts)
        if begins(before, decision.state) or facts.members:
            latest = with_latest(self.cache, facts, self.moving)
            if not (says_the_same(before, facts, latest) if facts.members else may_begin(before, latest)):
                return await self._step(key, manifest, canary)  # another one has moved since this one was looked at
            self.moving[key] = decision.state
        self._check_providers_once(manifest, facts, before, decision.state)
        try:
            facts = await act(self.kube, self.cache, facts, decision.actions)
            manifest = await self._write_status(manifest, facts, decision.state)
        finally:
            if self.moving.pop(key, None) and begins(before, decision.state):
                self.tell(key)
        self.metrics.observe_status(canary, before, decision.state)
        for event in decision.events:
            self._record(manifest, canary, event)
        for alert in decision.alerts:
            self.alerts.send(manifest, alert)
        if decision.hooks:  # they block nothing, so their timeouts must not either
            self._in_background(self._call_hooks(manifest, canary, decision), "call hooks")
        await act(self.kube, self.cache, facts, decision.upkeep)
        return decision

    async def _terminate(self, key: Key, manifest: Manifest) -> float | None:
        """Revert what the Canary asks for, then let it go: at once if nobody can read it, and at its deadline at last.

        Foreground deletion waits for what is collected with the Canary: nothing of it must be created again.
        """
        if not has_finalizer(manifest):
            return None
        try:
            canary = self._parse(key, manifest)
        except InvalidObject as error:
            canary_log(key[2], key[1], __name__).warning("deleted without a revert: %s", error)
        else:
            delay = await self._revert(key, manifest, canary)
            if delay is not None:
                return delay
        await set_finalizer(self.kube, self.cache.get(key) or manifest, wanted=False)
        return None

    async def _revert(self, key: Key, manifest: Manifest, canary: Canary) -> float | None:
        """Seconds until the revert goes on; None when it is over."""
        try:
            decision = await self._step(key, manifest, canary)
        except Exception:
            if seconds_left(canary, self.clock()) > 0:
                raise
            canary_log(key[2], key[1], __name__).exception("deleted without a whole revert")
            return None
        return None if decision.state.phase is Phase.TERMINATED else decision.requeue_after

    def give_back_orphans(self) -> None:
        """In the background; see `orphans`. To be called at the start, and for each Canary that was deleted."""
        self._in_background(give_back_orphans(self.kube, self.cache), "give back what was adopted")

    def _parse(self, key: Key, manifest: Manifest) -> Canary:
        try:
            return parse_canary(manifest)
        except InvalidObject:
            self.depend(key, frozenset())
            raise

    async def _decide(self, state: State, facts: Facts) -> Decision:
        steps, asked = deciding(state, facts), set[str]()
        try:
            measure = next(steps)
            while True:
                asked |= {probe.key for probe in measure.probes}
                answers = await self.runner.measure(facts.canary, measure)
                await self.turnstile.wait()
                measure = steps.send(answers)
        except StopIteration as end:
            decision: Decision = end.value
        if asked or decision.state.routes == Routes():  # a call is waited for from one timed step to the next
            keep = asked if decision.state.routes != Routes() else ()
            self.runner.forget(facts.canary.namespace, facts.canary.name, keep)
        return decision

    async def _write_status(self, manifest: Manifest, facts: Facts, state: State) -> Manifest:
        after = status_from_state(state, facts.canary, facts.now, facts.options.minimum_interval)
        if after == facts.canary.status:
            return manifest
        return await self._put_status(manifest, after.to_dict())

    async def _put_status(self, manifest: Manifest, status: Mapping[str, Any]) -> Manifest:
        """Write ``status`` onto the object as it was seen; Conflict, with a current cache, if it has moved on."""
        key = ("Canary", manifest["metadata"]["namespace"], manifest["metadata"]["name"])
        try:
            written = await self.kube.replace_status({**manifest, "status": dict(status)})
        except (Conflict, NotFound) as error:
            await refresh(self.kube, self.cache, key)
            raise Conflict(error.request, error.status, error.reason) from error
        self.cache.put(written, quietly=True)
        if moves_others(manifest, written):
            self.tell(key)
        return written

    async def _call_hooks(self, manifest: Manifest, canary: Canary, decision: Decision) -> None:
        answers = await self.runner.measure(canary, Measure(decision.hooks))
        for probe in decision.hooks:
            answer, what = answers[probe.key], probe.webhook.hook_type.value.capitalize()
            if isinstance(answer, Passed):
                self._record(manifest, canary, Event(f"{what} check {probe.webhook.name} passed"))
            else:
                reason = getattr(answer, "reason", "")
                self._record(manifest, canary, Event(f"{what} hook {probe.webhook.name} failed {reason}", "Warning"))

    async def _return_traffic(self, key: Key, problem: str, *, invalid: bool = False) -> bool:
        """Nobody can judge this Canary: its canary's traffic goes back to a primary that serves.

        Returns whether some is left: the primary does not serve, or a write failed.
        """
        owned = self._owned(key)
        writes = list(returns(owned))
        serving = any(serves(item) for item in owned if item["kind"] in WORKLOADS)
        try:
            for write in writes if serving else ():
                await apply_write(self.kube, self.cache, write)
        except ClusterError as error:
            canary_log(key[2], key[1], __name__).warning("trying again: %s", error)
            serving = False
        returned = bool(writes) and serving
        await self._report(key, problem, invalid=invalid, **NO_TRAFFIC if returned else {})
        return bool(writes) and not returned

    def _owned(self, key: Key) -> list[Manifest]:
        """What a Canary controls or has adopted, whatever its spec is like."""
        uid, (_, namespace, name) = str((self.cache.get(key) or {}).get("metadata", {}).get("uid", "")), key
        found = (self.cache.get(each) for each in self.cache.owned_by(uid, f"{namespace}/{name}"))
        return [item for item in found if item is not None and item["metadata"].get("namespace") == namespace]

    async def _report(self, key: Key, problem: str, *, invalid: bool = False, **changes: Any) -> None:
        """Say what holds a Canary up where the user looks: in its status, and in an event, once. Moves no traffic."""
        manifest = self.cache.get(key)
        if manifest is None:
            return
        status, generation = dict(manifest.get("status") or {}), int(manifest["metadata"].get("generation", 0))
        told = report(status, problem, self.clock(), generation=generation, invalid=invalid) | changes
        if told == status:
            canary_log(key[2], key[1], __name__).debug("still: %s", problem)
            return
        if status.get("message") != problem:
            self.recorder.record(manifest, Event(problem, "Warning"))
        try:
            await self._put_status(manifest, told)
        except ClusterError as error:
            canary_log(key[2], key[1], __name__).warning("the status could not be written: %s", error)

    def _record(self, manifest: Manifest, canary: Canary, event: Event) -> None:
        checksum = canary.status.last_applied_spec
        self.recorder.record(manifest, event, canary.spec.analysis.webhooks, checksum)

    def _check_providers_once(self, manifest: Manifest, facts: Facts, before: State, after: State) -> None:
        """When a Canary is first initialised: are its metric providers there? It waits for no answer (Flagger)."""
        begun = before.phase is Phase.NEW and after.phase in (Phase.INITIALIZING, Phase.INITIALIZED)
        if not begun or facts.canary.spec.skip_analysis:
            return
        self._in_background(self._check_providers(manifest, facts), "check metric providers")

    def _in_background(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self.background.add(task)
        task.add_done_callback(self.background.discard)

    async def _check_providers(self, manifest: Manifest, facts: Facts) -> None:
        providers: dict[str, tuple[MetricProvider | None, str]] = {
            f"metric template {name.rpartition('/')[2]}.{name.partition('/')[0]}": (
                template.spec.provider,
                name.partition("/")[0],
            )
            for name, template in facts.templates.items()
            if not isinstance(template, str)
        }
        if any(not metric.template_refs for metric in facts.canary.spec.analysis.metrics):
            address = facts.canary.spec.metrics_server
            own = MetricProvider(type="prometheus", address=address) if address else None
            providers["the metrics server"] = (own, facts.canary.namespace)
        missing = missing_templates(facts.canary, facts.templates)
        problems = [f"MetricTemplate {name} not found" for name in missing]
        problems += broken_templates(facts.canary, facts.templates)
        problems += await self.runner.check_providers(facts.canary, providers)
        if problems:
            event = Event(f"Error checking metric providers: {'; '.join(problems)}", "Warning")
        else:
            event = Event("all the metrics providers are available!")
        self._record(manifest, facts.canary, event)


async def _wait(woken: asyncio.Event, delay: float | None) -> None:
    try:
        async with asyncio.timeout(delay):
            await woken.wait()
    except TimeoutError:
        return
