"""The pods of the rollouts that somebody looks at: watched for as long as somebody does, and once for all of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from controller.core.model import Manifest
from controller.core.objects.pods import selector_text
from controller.shell.kubernetes.backoff import backoff_seconds
from controller.shell.kubernetes.client import MOST_WATCHES, Kube
from controller.shell.kubernetes.errors import ClusterError
from controller.shell.kubernetes.kinds import POD, Key, key_of
from controller.views.subject import Subject

log = logging.getLogger(__name__)

_Place: TypeAlias = tuple[Key, str]
"""A workload, and the selector of its pods."""
_KEPT = ("name", "creationTimestamp", "deletionTimestamp", "ownerReferences")
"""Of a pod's metadata; of the rest its status is shown."""
_FULL = f"{MOST_WATCHES} workloads are being looked at already; close other pages to see the pods of this one."
_UNREAD = "The Kubernetes API does not show this controller the pods; its log says why."


@dataclass(slots=True)
class _Watch:
    """What is known of one workload's pods; ``problem``: why they may be other by now."""

    task: asyncio.Task[None] | None = None
    lookers: int = 0
    pods: dict[str, Manifest] = field(default_factory=dict)
    problem: str = ""


class PodWatches:
    """Nobody looks: no request.

    Args:
        kube: may list and watch pods.
        changed: called with the key of the workload whose pods have changed.
    """

    def __init__(self, kube: Kube, changed: Callable[[Key], None]) -> None:
        self._kube = kube
        self._changed = changed
        self._watches: dict[_Place, _Watch] = {}

    def __len__(self) -> int:
        """Of how many workloads the pods are watched."""
        return len(self._watches)

    @contextmanager
    def look(self) -> Iterator[Look]:
        """For one page, until it is closed."""
        look = Look(self)
        try:
            yield look
        finally:
            look.at(None)

    def enter(self, place: _Place) -> bool:
        """Somebody looks at a workload; False if too many others are looked at."""
        watch = self._watches.get(place)
        if watch is None:
            if len(self._watches) >= MOST_WATCHES:
                return False
            watch = self._watches[place] = _Watch()
            watch.task = asyncio.create_task(self._follow(place, watch), name=f"watching the pods of {place[0]}")
        watch.lookers += 1
        return True

    def leave(self, place: _Place) -> None:
        """Somebody who has entered looks elsewhere; the last one ends the watch."""
        watch = self._watches[place]
        watch.lookers -= 1
        if not watch.lookers and watch.task is not None:
            watch.task.cancel()
            del self._watches[place]

    def seen(self, place: _Place) -> tuple[list[Manifest], str]:
        """The pods of a workload that somebody looks at, and what is wrong with that."""
        watch = self._watches[place]
        return list(watch.pods.values()), watch.problem

    async def _follow(self, place: _Place, watch: _Watch) -> None:
        (_, namespace, name), attempt = place[0], 0
        while True:
            try:
                listing = await self._kube.list(POD, namespace, selector=place[1])
                watch.pods, watch.problem = {_name(pod): _shown(pod) for pod in listing.items}, ""
                self._changed(place[0])
                async for happened, pod in self._kube.watch(POD, namespace, place[1], listing.version):
                    attempt = 0
                    watch.pods.pop(_name(pod), None)
                    if happened != "DELETED":
                        watch.pods[_name(pod)] = _shown(pod)
                    self._changed(place[0])
                attempt = 0  # the server ends each watch in time
            except ClusterError as error:
                log.info("The pods of %s.%s are not seen: %s", name, namespace, error)
                watch.problem = _UNREAD
                self._changed(place[0])
            attempt += 1
            await asyncio.sleep(backoff_seconds(attempt))


class Look:
    """What one open page looks at."""

    def __init__(self, watches: PodWatches) -> None:
        self._watches = watches
        self._entered: frozenset[_Place] = frozenset()

    def at(self, subject: Subject | None) -> Subject | None:
        """``subject`` with the pods that are known; they are watched until this is called with another one."""
        wanted = {(key_of(each), selector_text(each)) for each in (subject.workloads if subject else ())}
        before, kept = self._entered, self._entered & wanted
        self._entered = kept | {place for place in wanted - kept if self._watches.enter(place)}
        for place in before - kept:
            self._watches.leave(place)
        if subject is None:
            return None
        seen = [self._watches.seen(place) for place in self._entered]
        problems = [_FULL] * (self._entered != wanted) + [problem for _, problem in seen if problem]
        return replace(subject, pods=tuple(pod for pods, _ in seen for pod in pods), pods_problem="".join(problems[:1]))


def _name(pod: Manifest) -> str:
    return str(pod["metadata"]["name"])


def _shown(pod: Manifest) -> Manifest:
    metadata = {key: value for key, value in pod["metadata"].items() if key in _KEPT}
    return {"metadata": metadata, "status": pod.get("status") or {}}
