"""What a workload's pods say: why they are not ready, in their own words, and which images they run.

Only what lasts is said: a message that changes with every retry of the kubelet would be a write of the status each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from controller.core.model import Manifest

SHOWN = 300
"""Characters of a reason; a kubelet can quote whole answers of a registry."""
_PULL = ("ErrImagePull", "ImagePullBackOff")
_STARTS = ("ContainerCreating", "PodInitializing")
STARTING = "starts"
"""The state of a pod that is not ready and says no reason."""
_NO_REASON = ("Error", "Completed", "ContainerStatusUnknown")


def selector_text(workload: Manifest) -> str:
    """The selector of a workload as the API takes it in ``labelSelector``."""
    selector = workload["spec"]["selector"]
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for each in selector.get("matchExpressions") or ():
        values = ",".join(each.get("values") or ())
        parts.append(
            {
                "In": f"{each['key']} in ({values})",
                "NotIn": f"{each['key']} notin ({values})",
                "Exists": each["key"],
                "DoesNotExist": f"!{each['key']}",
            }[each["operator"]]
        )
    return ",".join(parts)


def trouble_of(workload: Manifest, pods: Sequence[Manifest]) -> str:
    """What is wrong with the newest pod of a workload that is not ready and says why; empty where none does."""
    for pod in pods_of(workload, pods):
        ready, state = pod_state(pod)
        if not ready and state != STARTING:
            return f"pod {pod['metadata']['name']} {state}"
    return ""


def pods_of(workload: Manifest, pods: Sequence[Manifest]) -> list[Manifest]:
    """The pods of a workload that stay, the newest first."""
    key = workload["kind"], workload["metadata"]["name"]
    own = [pod for pod in pods if key in _workloads_of(pod)]
    return sorted(own, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), reverse=True)


def pod_state(pod: Manifest) -> tuple[bool, str]:
    """Whether a pod is ready, and its state in words: ``ready``, `STARTING`, or what is wrong with it."""
    if _is_ready(pod):
        return True, "ready"
    reason = next(_reasons(pod), STARTING)
    return False, reason if len(reason) <= SHOWN else f"{reason[: SHOWN - 1]}…"


def restarts(pod: Manifest) -> int:
    """Of all its containers together."""
    status = pod.get("status", {})
    containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return sum(int(each.get("restartCount") or 0) for each in containers)


def image_ids(workload: Manifest, pods: Sequence[Manifest]) -> dict[str, str]:
    """The images of a workload's pods that are ready, by container, as their nodes resolved them.

    A container whose image differs from pod to pod is left out: a tag was moved while they started.
    """
    key, found = (workload["kind"], workload["metadata"]["name"]), dict[str, set[str]]()
    for pod in pods:
        if key in _workloads_of(pod) and _is_ready(pod):
            for container in pod["status"].get("containerStatuses") or ():
                found.setdefault(container["name"], set()).add(container.get("imageID", ""))
    return {name: next(iter(ids)) for name, ids in found.items() if len(ids) == 1 and "" not in ids}


def _workloads_of(pod: Manifest) -> Iterator[tuple[str, str]]:
    """Kind and name of what a pod that stays belongs to; a Deployment has its pods by a ReplicaSet ``NAME-HASH``."""
    if pod["metadata"].get("deletionTimestamp"):
        return
    for owner in pod["metadata"].get("ownerReferences") or ():
        kind, name = str(owner.get("kind", "")), str(owner.get("name", ""))
        yield ("Deployment", name.rpartition("-")[0]) if kind == "ReplicaSet" else (kind, name)


def _conditions(pod: Manifest) -> dict[str, Mapping[str, Any]]:
    return {each["type"]: each for each in pod.get("status", {}).get("conditions") or ()}


def _is_ready(pod: Manifest) -> bool:
    return bool(_conditions(pod).get("Ready", {}).get("status") == "True")


def _reasons(pod: Manifest) -> Iterator[str]:
    """The first cause comes first: where it runs, whether it was thrown out, its containers in their order."""
    status, conditions = pod.get("status", {}), _conditions(pod)
    if conditions.get("PodScheduled", {}).get("status") == "False":
        yield f"cannot be scheduled: {_line(conditions['PodScheduled'])}"
    if status.get("phase") == "Failed" and status.get("reason"):
        yield f"failed: {_line(status)}"
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(kind) or ():
            if found := _trouble(container, initial=kind == "initContainerStatuses"):
                yield f"container {container['name']} {found}"
    ready = conditions.get("Ready", {})
    if ready.get("reason") == "ReadinessGatesNotReady":
        yield f"waits for a readiness gate: {_line(ready)}"


def _trouble(container: Mapping[str, Any], *, initial: bool) -> str:
    """What keeps a container from being ready; empty where it only starts, or is done."""
    state = container.get("state") or {}
    waiting = state.get("waiting") or {}
    reason = waiting.get("reason", "")
    if reason in _PULL:
        # The back-off quotes the error of the last pull.
        cause = str(waiting.get("message", "")).rpartition("ErrImagePull: ")[2]
        return f"cannot pull its image {container.get('image', '')} (ImagePullBackOff): {_one_line(cause)}"
    ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated")
    if ended and not (initial and ended.get("exitCode") == 0):
        why = "" if ended.get("reason", "Error") in _NO_REASON else f" ({ended['reason']})"
        return f"ended with exit code {ended.get('exitCode')}{why}, {container.get('restartCount', 0)} restarts"
    if waiting:
        return "" if not reason or reason in _STARTS else f"waits: {_line(waiting)}"
    if initial or not state.get("running") or container.get("ready"):
        return ""
    return "runs and is not ready: its " + ("readiness" if container.get("started") else "startup") + " probe fails"


def _line(status: Mapping[str, Any]) -> str:
    """Reason and message of a status that has both."""
    return _one_line(": ".join(str(status[key]) for key in ("reason", "message") if status.get(key)))


def _one_line(text: str) -> str:
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())
