"""Laying one configuration over another. The only merge of the repository."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

Keys = Mapping[str, Sequence[str]]
"""For each list whose entries merge, the fields by which an entry of one layer is that of another."""

POD_LISTS: Final[Keys] = {
    "containers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "envFrom": ("configMapRef", "secretRef", "prefix"),
    "ports": ("containerPort", "protocol"),
    "volumeMounts": ("mountPath",),
}
"""Those of a PodSpec, by the keys of Kubernetes' strategic merge; of `envFrom`, which has none, both are kept."""


def merge(*layers: Mapping[str, Any], lists: Keys | None = None) -> dict[str, Any]:
    """Later layers over earlier ones: mappings merge key by key, anything else replaces, None included.

    Lists replace too, but for those in `lists`: their entries merge, and new ones follow.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            below = merged.get(key)
            if isinstance(value, Mapping):
                merged[key] = merge(below if isinstance(below, Mapping) else {}, value, lists=lists)
            elif lists and key in lists and isinstance(value, list) and isinstance(below, list):
                merged[key] = _merge_entries(below, value, lists[key], lists)
            else:
                merged[key] = value
    return merged


def _merge_entries(below: list[Any], above: list[Any], key: Sequence[str], lists: Keys) -> list[Any]:
    """Each entry of `above` is laid over one of `below` at most: what stands twice in a list stays there twice."""

    def identity(entry: Any) -> Any:
        return [entry.get(field) for field in key] if isinstance(entry, Mapping) else entry

    rest, merged = list(above), []
    for entry in below:
        match = next((other for other in rest if identity(other) == identity(entry)), None)
        if match is not None:
            rest.remove(match)
        merged.append(merge(entry, match, lists=lists) if match else entry)
    return [*merged, *rest]


def without_nulls(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` without the keys that are None, however deep: a layer removes a default by setting it to null."""
    return {
        key: without_nulls(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if value is not None
    }
