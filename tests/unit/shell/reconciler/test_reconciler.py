"""The loop of one Canary, on a virtual clock and a Kubernetes API in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest

from controller.api.names import ACTION_ANNOTATION, API_VERSION
from controller.core.model import Options
from controller.core.objects.ownership import ADOPTED_BY
from controller.core.probes import HookProbe, NoValues, Passed, Pending, ProbeResult, Refused, Value
from controller.shell.informer.cache import Cache
from controller.shell.kubernetes.errors import Rejected, Transient
from controller.shell.kubernetes.kinds import WATCHED
from controller.shell.reconciler import reconciler as reconcile
from controller.shell.reconciler.reconciler import TICKS_AT_ONCE, Reconciler
from controller.shell.reconciler.tasks import CanaryTasks
from controller.shell.reporting import alerts
from controller.shell.reporting.alerts import AlertSender
from controller.shell.reporting.events import EventRecorder
from controller.shell.reporting.metrics import Metrics
from controller.shell.turnstile import Turnstile
from tests.builders import (
    ERROR_RATE,
    NOW,
    WEIGHTED,
    canary_manifest,
    make_config,
    make_deployment,
    ready_status,
    webhook,
)
from tests.unit.shell.fakes import FakeKube

pytestmark = pytest.mark.looptime

KEY = ("Canary", "prod", "backend")
INTERVAL = 10.0


class FakeProbeRunner:
    """Answers probes from ``answers`` by key; what is not named agrees, or measures 0; ``hangs`` does not answer."""

    def __init__(self) -> None:
        self.answers: dict[str, ProbeResult] = {}
        self.asked: list[str] = []
        self.hangs = ""
        self.kept: set[str] = set()
        self.while_asked: Callable[[str], None] = lambda key: None

    async def measure(self, canary, asked) -> dict[str, ProbeResult]:
        answers: dict[str, ProbeResult] = {}
        for probe in asked.probes:
            self.asked.append(probe.key)
            self.while_asked(probe.key)
            if probe.key == self.hangs:
                patience = 3600 if asked.patience is None else asked.patience
                await asyncio.sleep(0 if probe.key in self.kept else patience)
                answers[probe.key] = Pending()
                continue
            default: ProbeResult = Passed() if isinstance(probe, HookProbe) else Value(0.0)
            answers[probe.key] = self.answers.get(probe.key, default)
        return answers

    def forget(self, namespace, name, keep=()) -> None:
        self.kept = set(keep)

    async def check_providers(self, canary, providers) -> list[str]:
        self.asked.append("check")
        return []


class Stage:
    """The shell on a fake cluster; the Deployment controller is played by ``finish_rollouts``."""

    def __init__(self, *manifests: Mapping[str, Any]) -> None:
        self.kube = FakeKube(*manifests)
        self.tasks = CanaryTasks()
        self.cache = Cache(self.tasks.changed)
        self.runner = FakeProbeRunner()
        self.metrics = Metrics("test")
        self.recorder = EventRecorder(self.kube, None, self.now)  # type: ignore[arg-type]  # no Canary here has event webhooks
        self.reconciler = Reconciler(
            kube=self.kube,
            cache=self.cache,
            runner=self.runner,  # type: ignore[arg-type]
            recorder=self.recorder,
            alerts=AlertSender(self.kube, None, self.recorder.record),  # type: ignore[arg-type]  # `post` is replaced
            metrics=self.metrics,
            depend=self.tasks.depend,
            tell=self.tasks.wake_followers,
            clock=self.now,
            options=Options(minimum_interval=1.0),
        )
        self.sending: asyncio.Task[None] | None = None

    @property
    def ticks(self) -> float:
        labels = {"name": "backend", "namespace": "prod", "result": "ok"}
        return self.metrics.registry.get_sample_value("canary_ticks_total", labels) or 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=asyncio.get_running_loop().time())

    async def open(self) -> None:
        await self.sync()
        self.sending = asyncio.create_task(self.recorder.run())
        self.reconciler.give_back_orphans()
        self.tasks.open(
            self.reconciler.run,
            removed=lambda key, manifest: self.reconciler.give_back_orphans(),
            ended=lambda task: None,
        )

    async def close(self) -> None:
        await self.tasks.stop()
        for task in self.reconciler.background:
            task.cancel()
        if self.sending is not None:
            self.sending.cancel()
            await asyncio.gather(self.sending, return_exceptions=True)

    async def sync(self) -> None:
        """What the watches would do."""
        for kind in WATCHED:
            for manifest in self.kube.objects(kind.name):
                self.cache.put(manifest)
        for name in ("ConfigMap", "Secret"):
            for manifest in self.kube.objects(name):
                self.cache.note({key: manifest[key] for key in ("kind", "metadata")})

    async def settle(self, seconds: float = 0.5) -> None:
        """Let things happen, the Deployment controller and the watches included."""
        for _ in range(4):
            await asyncio.sleep(seconds / 4)
            for deployment in self.kube.objects("Deployment"):
                generation = deployment["metadata"].get("generation", 1)
                status = ready_status(deployment["spec"].get("replicas", 1), generation)
                if deployment.get("status") != status:
                    self.kube.set({**deployment, "status": status})
            await self.sync()

    async def new_version(self, image: str) -> None:
        deployment = self.kube.object("Deployment", "prod", "backend")
        changed = make_deployment(image=image)
        self.kube.set({**deployment, "spec": {**deployment["spec"], "template": changed["spec"]["template"]}})
        await self.settle()

    @property
    def status(self) -> dict[str, Any]:
        return dict(self.kube.object(*KEY).get("status") or {})

    @property
    def weights(self) -> list[int]:
        service = self.kube.object("VirtualService", "prod", "backend")
        return [route["weight"] for route in service["spec"]["http"][0]["route"]]

    @property
    def events(self) -> list[tuple[str, int]]:
        return [(event["message"], event["count"]) for event in self.kube.objects("Event")]


DELETED = {"deletionTimestamp": "2026-01-01T12:00:00Z", "finalizers": ["foregroundDeletion"]}
METRIC = {"name": "error-rate", "query": "errors", "thresholdRange": {"max": 1}}


@asynccontextmanager
async def initialised(**analysis: Any) -> AsyncIterator[Stage]:
    """A Canary that is initialised; made in the test and not in a fixture, whose clock is another."""
    stage = Stage(canary_manifest(analysis={**WEIGHTED, "metrics": [METRIC], **analysis}), make_deployment())
    await stage.open()
    try:
        await stage.settle()
        assert stage.status["phase"] == "Initialized"
        await stage.settle(INTERVAL)  # until the target is scaled to zero
        yield stage
    finally:
        await stage.close()


async def test_a_canary_is_initialised_from_nothing_but_its_target():
    async with initialised() as stage:
        assert stage.weights == [100, 0]
        assert stage.kube.object("Deployment", "prod", "backend")["spec"]["replicas"] == 0
        assert ("Initialization done! backend.prod", 1) in stage.events
        assert "check" in stage.runner.asked


async def test_a_metric_template_that_does_not_exist_is_no_available_provider():
    async with initialised(metrics=[ERROR_RATE]) as stage:
        said = [message for message, _ in stage.events]
        assert "Error checking metric providers: MetricTemplate istio-system/error-rate not found" in said
        assert "MetricTemplate istio-system/error-rate of spec.analysis.metrics not found" in said
        assert "all the metrics providers are available!" not in said


async def test_a_new_version_is_promoted_step_by_step():
    async with initialised() as stage:
        await stage.new_version("podinfo:2")
        seen = [stage.weights]
        while stage.status["phase"] != "Succeeded":
            await stage.settle(INTERVAL / 2)
            if stage.weights != seen[-1]:
                seen.append(stage.weights)
        assert seen == [[80, 20], [60, 40], [50, 50], [100, 0]]
        primary = stage.kube.object("Deployment", "prod", "backend-primary")
        assert primary["spec"]["template"]["spec"]["containers"][0]["image"] == "podinfo:2"


@pytest.mark.parametrize(("answers", "told"), [(Passed(), 0), (Refused("answered 404: no_service"), 2)])
async def test_alerts_are_sent_once_the_status_is_written_and_hold_nothing_up(monkeypatch, answers, told):
    phases: list[str] = []
    async with initialised(alerts=[{"name": "team", "providerRef": {"name": "chat"}}]) as stage:

        async def post(outside, caller, webhook, payload, **rest):
            phases.append(stage.status["phase"])
            await asyncio.sleep(3600)
            return answers

        monkeypatch.setattr(alerts, "post", post)
        spec = {"type": "slack", "address": "https://hooks.test/secret"}
        metadata = {"name": "chat", "namespace": "prod"}
        stage.kube.set({"apiVersion": API_VERSION, "kind": "AlertProvider", "metadata": metadata, "spec": spec})
        await stage.new_version("podinfo:2")
        await stage.settle(20 * INTERVAL)
        assert (phases, stage.status["phase"]) == (["Progressing"], "Succeeded")
        await stage.settle(2 * 3600)
        assert phases == ["Progressing", "Succeeded"]
        unsent = "Alert team to AlertProvider prod/chat not sent: answered 404: no_service"
        assert [count for message, count in stage.events if message == unsent] == [told] * bool(told)


async def test_an_action_by_hand_is_answered_at_once_and_names_the_field_manager_that_wrote_it():
    async with initialised() as stage:
        await stage.new_version("podinfo:2")
        canary = stage.kube.object(*KEY)
        metadata = canary["metadata"]
        metadata["annotations"] = {ACTION_ANNOTATION: f"pause revision={stage.status['revision']} nonce=1"}
        field: dict[str, Any] = {"f:metadata": {"f:annotations": {f"f:{ACTION_ANNOTATION}": {}}}}
        metadata["managedFields"] = [
            {"manager": "helm", "fieldsV1": {"f:spec": {}}},
            {"manager": "kubectl-annotate", "fieldsV1": field},
        ]
        stage.kube.set(canary)
        await stage.settle()
        assert stage.status["pausedBy"] == "kubectl-annotate"
        assert ("Action pause on backend.prod by kubectl-annotate", 1) in stage.events
        stage.kube.requests.clear()
        await stage.settle(3 * INTERVAL)
        assert ("get", "Canary/backend") not in stage.kube.requests, "it is read once for each action"


async def test_at_rest_nothing_is_asked_of_the_api():
    async with initialised() as stage:
        requests = list(stage.kube.requests)
        service = stage.kube.object("Service", "prod", "backend")
        service["metadata"]["labels"]["seen"] = "yes"
        stage.kube.set(service)
        ticks = stage.ticks
        await stage.settle(3600)
        assert stage.ticks > ticks
        assert stage.kube.requests == requests


async def test_a_canary_that_is_woken_all_the_time_ticks_once_a_second():
    async with initialised() as stage:
        await stage.settle(TICKS_AT_ONCE)
        before = stage.ticks
        for number in range(1000):
            service = stage.kube.object("Service", "prod", "backend")
            service["metadata"]["labels"]["writer"] = str(number)
            stage.cache.put(stage.kube.set(service))
            await asyncio.sleep(0.01)
        assert stage.ticks - before <= TICKS_AT_ONCE + 10


async def test_how_late_a_canary_is_looked_at_is_counted_but_not_where_something_woke_it(monkeypatch):
    def looks(limit: str) -> float:
        return stage.metrics.registry.get_sample_value("canary_tick_lateness_seconds_bucket", {"le": limit}) or 0.0

    async with initialised() as stage:
        await stage.new_version("podinfo:2")
        on_time = looks("0.01")
        await stage.settle(INTERVAL)
        assert looks("0.01") > on_time

        async def crowded(_turnstile: Turnstile) -> None:
            await asyncio.sleep(2)

        monkeypatch.setattr(Turnstile, "wait", crowded)
        on_time, late = looks("1.0"), looks("2.5")
        await stage.settle(INTERVAL + 3)
        assert (looks("1.0"), looks("2.5") > late) == (on_time, True)
        counted, ticks = looks("+Inf"), stage.ticks
        stage.kube.set(make_deployment(image="podinfo:3"))
        await stage.settle(3)
        assert (looks("+Inf"), stage.ticks > ticks) == (counted, True)


async def test_between_two_steps_nothing_is_measured():
    async with initialised() as stage:
        await stage.new_version("podinfo:2")
        await stage.settle(INTERVAL)
        asked = len(stage.runner.asked)
        await stage.settle(INTERVAL / 4)
        assert len(stage.runner.asked) == asked


async def test_the_api_being_down_loses_nothing_and_is_tried_again_ever_more_slowly(caplog):
    async with initialised() as stage:
        stage.kube.failures["replace status"] = [Transient("PUT status", 0, "connection refused")] * 6
        stage.kube.failures["patch Deployment/backend"] = [Transient("PATCH", 500, "etcd leader changed")] * 3
        await stage.new_version("podinfo:2")
        for _ in range(60):
            await stage.settle(INTERVAL)
        assert stage.status["phase"] == "Succeeded"
        assert "connection refused" in caplog.text


async def test_a_conflict_is_met_with_fresh_facts_at_once():
    async with initialised() as stage:
        canary = stage.kube.object(*KEY)
        canary["metadata"]["annotations"] = {"edited": "by somebody"}
        stage.kube.set(canary)
        deployment = stage.kube.object("Deployment", "prod", "backend")
        deployment["spec"]["template"] = make_deployment(image="podinfo:2")["spec"]["template"]
        stage.kube.set(deployment)
        stage.cache.put(stage.kube.object("Deployment", "prod", "backend"))
        await asyncio.sleep(0.1)
        assert stage.status["phase"] == "Progressing"
        assert ("get", "Canary/backend") in stage.kube.requests


async def test_an_object_that_vanished_unseen_is_made_again():
    async with initialised() as stage:
        stage.kube.remove("VirtualService", "prod", "backend")
        await stage.new_version("podinfo:2")
        assert stage.weights == [80, 20]


async def test_what_the_api_rejects_is_reported_in_the_status_and_once_in_an_event():
    async with initialised() as stage:
        refusal = Rejected("PUT /apis/networking.istio.io/v1/backend", 422, "spec.http: invalid")
        stage.kube.failures["replace"] = [refusal] * 3
        await stage.new_version("podinfo:2")
        await stage.settle(INTERVAL)
        assert stage.weights == [80, 20]
        assert (str(refusal), 1) in stage.events


BROKEN: Mapping[str, Callable[[dict[str, Any]], object]] = {
    "analysis": lambda canary: canary["spec"].update(analysis={"interval": "10s", "stepWeight": "five"}),
    "targetRef": lambda canary: canary["spec"].pop("targetRef"),
    "service": lambda canary: canary["spec"].update(service=[]),
    "spec": lambda canary: canary.pop("spec"),
}


@pytest.mark.parametrize("part", BROKEN)
async def test_a_canary_that_does_not_parse_any_more_gives_its_traffic_back_and_starts_over(part):
    async with initialised() as stage:
        await stage.new_version("podinfo:2")
        await stage.settle(INTERVAL)
        assert stage.weights == [60, 40]
        canary = stage.kube.object(*KEY)
        good = canary["spec"]
        BROKEN[part](canary := json.loads(json.dumps(canary)))
        stage.kube.failures["replace"] = [Rejected("PUT", 403, "forbidden")]
        stage.kube.set(canary)
        await stage.settle()
        assert stage.weights == [60, 40]
        await stage.settle(3)
        assert (stage.weights, stage.status["canaryWeight"], stage.status["phase"]) == ([100, 0], 0, "Progressing")
        assert part in stage.status["message"]
        stage.kube.set({**stage.kube.object(*KEY), "spec": good})
        assert [count for message, count in stage.events if message == stage.status["message"]] == [1]
        await stage.settle(INTERVAL)
        assert stage.weights == [80, 20]
        while stage.status["phase"] != "Succeeded":
            await stage.settle(INTERVAL / 2)


async def test_a_canary_that_does_not_parse_says_so_and_changes_nothing():
    async with initialised() as stage:
        canary = stage.kube.object(*KEY)
        good = dict(canary["spec"])
        canary["spec"] = {**good, "analysis": {**good["analysis"], "stepWeight": "five"}}
        stage.kube.set(canary)
        await stage.settle()
        writes = len([request for request in stage.kube.writes() if "Event" not in request[1]])
        message = stage.status["message"]
        assert "spec.analysis.stepWeight" in message
        assert (message, 1) in stage.events
        await stage.settle(3600)
        assert len([request for request in stage.kube.writes() if "Event" not in request[1]]) == writes
        stage.kube.set({**stage.kube.object(*KEY), "spec": good})
        await stage.settle()
        assert "message" not in stage.status
        assert stage.status["phase"] == "Initialized"


async def test_a_canary_that_is_being_deleted_gets_nothing_back_of_what_goes_with_it():
    async with initialised() as stage:
        stage.kube.set({**stage.kube.object(*KEY), "metadata": {**stage.kube.object(*KEY)["metadata"], **DELETED}})
        await stage.settle()
        stage.cache.remove(("VirtualService", "prod", "backend"))
        writes = stage.kube.writes()
        stage.kube.remove("VirtualService", "prod", "backend")
        await stage.settle()
        assert stage.kube.writes() == writes


@pytest.mark.parametrize(
    "spec", [{}, {"suspend": True}, {"analysis": {"interval": "never"}}, {"revertOnDeletion": True}]
)
async def test_a_deleted_canary_that_was_never_initialised_loses_our_finalizer_and_no_other(spec):
    canary = canary_manifest()
    canary["spec"] |= spec
    canary["metadata"] |= {**DELETED, "finalizers": ["finalizer.flagger.app", "of-another"]}
    stage = Stage(canary, make_deployment())
    await stage.open()
    await stage.settle()
    assert stage.kube.object(*KEY)["metadata"]["finalizers"] == ["of-another"]
    await stage.settle()
    assert {what.partition("/")[0] for _, what in stage.kube.writes()} <= {"Canary", "Event"}
    await stage.close()


async def edit(stage: Stage, **spec: Any) -> None:
    canary = stage.kube.object(*KEY)
    stage.kube.set({**canary, "spec": {**canary["spec"], **spec}})
    await stage.settle()


async def delete(stage: Stage) -> None:
    canary = stage.kube.object(*KEY)
    since = {"deletionTimestamp": stage.now().isoformat()}
    stage.kube.set({**canary, "metadata": {**canary["metadata"], **since}})
    await stage.settle()


def finalizers(stage: Stage) -> list[str]:
    return list(stage.kube.object(*KEY)["metadata"].get("finalizers") or ())


async def test_the_finalizer_is_there_while_a_revert_is_asked_for():
    async with initialised() as stage:
        assert finalizers(stage) == []
        await edit(stage, revertOnDeletion=True)
        assert finalizers(stage) == ["finalizer.flagger.app"]
        writes = stage.kube.writes()
        await stage.settle(INTERVAL)
        assert stage.kube.writes() == writes
        await edit(stage, revertOnDeletion=False)
        assert finalizers(stage) == []


async def test_a_deletion_with_a_revert_scales_the_target_up_before_the_canary_goes():
    async with initialised() as stage:
        await edit(stage, revertOnDeletion=True)
        await delete(stage)
        assert (stage.status["phase"], finalizers(stage)) == ("Terminating", ["finalizer.flagger.app"])
        await stage.settle(2 * INTERVAL)
        assert (stage.status["phase"], finalizers(stage)) == ("Terminated", [])
        assert stage.kube.object("Deployment", "prod", "backend")["spec"]["replicas"] == 1


@pytest.mark.parametrize("error", [Rejected("PATCH deployments", 403, "forbidden"), ZeroDivisionError("a bug")])
async def test_what_cannot_be_reverted_holds_a_deletion_up_until_the_deadline_and_no_longer(error):
    async with initialised() as stage:
        await edit(stage, revertOnDeletion=True, progressDeadlineSeconds=60)
        stage.kube.failures["patch Deployment/backend"] = [error] * 1000
        await delete(stage)
        await stage.settle(50)
        assert finalizers(stage) == ["finalizer.flagger.app"]
        await stage.settle(70)
        assert finalizers(stage) == []


async def test_another_service_name_leaves_nothing_of_the_former():
    async with initialised() as stage:
        canary = stage.kube.object(*KEY)
        stage.kube.set({**canary, "spec": {**canary["spec"], "service": {"name": "shop", "port": 9898}}})
        await stage.settle()
        await stage.settle(INTERVAL)
        await stage.settle(INTERVAL)
        names = sorted(
            item["metadata"]["name"] for kind in ("Service", "VirtualService") for item in stage.kube.objects(kind)
        )
        assert names == ["shop", "shop", "shop-canary", "shop-primary"]


async def test_a_bug_stops_neither_this_canary_nor_another(monkeypatch, caplog):
    async with initialised() as stage:

        def broken(state, facts):
            raise ZeroDivisionError("division by zero")

        with monkeypatch.context() as patched:
            patched.setattr(reconcile, "deciding", broken)
            await stage.new_version("podinfo:2")
            assert (
                "internal error, see the controller's log: ZeroDivisionError: division by zero"
                in stage.status["message"]
            )
            assert "Traceback" in caplog.text
        await stage.settle(INTERVAL)
        assert stage.weights == [80, 20]
        assert "message" not in stage.status


async def test_a_bug_that_stays_leaves_no_traffic_on_a_canary_that_nobody_judges(monkeypatch):
    async with initialised() as stage:
        await stage.new_version("podinfo:2")
        with monkeypatch.context() as patched:
            patched.setattr(reconcile, "deciding", lambda state, facts: 1 / 0)
            await stage.settle(2 * INTERVAL)
            assert (stage.weights, stage.status["canaryWeight"]) == ([100, 0], 0)
        while stage.status["phase"] != "Succeeded":
            await stage.settle(INTERVAL)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Passed(), "Post-rollout check after passed"),
        (Refused("answered 500: no"), "Post-rollout hook after failed answered 500: no"),
    ],
)
async def test_a_hook_that_cannot_block_is_called_afterwards(answer, message):
    async with initialised(webhooks=[webhook("after", "post-rollout")]) as stage:
        stage.runner.answers = {"metric/error-rate": NoValues(), "webhook/post-rollout/after": answer}
        await stage.new_version("podinfo:2")
        while stage.status["phase"] != "Failed":
            await stage.settle(INTERVAL)
        await stage.settle()
        assert (message, 1) in stage.events
        assert stage.weights == [100, 0]


async def test_a_hook_that_hangs_delays_nothing():
    async with initialised(webhooks=[webhook("after", "post-rollout")]) as stage:
        stage.runner.answers = {"metric/error-rate": NoValues()}
        stage.runner.hangs = "webhook/post-rollout/after"
        await stage.new_version("podinfo:2")
        while stage.status["phase"] != "Failed":
            await stage.settle(INTERVAL)
        await stage.settle(INTERVAL)
        assert stage.kube.object("Deployment", "prod", "backend")["spec"]["replicas"] == 0
        await stage.new_version("podinfo:3")
        await stage.settle(INTERVAL)
        assert stage.status["phase"] == "Progressing"


@pytest.mark.parametrize("type_", ["rollback", "rollout", "confirm-traffic-increase"])
async def test_a_bad_canary_is_found_beside_a_hook_that_hangs(type_):
    async with initialised(webhooks=[{**webhook("slow", type_), "timeout": "1h"}]) as stage:
        if type_ == "rollback":
            stage.runner.answers = {"webhook/rollback/slow": Refused("403")}
        await stage.new_version("podinfo:2")
        await stage.settle(INTERVAL / 2)
        stage.runner.hangs = f"webhook/{type_}/slow"
        await stage.settle(2 * INTERVAL)
        weights = stage.weights
        assert weights in ([80, 20], [60, 40])
        assert stage.runner.hangs in stage.runner.kept
        assert stage.status["reason"] in ("HookPending", "StepNotApproved")
        await stage.settle(4 * INTERVAL)
        assert stage.weights == weights
        stage.runner.answers = {"metric/error-rate": Value(100.0)}
        await stage.settle(4 * INTERVAL)
        assert (stage.weights, stage.status["phase"]) == ([100, 0], "Failed")
        assert stage.runner.kept == set()


async def test_of_a_changed_config_the_body_is_read_once_and_a_deleted_target_is_reported():
    config = make_config("backend-config", {"a": "b"})
    deployment = make_deployment()
    deployment["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "backend-config"}}]
    stage = Stage(canary_manifest(), deployment, config)
    await stage.open()
    await stage.settle()
    assert stage.kube.object("ConfigMap", "prod", "backend-config-primary")["data"] == {"a": "b"}
    reads = stage.kube.requests.count(("get", "ConfigMap/backend-config"))
    stage.kube.set({**config, "data": {"a": "c"}})
    await stage.settle()
    assert stage.status["phase"] == "Progressing"
    assert stage.kube.requests.count(("get", "ConfigMap/backend-config")) == reads + 1
    stage.kube.remove("Deployment", "prod", "backend")
    stage.cache.remove(("Deployment", "prod", "backend"))
    await stage.settle()
    assert "not found" in stage.status["message"]
    await stage.close()


APEX: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "backend", "namespace": "prod"},
    "spec": {"selector": {"app": "backend"}, "ports": [{"name": "http", "port": 9898, "protocol": "TCP"}]},
}
ROUTED: dict[str, Any] = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "backend", "namespace": "prod"},
    "spec": {"hosts": ["backend"], "http": [{"route": [{"destination": {"host": "backend"}}]}]},
}


@pytest.mark.parametrize("running", [True, False])
async def test_what_a_canary_had_adopted_is_given_back_when_it_is_deleted_while_the_controller_runs_or_not(running):
    stage = Stage(canary_manifest(), make_deployment(), APEX, ROUTED)
    await stage.open()
    try:
        await stage.settle()
        assert stage.kube.object("Service", "prod", "backend")["spec"]["selector"] == {"app": "backend-primary"}
        if not running:
            await stage.close()
            kinds = ("Deployment", "Service", "VirtualService")
            stage = Stage(*(item for kind in kinds for item in stage.kube.objects(kind)))
            await stage.open()
        else:
            stage.kube.remove(*KEY)
            stage.cache.remove(KEY)
        await stage.settle()
        for before in (APEX, ROUTED):
            after = stage.kube.object(before["kind"], "prod", "backend")
            assert (after["spec"], after["metadata"].get("annotations", {})) == (before["spec"], {})
    finally:
        await stage.close()


async def test_what_another_canary_has_adopted_stays_when_one_is_deleted():
    async with initialised() as stage:
        service = {**APEX, "metadata": {**APEX["metadata"], "name": "shop", "annotations": {ADOPTED_BY: "backend"}}}
        stage.cache.put(stage.kube.set(service))
        canary = canary_manifest(name="other")
        stage.cache.put(stage.kube.set(canary))
        await stage.settle()
        stage.kube.remove("Canary", "prod", "other")
        stage.cache.remove(("Canary", "prod", "other"))
        await stage.settle()
        assert stage.kube.object("Service", "prod", "shop")["metadata"]["annotations"] == {ADOPTED_BY: "backend"}
