"""What is wrong with one app or target of a stack: its Canary, its workload, the templates it refers to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pulumi_kubernetes import apps, autoscaling, core, policy

from controller.api import InvalidObject, Problem, parse_duration, unsupported_fields
from stack.app import AppConfig, CanariedConfig, TargetConfig
from stack.config import StackConfig
from stack.controller import TrustConfig
from stack.kubernetes import find_problems
from stack.names import DEFAULT_TEMPLATES, ISTIO_NAMESPACE
from stack.namespace import Workload
from stack.objects import build_canary
from stack.workload import (
    build_autoscaler,
    build_pod,
    config_maps,
    named_pod_spec,
)

_ELSEWHERE: Mapping[str, Mapping[str, str]] = {
    # key of the app -> field that belongs elsewhere -> where
    "canary": {
        "targetRef": "it is the workload of this name",
        **{
            field: f"set {field} beside canary"
            for field in ("service", "analysis", "skipAnalysis", "suspend", "progressDeadlineSeconds")
        },
    },
    "labels": {"app": "it tells the app's pods from those of its primary"},
    "deploymentSpec": {
        "selector": "it is the label app",
        "template": "set podSpec, labels and annotations of the app",
        **{field: f"set {field} of the app" for field in ("replicas", "minReadySeconds", "progressDeadlineSeconds")},
    },
    "podDisruptionBudget": {"selector": "it selects the pods of the primary"},
}


def workload_problems(config: StackConfig) -> Iterator[Problem]:
    """Everything that cannot work with an app or a target, whatever else the stack has."""
    for workload in config.workloads:
        at, entry = workload.key, workload.config
        yield from _canary(workload)
        if isinstance(entry, AppConfig):
            yield from _workload(at, workload.name, entry)
        else:
            yield from _elsewhere(at, {"canary": entry.canary})
            yield from _autoscaler(at, workload.name, entry)


def analysis_problems(config: StackConfig) -> Iterator[Problem]:
    """What the analysis of an app or a target asks of the controller and the templates of the stack."""
    for workload in config.workloads:
        yield from _interval(config.controller.minimum_interval, workload)
        yield from _templates(config, workload.key, workload.config)
        yield from _elsewhere_refs(config.controller.trust, workload)


# --- the Canary -------------------------------------------------------------------------------------------------------


def _interval(floor: str, workload: Workload) -> Iterator[Problem]:
    analysis = workload.config.analysis
    if analysis.interval_seconds < parse_duration(floor):
        message = f"must not be below controller.minimumInterval, {floor}"
        yield Problem(f"{workload.key}.analysis.interval", f'Invalid value: "{analysis.interval}": {message}')


def _canary(workload: Workload) -> Iterator[Problem]:
    at, app = workload.key, workload.config
    for route in {*app.service.hosts, *app.service.gateways} & app.lost_routes.keys():
        yield Problem(f"{at}.lostRoutes.{route}", "Forbidden: it is not lost, service has it")
    try:
        canary = build_canary(workload.name, workload.namespace, app)
    except InvalidObject as error:
        yield from (Problem(_key(at, app, problem.path), problem.message) for problem in error.problems)
        return
    for field in unsupported_fields(canary):
        path, _, reason = field.partition(": ")
        yield Problem(_key(at, app, path), f"Forbidden: {reason}")


def _key(at: str, app: CanariedConfig, path: str) -> str:
    """The key of the stack for a field of the Canary."""
    field = path.removeprefix("spec").removeprefix(".")
    inside = field.partition(".")[0].partition("[")[0] in app.canary
    return ".".join(filter(None, [at, "canary" if inside else "", field]))


def _templates(config: StackConfig, at: str, app: CanariedConfig) -> Iterator[Problem]:
    """Those in istio-system are the stack's own."""
    templates = sorted({*DEFAULT_TEMPLATES, *config.observability.metric_templates})
    known = f"known: {', '.join(templates)}; add others to observability.metricTemplates"
    is_allowed = config.controller.trust.cross_namespace_references
    for metric in app.analysis.metrics:
        for field, ref in metric.template_refs.items():
            if is_allowed and ref.namespace == ISTIO_NAMESPACE and ref.name not in templates:
                path = f"{at}.analysis.metrics.{metric.name}.{field}.name"
                yield Problem(path, f'Not found: "{ref.name}": no such metric template ({known})')


def _elsewhere_refs(trust: TrustConfig, workload: Workload) -> Iterator[Problem]:
    """A template or an alert provider in another namespace may belong to somebody else."""
    analysis = workload.config.analysis
    refs = {f"metrics.{each.name}.{at}": ref for each in analysis.metrics for at, ref in each.template_refs.items()}
    refs |= {f"alerts.{alert.name}.providerRef": alert.provider_ref for alert in analysis.alerts}
    for path, ref in refs.items():
        if not trust.cross_namespace_references and ref.namespace not in {None, "", workload.namespace}:
            message = "Forbidden: controller.trust.crossNamespaceReferences is false"
            yield Problem(f"{workload.key}.analysis.{path}.namespace", message)


