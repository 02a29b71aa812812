"""When an object counts as ready, by kind; pure. The rules are those of the official plugin (its docs: "await
logic"), which for workloads are those of `kubectl rollout status`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sandbox.plugin.metadata import Kind
from sandbox.plugin.wait_for import WaitFor

Object = Mapping[str, Any]


class State(Enum):
    READY = "ready"
    WAITING = "waiting"
    FAILED = "failed"


@dataclass(frozen=True)
class Verdict:
    state: State
    reason: str = ""


READY = Verdict(State.READY)


def _waiting(reason: str) -> Verdict:
    return Verdict(State.WAITING, reason)


def _condition(obj: Object, kind: str) -> Mapping[str, Any]:
    conditions = (obj.get("status") or {}).get("conditions") or []
    return next((c for c in conditions if c.get("type") == kind), {})


def _is_observed(obj: Object) -> bool:
    observed, generation = (obj.get("status") or {}).get("observedGeneration", 0), obj["metadata"].get("generation", 0)
    return int(observed) >= int(generation)


def deployment(obj: Object, _: Sequence[Object]) -> Verdict:
    status, wanted = obj.get("status") or {}, obj["spec"].get("replicas", 1)
    if not _is_observed(obj):
        return _waiting("the Deployment controller has not seen the change yet")
    progressing = _condition(obj, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return Verdict(State.FAILED, str(progressing.get("message") or "the progress deadline was exceeded"))
    updated, total, available = (status.get(k, 0) for k in ("updatedReplicas", "replicas", "availableReplicas"))
    if updated < wanted:
        return _waiting(f"{updated} of {wanted} replicas are updated")
    if total > updated:
        return _waiting(f"{total - updated} old replicas are still to end")
    if available < updated:
        return _waiting(f"{available} of {updated} replicas are available")
    return READY


def stateful_set(obj: Object, _: Sequence[Object]) -> Verdict:
    status, wanted = obj.get("status") or {}, obj["spec"].get("replicas", 1)
    if not _is_observed(obj):
        return _waiting("the StatefulSet controller has not seen the change yet")
    ready = status.get("readyReplicas", 0)
    if ready < wanted:
        return _waiting(f"{ready} of {wanted} replicas are ready")
    on_delete = (obj["spec"].get("updateStrategy") or {}).get("type") == "OnDelete"
    if not on_delete and status.get("updateRevision") != status.get("currentRevision"):
        return _waiting(f"{status.get('updatedReplicas', 0)} of {wanted} replicas are updated")
    return READY


def daemon_set(obj: Object, _: Sequence[Object]) -> Verdict:
    status = obj.get("status") or {}
    if not _is_observed(obj):
        return _waiting("the DaemonSet controller has not seen the change yet")
    wanted = status.get("desiredNumberScheduled", 0)
    on_delete = (obj["spec"].get("updateStrategy") or {}).get("type") == "OnDelete"
    updated, available = status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0)
    if not on_delete and updated < wanted:
        return _waiting(f"{updated} of {wanted} nodes run the update")
    if available < wanted:
        return _waiting(f"the Pods of {available} of {wanted} nodes are available")
    return READY


def job(obj: Object, _: Sequence[Object]) -> Verdict:
    if _condition(obj, "Complete").get("status") == "True":
        return READY
    failed = _condition(obj, "Failed")
    if failed.get("status") == "True":
        return Verdict(State.FAILED, f"the Job failed: {failed.get('reason')}: {failed.get('message')}")
    status = obj.get("status") or {}
    return _waiting(
        f"the Job has not completed ({status.get('active', 0)} active, {status.get('failed', 0)} failed Pods)"
    )


def pod(obj: Object, _: Sequence[Object]) -> Verdict:
    phase = (obj.get("status") or {}).get("phase")
    if phase == "Succeeded" or _condition(obj, "Ready").get("status") == "True":
        return READY
    if phase == "Failed":
        return Verdict(State.FAILED, "; ".join(pod_problems([obj])) or "the Pod failed")
    return _waiting(f"the Pod is {phase or 'not scheduled yet'}")


def service(obj: Object, endpoint_slices: Sequence[Object]) -> Verdict:
    """Ready with one ready endpoint. Not waited for: ExternalName, headless, and without selector. LoadBalancers need
    an address.
    """
    spec = obj["spec"]
    if spec.get("type") == "LoadBalancer" and not ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress"):
        return _waiting("the Service of type LoadBalancer was not given an address; does this cluster hand them out?")
    if spec.get("type") == "ExternalName" or spec.get("clusterIP") == "None" or not spec.get("selector"):
        return READY
    endpoints = [endpoint for item in endpoint_slices for endpoint in item.get("endpoints") or []]
    if any((endpoint.get("conditions") or {}).get("ready", True) for endpoint in endpoints):
        return READY
    return _waiting("the Service has no ready endpoint: Pods may not be ready, or its selector matches no Pod's labels")


def custom_resource_definition(obj: Object, _: Sequence[Object]) -> Verdict:
    if _condition(obj, "Established").get("status") == "True":
        return READY
    names = _condition(obj, "NamesAccepted")
    if names.get("status") == "False":
        return Verdict(State.FAILED, f"the CRD's names were refused: {names.get('message')}")
    return _waiting("the CRD is not Established")


def persistent_volume_claim(obj: Object, storage_classes: Sequence[Object]) -> Verdict:
    """Bound; or Pending where the class binds only once a Pod uses the claim."""
    phase = (obj.get("status") or {}).get("phase")
    if phase == "Bound" or any(c.get("volumeBindingMode") == "WaitForFirstConsumer" for c in storage_classes):
        return READY
    return _waiting(f"the claim is {phase}")


def persistent_volume(obj: Object, _: Sequence[Object]) -> Verdict:
    phase = (obj.get("status") or {}).get("phase")
    return READY if phase in {"Available", "Bound"} else _waiting(f"the volume is {phase}")


Rule = Callable[[Object, Sequence[Object]], Verdict]

RULES: Mapping[tuple[str, str], Rule] = {
    ("", "PersistentVolume"): persistent_volume,
    ("", "PersistentVolumeClaim"): persistent_volume_claim,
    ("", "Pod"): pod,
    ("", "Service"): service,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): custom_resource_definition,
    ("apps", "DaemonSet"): daemon_set,
    ("apps", "Deployment"): deployment,
    ("apps", "StatefulSet"): stateful_set,
    ("batch", "Job"): job,
}


def has_rule(kind: Kind) -> bool:
    return (kind.group, kind.name) in RULES


def judge(kind: Kind, obj: Object, related: Sequence[Object]) -> Verdict:
    """The built-in rule's verdict; kinds without one are ready at once."""
    rule = RULES.get((kind.group, kind.name))
    return rule(obj, related) if rule else READY


