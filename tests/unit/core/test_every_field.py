"""Every field of the API does something: another value changes what the controller does, or is refused.

For each field the table has a Canary around it and two values; whole rollouts, a good one and a bad one, are compared.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from pydantic import BaseModel

from controller.api import (
    Canary,
    HookType,
    InvalidObject,
    MetricTemplate,
    parse_canary,
    parse_metric_template,
    unsupported_fields,
)
from controller.api.status import Phase
from controller.core.model import Member
from controller.core.probes import HookProbe, MetricProbe, Probe, ProbeResult, Refused, Value
from tests.builders import (
    AB_TESTING,
    BLUE_GREEN,
    ERROR_RATE,
    NOW,
    WEIGHTED,
    canary_manifest,
    make_autoscaler,
    make_daemon_set,
    make_deployment,
    make_scaled_object,
    ready_status,
)
from tests.builders import webhook as make_webhook
from tests.unit.core.cluster import Cluster
from tests.unit.core.mesh import CANARY, PRIMARY, Mesh

ABSENT: Any = object()
FIRST_TICKS, TICKS, LAST_TICKS = 4, 16, 3


# --- the fields of the API --------------------------------------------------------------------------------------------


def leaves(model: type[BaseModel], path: str) -> Iterator[str]:
    """Every field below ``model``; ``[]`` is an item of a list, ``{}`` a value of a mapping."""
    for name, described in model.model_fields.items():
        yield from _leaves(described.annotation, f"{path}.{described.alias or name}")


def _leaves(kind: Any, path: str) -> Iterator[str]:
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        yield from _leaves(args[0], path)
    elif origin in (Union, UnionType):
        yield from dict.fromkeys(leaf for arg in args if arg is not type(None) for leaf in _leaves(arg, path))
    elif origin is tuple:
        yield from _leaves(args[0], f"{path}[]")
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        yield from _leaves(args[1], f"{path}{{}}")
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        yield from leaves(kind, path)
    else:
        yield path


FIELDS = tuple(
    dict.fromkeys(
        path
        for model, name in ((Canary, "canary"), (MetricTemplate, "template"))
        for path in leaves(model, name)
        if path.startswith((f"{name}.spec.",))
    )
)


# --- the table --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A field, the Canary around it, and two values.

    Attributes:
        before: one value; absent by default.
        after: another.
        analysis: the analysis around it.
        spec: the rest of the spec around it.
    """

    path: str
    after: Any
    before: Any = ABSENT
    analysis: Mapping[str, Any] = field(default_factory=lambda: WEIGHTED)
    spec: Mapping[str, Any] = field(default_factory=dict)


REF = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "backend"}
HPA = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "backend"}
SCALED = {"autoscalerRef": HPA}
KEDA = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "backend"}
MIRRORED = {**WEIGHTED, "mirror": True}
MATCH = {"headers": {"x": {"exact": "a"}}}
COMPARED: dict[str, Any] = {"name": "errors", "compare": {"errors": {}, "warmup": "0s"}}
# Of a canary with 1.5% errors, against the primary's 0.2%: harmless from 1.45% on, harmful from 1.7% on.
BETWEEN = {"name": "errors", "compare": {**COMPARED["compare"], "harmlessMargin": 1.2, "harmfulMargin": 1.3}}
# Harmful from 6.8% on, so that what is harmless may be raised beyond the 1.5%.
FAR = {"name": "errors", "compare": {**COMPARED["compare"], "harmfulRatio": 9.0, "harmfulMargin": 5.0}}
QUERIED = {"interval": "5m", "query": "up", "templateRef.name": "up", "templateVariables{}": "b"}
SLOW = {"name": "latency", "compare": {"latency": {"edges": ["100ms"]}, "warmup": "0s"}}
ORDERS = {
    "name": "orders",
    "compare": {"counters": {"bad": "bad{{workload}}", "total": "all{{workload}}"}, "warmup": "0s"},
}
CPU = {"name": "cpu", "compare": {"value": {"query": "cpu{{workload}}", "better": "lower"}, "warmup": "0s"}}
TEMPLATE_REF = {"name": "error-rate", "namespace": "istio-system"}
DEPENDENT = {"dependsOn": [{"name": "shop"}]}
GATE = make_webhook("gate", "confirm-promotion")