# --- the workload -----------------------------------------------------------------------------------------------------


def _workload(at: str, name: str, app: AppConfig) -> Iterator[Problem]:
    """What of the passed parts is not Kubernetes'; only if all is, what the objects made with them lack."""
    if passed := [*_passed(at, name, app)]:
        yield from passed
        return
    pod = build_pod(name, app)
    if app.pod_spec:
        yield from find_problems(pod, core.v1.PodSpecArgs, f"{at}.podSpec")
    containers: Sequence[Mapping[str, Any]] = pod["containers"]
    names = [each["name"] for each in containers]
    if duplicates := sorted({each for each in names if names.count(each) > 1}):
        for each in duplicates:
            yield Problem(f"{at}.podSpec.containers.{each}", "Duplicate value: two containers have this name")
        return
    if not containers[0].get("image"):
        yield Problem(f"{at}.image", "Required value: image of the app, with a tag or a digest")
    yield from _port(at, app, containers)
    yield from _requests(at, app, containers)
    if len({*config_maps(name, app).get(f"{name}-files", ())}) < len(app.files):
        yield Problem(f"{at}.files", "Invalid value: two paths that differ only in / and _ need one key; rename a file")


def _passed(at: str, name: str, app: AppConfig) -> Iterator[Problem]:
    given: Mapping[str, Mapping[str, Any]] = {
        "canary": app.canary,
        "labels": app.labels,
        "deploymentSpec": app.deployment_spec,
        "podDisruptionBudget": app.pod_disruption_budget,
    }
    yield from _elsewhere(at, given)
    if app.deployment_spec:
        kind = apps.v1.DeploymentSpecArgs
        yield from find_problems(app.deployment_spec, kind, f"{at}.deploymentSpec", partial=True)
    if app.pod_spec:
        yield from find_problems(named_pod_spec(name, app), core.v1.PodSpecArgs, f"{at}.podSpec", partial=True)
    if "pod_disruption_budget" in app.model_fields_set:
        budget = app.pod_disruption_budget
        yield from find_problems(budget, policy.v1.PodDisruptionBudgetSpecArgs, f"{at}.podDisruptionBudget")
    yield from _autoscaler(at, name, app)


def _elsewhere(at: str, given: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    for key, fields in given.items():
        for field, reason in _ELSEWHERE[key].items():
            if field in fields:
                yield Problem(f"{at}.{key}.{field}", f"Forbidden: {reason}")


def _autoscaler(at: str, name: str, config: AppConfig | TargetConfig) -> Iterator[Problem]:
    hpa = config.autoscaler
    if hpa is None:
        return
    if config.kind == "DaemonSet":
        yield Problem(f"{at}.hpa", "Forbidden: a DaemonSet has a pod on every node")
    if "autoscalerRef" in config.canary:
        message = f"Forbidden: the autoscaler is the one that the stack makes; to name another, {_without(config)}"
        yield Problem(f"{at}.canary.autoscalerRef", message)
    if hpa.metrics or hpa.behavior:
        spec = {**build_autoscaler(hpa), "scaleTargetRef": {"kind": config.kind, "name": name}}
        yield from find_problems(spec, autoscaling.v2.HorizontalPodAutoscalerSpecArgs, f"{at}.hpa")


def _without(config: AppConfig | TargetConfig) -> str:
    return "set hpa.enabled: false" if isinstance(config, AppConfig) else "remove hpa"


def _port(at: str, app: AppConfig, containers: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    """A port by its name must be one of a container."""
    wanted = app.service.target_port
    names = sorted({port["name"] for each in containers for port in each.get("ports", ()) if port.get("name")})
    if isinstance(wanted, str) and wanted not in names:
        known = f"known: {', '.join(names)}" if names else "it has none"
        message = f"no container of podSpec has a port of this name ({known})"
        yield Problem(f"{at}.service.targetPort", f'Not found: "{wanted}": {message}')


def _requests(at: str, app: AppConfig, containers: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    """A utilization is a percentage of what every container requests."""
    hpa = app.autoscaler
    if hpa is None or hpa.min_replicas == hpa.max_replicas:
        return
    for metric in build_autoscaler(hpa)["metrics"]:
        scaled = metric.get("resource") or {}
        if "averageUtilization" not in scaled.get("target", {}):
            continue
        resource = scaled.get("name")
        for each in containers:
            resources = each.get("resources", {})
            if resource not in {**resources.get("requests", {}), **resources.get("limits", {})}:
                own = each is containers[0]
                place = f"{at}.resources" if own else f"{at}.podSpec.containers.{each['name']}.resources"
                key = "hpa.cpuUtilization" if resource == "cpu" and hpa.has_cpu else "the target in hpa.metrics"
                yield Problem(f"{place}.requests.{resource}", f"Required value: {key} is a percentage of it")