def judge_wait_for(wait_for: Iterable[WaitFor], obj: Object) -> Verdict:
    """The annotation `pulumi.com/waitFor`, which takes the place of the built-in rule."""
    missing = [str(item) for item in wait_for if not item.holds(dict(obj))]
    return _waiting("waiting for " + ", ".join(missing)) if missing else READY


def pod_problems(pods: Iterable[Object]) -> list[str]:
    """One line for each thing that keeps these Pods from being ready, as their status tells it."""
    return [line for item in pods for line in _problems_of(item)]


def _problems_of(obj: Object) -> list[str]:
    name, status = obj["metadata"]["name"], obj.get("status") or {}
    scheduled = _condition(obj, "PodScheduled")
    if scheduled.get("status") == "False":
        return [f"Pod {name}: {scheduled.get('reason')}: {scheduled.get('message')}"]
    lines = []
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        waiting = (container.get("state") or {}).get("waiting") or {}
        ended = (container.get("state") or {}).get("terminated") or (container.get("lastState") or {}).get("terminated")
        label = f"Pod {name}, container {container.get('name')}"
        if waiting.get("reason") not in {None, "ContainerCreating", "PodInitializing"}:
            lines.append(f"{label}: {waiting['reason']}: {waiting.get('message', '')}".rstrip(": "))
        if ended and ended.get("exitCode"):
            lines.append(f"{label}: ended with exit code {ended['exitCode']} ({ended.get('reason')})")
    return lines
