"""Waiting on the cluster: until an object is ready, or gone."""

import time
from collections.abc import Iterator, Sequence

from sandbox.plugin.cluster import Cluster, Object
from sandbox.plugin.errors import InterruptError, PluginError
from sandbox.plugin.metadata import Kind, describe, kind_of, name_of, namespace_of
from sandbox.plugin.readiness import State, Verdict, judge, judge_wait_for, pod_problems
from sandbox.plugin.resource import Run
from sandbox.plugin.wait_for import WaitFor

DEFAULT_SECONDS = 600.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0
_SLICES = Kind("discovery.k8s.io", "v1", "EndpointSlice")
_STORAGE_CLASS = Kind("storage.k8s.io", "v1", "StorageClass")
_POD = Kind("", "v1", "Pod")


class WaitError(Exception):
    """The wait ended without success: the object as last seen, and why."""

    def __init__(self, live: Object, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons))
        self.live = live
        self.reasons = reasons


def _looks(run: Run, seconds: float) -> Iterator[float]:
    """The times to look, until `seconds` are over; yields what is left. Raises InterruptError."""
    end, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while True:
        run.check_cancelled()
        left = end - time.monotonic()
        yield left
        if left <= 0:
            return
        run.cancelled.wait(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def wait_until_ready(cluster: Cluster, obj: Object, wait_for: Sequence[WaitFor], run: Run, seconds: float) -> Object:
    """Look at the object until it is ready; returns it. Raises WaitError on failure, after `seconds`, and when
    interrupted.
    """
    verdict = first = Verdict(State.WAITING, "not looked at yet")
    try:
        for _ in _looks(run, seconds):
            obj, seen = _look(cluster, obj, wait_for)
            if seen.state is State.READY:
                if verdict is not first:
                    run.status("")
                return obj
            if seen != verdict:
                run.status(seen.reason)
            verdict = seen
            if verdict.state is State.FAILED:
                break
    except InterruptError:
        raise WaitError(obj, [f"{describe(obj)}: interrupted while waiting: {verdict.reason}"]) from None
    end = "failed" if verdict.state is State.FAILED else f"is not ready after {seconds:g} s"
    raise WaitError(obj, [f"{describe(obj)} {end}: {verdict.reason}", *_explain(cluster, obj)])


def _look(cluster: Cluster, obj: Object, wait_for: Sequence[WaitFor]) -> tuple[Object, Verdict]:
    kind = kind_of(obj)
    live = cluster.get(kind, namespace_of(obj), name_of(obj))
    if live is None:
        raise WaitError(obj, [f"{describe(obj)} was deleted while it was waited for"])
    return live, judge_wait_for(wait_for, live) if wait_for else judge(kind, live, _related(cluster, kind, live))


def _related(cluster: Cluster, kind: Kind, obj: Object) -> Sequence[Object]:
    """The other objects that the rule for this kind looks at."""
    namespace, name = namespace_of(obj), name_of(obj)
    if (kind.group, kind.name) == ("", "Service"):
        return cluster.list(_SLICES, namespace, f"kubernetes.io/service-name={name}")
    if (kind.group, kind.name) == ("", "PersistentVolumeClaim"):
        storage_class = cluster.get(_STORAGE_CLASS, "", obj["spec"].get("storageClassName") or "-")
        return [storage_class] if storage_class else []
    return []


def _explain(cluster: Cluster, obj: Object) -> list[str]:
    """What the Pods that the object selects say about themselves."""
    labels = ((obj.get("spec") or {}).get("selector") or {}).get("matchLabels")
    if not labels:
        return []
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    return pod_problems(cluster.list(_POD, namespace_of(obj), selector))


def wait_until_gone(cluster: Cluster, kind: Kind, namespace: str, name: str, *, run: Run, seconds: float) -> None:
    """Raises PluginError, with the finalizers that hold the object, after `seconds`."""
    live: Object | None = None
    for _ in _looks(run, seconds):
        live = cluster.get(kind, namespace, name)
        if live is None:
            return
        run.status("waiting for deletion")
    if live is None:
        return
    finalizers = [*(live["metadata"].get("finalizers") or []), *((live.get("spec") or {}).get("finalizers") or [])]
    conditions = [c["message"] for c in (live.get("status") or {}).get("conditions") or [] if c.get("status") == "True"]
    because = f"; finalizers {', '.join(map(str, finalizers))} hold it" if finalizers else ""
    details = f" ({'; '.join(conditions)})" if kind.name == "Namespace" and conditions else ""
    raise PluginError(f"{describe(live)} still exists {seconds:g} s after its deletion was asked for{because}{details}")
