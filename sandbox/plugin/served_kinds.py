"""What is known of kinds in one update: by the API server, and by the CRDs among the program's own resources."""

from collections.abc import Mapping
from typing import Any

from sandbox.plugin.cluster import Cluster
from sandbox.plugin.metadata import Kind, kind_of
from sandbox.plugin.wire import has_unknown

_CRD = ("apiextensions.k8s.io", "CustomResourceDefinition")


class ServedKinds:
    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._declared_namespaced: dict[tuple[str, str], bool] = {}
        self._changing: set[tuple[str, str]] = set()

    def is_namespaced(self, kind: Kind) -> bool:
        """As served; else as a CRD of the program declares; else assumed to be so, as the official plugin does."""
        resource = self._cluster.resource_type(kind)
        if resource is not None:
            return resource.namespaced
        return self._declared_namespaced.get((kind.group, kind.name), True)

    def note_declared(self, obj: Mapping[str, Any]) -> None:
        """Remember the scope that a CRD declares."""
        if key := _defined_by(obj):
            self._declared_namespaced[key] = obj["spec"].get("scope") != "Cluster"

    def note_changing(self, obj: Mapping[str, Any]) -> None:
        """Remember that the update under preview creates or changes a CRD."""
        if key := _defined_by(obj):
            self._changing.add(key)

    def can_be_tried(self, obj: Mapping[str, Any]) -> bool:
        """Whether a dry run means anything: not with values yet unknown, nor for a kind that is yet to come or to
        change.
        """
        kind = kind_of(obj)
        return (
            not has_unknown(obj)
            and (kind.group, kind.name) not in self._changing
            and self._cluster.resource_type(kind) is not None
        )


def _defined_by(obj: Mapping[str, Any]) -> tuple[str, str] | None:
    """Group and kind that a CRD defines; None for everything else."""
    kind, spec = kind_of(obj), obj.get("spec")
    if (kind.group, kind.name) != _CRD or not isinstance(spec, dict) or not isinstance(spec.get("names"), dict):
        return None
    return str(spec.get("group")), str(spec["names"].get("kind"))