def metrics(*given: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {**WEIGHTED, "metrics": [dict(each) for each in given], **more}


def hooked(**hook: Any) -> dict[str, Any]:
    return {**WEIGHTED, "webhooks": [{**make_webhook("hook", "rollout"), **hook}]}


TARGET, SCALER = "canary.spec.targetRef", "canary.spec.autoscalerRef"
SERVICE, ANALYSIS = "canary.spec.service", "canary.spec.analysis"
METRIC, COMPARE = f"{ANALYSIS}.metrics[]", f"{ANALYSIS}.metrics[].compare"
HOOK, ALERT, AFFINITY = f"{ANALYSIS}.webhooks[]", f"{ANALYSIS}.alerts[]", f"{ANALYSIS}.sessionAffinity"
ALERTED = {**WEIGHTED, "alerts": [{"name": "chat", "providerRef": {"name": "chat"}}]}
CLOSED = "closed"
"""A webhook of this name refuses."""
STICKY = {**WEIGHTED, "sessionAffinity": {"cookieName": "canary"}}
HELD = {**WEIGHTED, "holdback": {"weight": 5, "duration": "10s"}}
ELSEWHERE = {"apiVersion": "v1", "kind": "Ingress", "name": "backend"}
CASES: tuple[Case, ...] = (
    Case("canary.spec.provider", "kubernetes"),
    Case("canary.spec.metricsServer", "http://own:9090", analysis=metrics({"name": "request-success-rate"})),
    Case(f"{TARGET}.apiVersion", "apps/v2"),
    Case(f"{TARGET}.kind", "DaemonSet"),
    Case(f"{TARGET}.name", "frontend"),
    Case(f"{SCALER}.apiVersion", "keda.sh/v1", spec=SCALED),
    Case(f"{SCALER}.kind", "ScaledObject", spec=SCALED),
    Case(f"{SCALER}.name", "other", spec=SCALED),
    Case(f"{SCALER}.primaryScalerQueries{{}}", "up", spec=SCALED),
    Case(f"{SCALER}.primaryScalerQueries{{}}", "up", spec={"autoscalerRef": KEDA}),
    Case(f"{SCALER}.primaryScalerReplicas.maxReplicas", 7, spec={"autoscalerRef": KEDA}),
    Case(f"{SCALER}.primaryScalerReplicas.minReplicas", 3, spec=SCALED),
    Case(f"{SCALER}.primaryScalerReplicas.maxReplicas", 7, spec=SCALED),
    *(
        Case(f"canary.spec.{reference}.{key}", value, spec={reference: {**ELSEWHERE, "kind": kind}})
        for reference, kind, keys in (
            ("ingressRef", "Ingress", {"apiVersion": "v2", "kind": "Ingress", "name": "other"}),
            ("routeRef", "ApisixRoute", {"apiVersion": "v2", "kind": "ApisixRoute", "name": "other"}),
            (
                "upstreamRef",
                "Upstream",
                {"apiVersion": "v2", "kind": "Upstream", "name": "other", "namespace": "other"},
            ),
        )
        for key, value in keys.items()
    ),
    Case("canary.spec.progressDeadlineSeconds", 20, before=3600),
    Case("canary.spec.skipAnalysis", True),
    Case("canary.spec.revertOnDeletion", True),
    Case("canary.spec.suspend", True),
    Case(f"{SERVICE}.name", "front"),
    Case(f"{SERVICE}.port", 80),
    Case(f"{SERVICE}.portName", "grpc"),
    Case(f"{SERVICE}.targetPort", 8080),
    Case(f"{SERVICE}.appProtocol", "grpc"),
    Case(f"{SERVICE}.appProtocol", "tcp"),
    Case(f"{SERVICE}.trafficDistribution", "PreferClose"),
    Case(f"{SERVICE}.portDiscovery", True),
    Case(f"{SERVICE}.headless", True),
    Case(f"{SERVICE}.timeout", "5s"),
    Case(f"{SERVICE}.gateways[]", "istio-system/public"),
    Case(f"{SERVICE}.hosts[]", "shop.test"),
    Case(f"{SERVICE}.delegation", True),
    Case(f"{SERVICE}.trafficPolicy{{}}", {"mode": "ISTIO_MUTUAL"}),
    Case(f"{SERVICE}.match[]{{}}", {"prefix": "/"}),
    Case(f"{SERVICE}.rewrite.uri", "/"),
    Case(f"{SERVICE}.rewrite.authority", "shop.test"),
    Case(f"{SERVICE}.rewrite.type", "ReplaceFullPath"),
    Case(f"{SERVICE}.retries{{}}", 3),
    Case(f"{SERVICE}.headers{{}}", {"set": {"x": "y"}}),
    Case(f"{SERVICE}.corsPolicy{{}}", ["GET"]),
    *(
        Case(f"{SERVICE}.{side}.{what}{{}}", "y")
        for side in ("apex", "primary", "canary")
        for what in ("labels", "annotations")
    ),
    *(
        Case(f"{SERVICE}.unmanagedMetadata.{what}[]", "theirs", spec={"service": {"apex": {what: {"theirs": "y"}}}})
        for what in ("labels", "annotations")
    ),
    Case(f"{SERVICE}.backendTimeout", "5s"),
    Case(f"{SERVICE}.gatewayRefs[]{{}}", "public"),
    Case(f"{SERVICE}.mirror[]{{}}", "copy"),
    Case(f"{SERVICE}.meshName", "mesh"),
    Case(f"{SERVICE}.backends[]", "other"),
    Case(f"{ANALYSIS}.interval", "20s"),
    Case(f"{ANALYSIS}.threshold", 1, before=2, analysis=metrics(ERROR_RATE)),
    Case(f"{ANALYSIS}.iterations", 3, before=2, analysis=AB_TESTING),
    Case(f"{ANALYSIS}.iterations", 3, before=2, analysis=BLUE_GREEN),
    Case(f"{ANALYSIS}.maxWeight", 40, before=60),
    Case(f"{ANALYSIS}.maxWeight", 40, analysis=BLUE_GREEN),
    Case(f"{ANALYSIS}.maxWeight", 40, analysis=AB_TESTING),
    Case(f"{ANALYSIS}.stepWeight", 10),
    Case(f"{ANALYSIS}.stepWeights[]", 15, analysis={"interval": "10s", "threshold": 3}, before=10),
    Case(f"{ANALYSIS}.stepWeightPromotion", 20),
    Case(f"{ANALYSIS}.stepWeightPromotion", 50, analysis=AB_TESTING),
    Case(f"{ANALYSIS}.stepWeightPromotion", 50, analysis=BLUE_GREEN),
    Case(f"{ANALYSIS}.mirror", True),
    Case(f"{ANALYSIS}.mirror", True, analysis=BLUE_GREEN),
    Case(f"{ANALYSIS}.mirror", True, analysis=AB_TESTING),
    Case(f"{ANALYSIS}.mirror", True, analysis={**WEIGHTED, "match": [MATCH]}),
    Case(f"{ANALYSIS}.mirrorWeight", 30, analysis=MIRRORED),
    Case(f"{ANALYSIS}.mirrorWeight", 30),
    Case(f"{ANALYSIS}.primaryReadyThreshold", 40),
    Case(f"{ANALYSIS}.canaryReadyThreshold", 40),
    *(
        Case(f"{ANALYSIS}.match[].headers{{}}.{kind}", "b", analysis={**base, "match": [{"headers": {"x": {}}}]})
        for base in (WEIGHTED, BLUE_GREEN)
        for kind in ("exact", "prefix", "suffix", "regex")
    ),
    *(
        Case(
            f"{ANALYSIS}.match[].queryParams{{}}.{kind}", "b", analysis={**base, "match": [{"queryParams": {"x": {}}}]}
        )
        for base in (WEIGHTED, BLUE_GREEN)
        for kind in ("exact", "prefix", "regex")
    ),
    *(
        Case(f"{ANALYSIS}.match[].sourceLabels{{}}", "b", analysis={**base, "match": [MATCH]})
        for base in (WEIGHTED, BLUE_GREEN)
    ),
    Case(f"{METRIC}.name", "other", analysis=metrics(ERROR_RATE)),
    Case(f"{METRIC}.interval", "5m", analysis=metrics({"name": "request-success-rate"})),
    Case(f"{METRIC}.threshold", 200, analysis=metrics({"name": "own", "query": "up"})),
    Case(f"{METRIC}.thresholdRange.min", 50, analysis=metrics({"name": "own", "query": "up"})),
    Case(f"{METRIC}.thresholdRange.max", 100, analysis=metrics({"name": "own", "query": "up"})),
    Case(f"{METRIC}.query", "down", analysis=metrics({"name": "own", "query": "up"})),
    Case(f"{METRIC}.templateRef.name", "other", analysis=metrics(ERROR_RATE)),
    Case(f"{METRIC}.templateRef.namespace", "prod", analysis=metrics(ERROR_RATE)),
    Case(
        f"{METRIC}.templateVariables{{}}",
        "eu",
        before="us",
        analysis=metrics({"name": "own", "query": "up{{variables.x}}"}),
    ),
    *(Case(f"{METRIC}.{name}", value, analysis=metrics(COMPARED)) for name, value in QUERIED.items()),
    Case(f"{METRIC}.dryRun", True, analysis=metrics(ERROR_RATE)),
    Case(f"{METRIC}.dryRun", True, analysis=metrics(COMPARED)),
    Case(f"{COMPARE}.with", "baseline", analysis=metrics(COMPARED)),
    Case(f"{COMPARE}.errors.responseCodes", "4..", analysis=metrics(COMPARED)),
    Case(f"{COMPARE}.errors.grpcStatuses", "0|2", analysis=metrics(COMPARED)),
    Case(f"{COMPARE}.counters.bad", "other{{workload}}", analysis=metrics(ORDERS)),
    Case(f"{COMPARE}.counters.total", "other{{workload}}", analysis=metrics(ORDERS)),
    Case(f"{COMPARE}.value.query", "other{{workload}}", analysis=metrics(CPU)),
    Case(f"{COMPARE}.value.better", "higher", before="lower", analysis=metrics(CPU)),
    *(
        Case(
            f"{COMPARE}.value.templateRef.{key}",
            value,
            analysis=metrics({"name": "cpu", "compare": {"value": {"templateRef": TEMPLATE_REF, "better": "lower"}}}),
        )
        for key, value in {"name": "other", "namespace": "prod"}.items()
    ),
    Case(f"{COMPARE}.latency.edges[]", "250ms", before="100ms", analysis=metrics(SLOW)),
    Case(f"{COMPARE}.risk", 0.5, before=1e-9, analysis=metrics(COMPARED)),
    Case(f"{COMPARE}.harmlessRatio", 8.0, analysis=metrics(FAR)),
    Case(f"{COMPARE}.harmlessMargin", 2.0, analysis=metrics(FAR)),
    Case(f"{COMPARE}.harmfulRatio", 9.0, analysis=metrics(BETWEEN)),
    Case(f"{COMPARE}.harmfulMargin", 5.0, before=1.3, analysis=metrics(BETWEEN)),
    Case(f"{COMPARE}.sensitivity", "low", analysis=metrics(BETWEEN)),
    Case(f"{COMPARE}.minRequests", 10**6, analysis=metrics(COMPARED)),
    Case(f"{COMPARE}.warmup", "30s", analysis=metrics(COMPARED)),
    Case(f"{ANALYSIS}.onFailure", "freeze", analysis=metrics(ERROR_RATE)),
    Case(f"{ANALYSIS}.holdback.weight", 10, before=5, analysis=HELD),
    Case(f"{ANALYSIS}.holdback.duration", "30s", before="10s", analysis=HELD),
    Case("canary.spec.rollbackWindow", "1h"),
    Case("canary.spec.group", "shop"),
    Case("canary.spec.groupHeader", "x-shop", spec={"group": "shop"}),
    Case("canary.spec.dependsOn[].name", "other", spec=DEPENDENT),
    Case("canary.spec.dependsOn[].namespace", "other", spec=DEPENDENT),
    Case(f"{HOOK}.name", "other", analysis=hooked()),
    Case(f"{HOOK}.url", "http://other.test", analysis=hooked()),
    *(Case(f"{HOOK}.type", kind, before="rollout", analysis=hooked()) for kind in ("pre-rollout", "rollback", "event")),
    Case(f"{HOOK}.timeout", "5s", analysis=hooked()),
    Case(f"{HOOK}.retries", 2, analysis=hooked()),
    Case(f"{HOOK}.disableTLS", True, analysis=hooked()),
    Case(f"{HOOK}.muteAlert", True, analysis={**ALERTED, **hooked(name=CLOSED, type="confirm-rollout")}),
    Case(f"{HOOK}.metadata{{}}", "y", analysis=hooked()),
    Case(f"{ALERT}.name", "other", analysis=ALERTED),
    Case(f"{ALERT}.severity", "error", analysis=ALERTED),
    Case(f"{ALERT}.providerRef.name", "other", analysis=ALERTED),
    Case(f"{ALERT}.providerRef.namespace", "other", analysis=ALERTED),
    *(
        Case(f"{AFFINITY}.{key}", value, analysis=STICKY)
        for key, value in {
            "cookieName": "other",
            "primaryCookieName": "other",
            "domain": "shop.test",
            "httpOnly": True,
            "maxAge": 5,
            "partitioned": True,
            "path": "/",
            "sameSite": "Lax",
            "secure": True,
        }.items()
    ),
    Case(f"{ANALYSIS}.advance", "onEvidence", analysis=metrics(COMPARED, stepWeight=5)),
    Case(f"{ANALYSIS}.maxStep", 25, analysis=metrics(COMPARED, stepWeight=5, advance="onEvidence")),
    Case(
        f"{ANALYSIS}.onInconclusive",
        "rollback",
        analysis=metrics({"name": "errors", "compare": {"errors": {}, "minRequests": 10**6}}),
    ),
    Case("template.spec.provider.type", "datadog"),
    Case("template.spec.provider.address", "http://other:9090"),
    Case("template.spec.provider.headers{}[]", "y"),
    Case("template.spec.provider.secretRef.name", "token"),
    Case("template.spec.provider.region", "eu"),
    Case("template.spec.provider.insecureSkipVerify", True),
    Case("template.spec.query", "other"),
)


def test_the_table_has_every_field_of_the_api():
    assert {case.path for case in CASES} == set(FIELDS)


# --- what the controller does with it ---------------------------------------------------------------------------------


TEMPLATE: Mapping[str, Any] = {
    "apiVersion": "flagger.app/v1beta1",
    "kind": "MetricTemplate",
    "metadata": {"name": "error-rate", "namespace": "istio-system"},
    "spec": {"provider": {"type": "prometheus", "address": "http://prometheus:9090"}, "query": "errors"},
}


def with_value(manifest: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """``manifest`` with ``value`` at ``path``; what is missing on the way is made."""
    made = copy.deepcopy(manifest)
    tokens = re.findall(r"\[\]|\{\}|[^.\[\]{}]+", path)[1:]
    *steps, last = ({"[]": 0, "{}": "x"}.get(token, token) for token in tokens)
    node: Any = made
    for step, following in zip(steps, [*steps[1:], last], strict=True):
        empty: Any = [] if following == 0 else {}
        if isinstance(node, list) and not node:
            node.append(empty)
        node = node[0] if isinstance(node, list) else node.setdefault(step, empty)
    if value is not ABSENT and isinstance(node, list):
        node[:] = [value]
    elif value is not ABSENT:
        node[last] = value
    return made


class Recorder(Cluster):
    """A cluster that notes all that the controller does, and all that it asks with what the shell is handed."""

    notes: list[str]
    mesh: Mesh
    bad: float

    def _answer(self, probe: Probe) -> ProbeResult:
        match probe:
            case HookProbe():
                # Of a webhook the shell sends the rest (tests/unit/shell/test_webhooks.py).
                self.notes.append(f"{probe.webhook.model_dump(exclude={'mute_alert'})} {probe.phase} {probe.checksum}")
                if probe.webhook.name == CLOSED:
                    return Refused("403 Forbidden")
            case _:
                self.notes.append(repr(probe))
        if isinstance(probe, MetricProbe):
            return Value(1.0 if probe.side == "primary" else self.bad)
        return self.answers[probe.key] if probe.key in self.answers else super()._answer(probe)

    def step(self) -> None:
        """Ten seconds of traffic, and a tick."""
        share = 100.0 if self.state.routes.mirrored else self.state.routes.canary_weight
        self.mesh.serve(CANARY, 100 * share, share * self.bad / 100)
        self.mesh.serve(PRIMARY, 100 * (100 - share), 0.2 * (100 - share))
        self.mesh.take(CANARY, {100.0: 90 * share, 250.0: 5 * share, math.inf: 5 * share + share * self.bad / 100})
        self.mesh.take(PRIMARY, {100.0: 90 * (100 - share), 250.0: 5 * (100 - share), math.inf: 5 * (100 - share)})
        self.answers |= {"counters/errors": self.mesh.errors(), "counters/latency": self.mesh.latency()}
        decision = self.tick(10)
        self.notes += [repr(decision.actions), repr(decision.hooks), repr(decision.requeue_after), *self.events]
        self.notes += [repr(decision.alerts)]
        self.notes += [repr(self.writes), decision.state.message]
        self.events, self.writes = [], []


def objects() -> list[dict[str, Any]]:
    target = make_deployment(replicas=4)
    target["spec"]["template"]["spec"]["containers"][0]["ports"].append({"name": "admin", "containerPort": 9797})
    scaler = make_scaled_object()
    scaler["spec"]["triggers"][0]["name"] = "x"
    return [
        target,
        make_deployment("frontend"),
        make_daemon_set(labels={"app": "daemon"}),
        make_autoscaler(),
        scaler,
        {**make_autoscaler("other"), "spec": make_autoscaler(high=9)["spec"]},
    ]


def rollout(canary: Mapping[str, Any], template: MetricTemplate, *, bad: float, half_ready: str = "") -> list[str]:
    """What the controller does from the Canary's creation to the end of a rollout, and on the way back."""
    cluster = Recorder.of(canary, *objects())
    assert isinstance(cluster, Recorder)
    cluster.notes, cluster.mesh, cluster.bad = [], Mesh(), bad
    cluster.templates = {"istio-system/error-rate": template}
    cluster.members = {"shop": (Member("cart", Phase.PROGRESSING),)}
    for _ in range(FIRST_TICKS):
        cluster.step()
    cluster.set_image("podinfo:2", canary["spec"]["targetRef"]["name"])
    for _ in range(TICKS):
        make_half_ready(cluster, half_ready)
        cluster.step()
    cluster.set_image("podinfo:1", canary["spec"]["targetRef"]["name"])
    for _ in range(LAST_TICKS):
        cluster.step()
    cluster.canary["metadata"] |= {"deletionTimestamp": cluster.now.isoformat(), "generation": 10**6}
    for _ in range(3):
        cluster.step()
    return cluster.notes


def make_half_ready(cluster: Cluster, name: str) -> None:
    """Half of a Deployment's pods are available, and have been since the start."""
    if ("Deployment", name) in cluster.objects:
        item = cluster.objects["Deployment", name]
        replicas, since = item["spec"].get("replicas", 1), NOW.isoformat().replace("+00:00", "Z")
        missing = {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable"}
        item["status"] = {
            **ready_status(replicas, item["metadata"]["generation"]),
            "availableReplicas": replicas // 2,
            "conditions": [{**missing, "lastUpdateTime": since, "lastTransitionTime": since}],
        }


def course(case: Case, value: Any) -> list[str] | None:
    """What is done with ``value``; None if it is refused."""
    canary, template = canary_manifest(analysis=case.analysis, **copy.deepcopy(dict(case.spec))), dict(TEMPLATE)
    if case.path.startswith("canary."):
        canary = with_value(canary, case.path, value)
    else:
        canary = canary_manifest(analysis=metrics(ERROR_RATE))
        template = with_value(template, case.path, value)
    try:
        parsed, metric = parse_canary(canary), parse_metric_template(template)
    except InvalidObject:
        return None
    if unsupported_fields(parsed) or unsupported_fields(metric):
        return None
    return [
        *rollout(canary, metric, bad=0.5),
        *rollout(canary, metric, bad=150.0),
        *rollout(canary, metric, bad=0.5, half_ready="backend"),
        *rollout(canary, metric, bad=0.5, half_ready="backend-primary"),
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.path}={case.after}")
def test_another_value_changes_what_is_done_or_is_refused(case):
    changed = course(case, case.after)
    assert changed is None or changed != course(case, case.before)


@pytest.mark.parametrize("base", [WEIGHTED, AB_TESTING, BLUE_GREEN, {**WEIGHTED, "match": [MATCH]}], ids=str)
@pytest.mark.parametrize("kind", [kind for kind in HookType if kind is not HookType.EVENT])
def test_every_webhook_is_asked_with_every_strategy_or_is_refused(kind, base):
    """Those of type event get the events, from the shell."""
    case = Case(f"{ANALYSIS}.webhooks[]", make_webhook("hook", kind), analysis=base)
    changed = course(case, case.after)
    assert changed is None or changed != course(case, ABSENT)
