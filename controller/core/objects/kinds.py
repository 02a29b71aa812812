"""The kinds of workload that a target can be, and all in which they differ (flagger/pkg/canary, v1.44).

==========  ==============================  ====================  ==================================
Deployment  has replicas                    at rest it has none   says when pods came up last
DaemonSet   has a pod on each node it fits  at rest it fits none  says how many, and not since when
==========  ==============================  ====================  ==================================
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from controller.core.model import Manifest

REST = "flagger.app/scale-to-zero"
"""Label of no node. The pods of a DaemonSet at rest select ``true`` (Flagger)."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Pods, as the status has them: all that are wanted, and of each sort those that there are."""

    wanted: int
    total: int
    updated: int
    available: int
    ready: int


@dataclass(frozen=True, slots=True)
class Workload(ABC):
    """A live workload, read in the words of its kind.

    Attributes:
        manifest: the object.
        copied: the fields of its spec that its primary has too, beside replicas, selector and template.
        units: what messages call its pods.
        suffix: an expression for what its pods' names have after its own.
        tells_progress: whether its conditions say when pods came up last, and when that takes too long.
    """

    manifest: Manifest
    copied: ClassVar[tuple[str, ...]]
    units: ClassVar[str]
    suffix: ClassVar[str]
    tells_progress: ClassVar[bool]

    @property
    def spec(self) -> Manifest:
        spec: Manifest = self.manifest["spec"]
        return spec

    @property
    def status(self) -> Manifest:
        status: Manifest = self.manifest.get("status") or {}
        return status

    @property
    def is_observed(self) -> bool:
        """Whether the status is about the newest spec."""
        seen, newest = self.status.get("observedGeneration") or 0, self.manifest["metadata"].get("generation") or 0
        return bool(seen >= newest)

    @property
    @abstractmethod
    def template(self) -> Manifest:
        """The pod template as the user wrote it."""

    @property
    @abstractmethod
    def replicas(self) -> int:
        """How many replicas it is scaled to; 1 where it has no such number and is not at rest."""

    @abstractmethod
    def scaled(self, replicas: int) -> Mapping[str, Any]:
        """The merge patch that scales it."""

    @abstractmethod
    def sized(self, replicas: int) -> dict[str, int]:
        """The part of a spec that asks for so many replicas; empty where none can."""

    @property
    @abstractmethod
    def counts(self) -> Counts:
        """What its status says about its pods."""

    @property
    def leaving(self) -> int:
        """Of a workload at rest, the pods that are still there."""
        return self.counts.total

    @property
    def obstacle(self) -> str:
        """Why a primary like it would never take a new version; empty where it would."""
        return ""

    def _count(self, key: str) -> int:
        return int(self.status.get(key) or 0)


@dataclass(frozen=True, slots=True)
class Deployment(Workload):
    """Pods by number."""

    copied = ("progressDeadlineSeconds", "minReadySeconds", "revisionHistoryLimit", "strategy")
    units = "replicas"
    suffix = "-[a-z0-9]+-[a-z0-9]{5}"
    tells_progress = True

    @property
    def template(self) -> Manifest:
        template: Manifest = self.spec["template"]
        return template

    @property
    def replicas(self) -> int:
        return int(self.spec.get("replicas", 1))

    def scaled(self, replicas: int) -> Mapping[str, Any]:
        return {"spec": self.sized(replicas)}

    def sized(self, replicas: int) -> dict[str, int]:
        return {"replicas": replicas}

    @property
    def counts(self) -> Counts:
        return Counts(
            wanted=self.replicas,
            total=self._count("replicas"),
            updated=self._count("updatedReplicas"),
            available=self._count("availableReplicas"),
            ready=self._count("readyReplicas"),
        )


@dataclass(frozen=True, slots=True)
class DaemonSet(Workload):
    """Pods by node."""

    copied = ("minReadySeconds", "revisionHistoryLimit", "updateStrategy")
    units = "pods"
    suffix = "-[a-z0-9]{5}"
    tells_progress = False

    @property
    def template(self) -> Manifest:
        template = self.spec["template"]
        chosen = {key: value for key, value in (template["spec"].get("nodeSelector") or {}).items() if key != REST}
        pod_spec = {key: value for key, value in template["spec"].items() if key != "nodeSelector"}
        return {**template, "spec": pod_spec | ({"nodeSelector": chosen} if chosen else {})}

    @property
    def replicas(self) -> int:
        return 0 if REST in (self.spec["template"]["spec"].get("nodeSelector") or {}) else 1

    def scaled(self, replicas: int) -> Mapping[str, Any]:
        selector = {REST: None if replicas else "true"}
        return {"spec": {"template": {"spec": {"nodeSelector": selector}}}}

    def sized(self, replicas: int) -> dict[str, int]:  # noqa: ARG002  # the nodes decide
        return {}

    @property
    def counts(self) -> Counts:
        return Counts(
            wanted=self._count("desiredNumberScheduled"),
            total=self._count("currentNumberScheduled"),
            updated=self._count("updatedNumberScheduled"),
            available=self._count("numberAvailable"),
            ready=self._count("numberReady"),
        )

    @property
    def leaving(self) -> int:
        return self.counts.total + self._count("numberMisscheduled")

    @property
    def obstacle(self) -> str:
        how = (self.spec.get("updateStrategy") or {}).get("type", "RollingUpdate")
        if how == "RollingUpdate":
            return ""
        name = self.manifest["metadata"]["name"]
        return (
            f"DaemonSet {name} has spec.updateStrategy {how}, with which its primary never changes; use RollingUpdate"
        )


_KINDS: Mapping[str, type[Workload]] = {"Deployment": Deployment, "DaemonSet": DaemonSet}
WORKLOADS = tuple(_KINDS)


def as_workload(manifest: Manifest) -> Workload:
    """A live object of one of the kinds in ``WORKLOADS``."""
    return _KINDS[manifest["kind"]](manifest)


def pod_names(kind: str, name: str) -> str:
    """An expression for the names of a workload's pods: those of backend-primary do not match that of backend.

    It stands in a string of PromQL, where a backslash would need another.
    """
    return f"{name.replace('.', '[.]')}{_KINDS.get(kind, Deployment).suffix}"
