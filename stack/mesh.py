"""What an Istio of the stack may become, given what runs in the cluster."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from stack.istio import ControlPlane, IstioConfig, minor_of

KUBERNETES: Mapping[tuple[int, int], tuple[int, int]] = {
    (1, 26): (29, 33),
    (1, 27): (29, 33),
    (1, 28): (30, 34),
    (1, 29): (31, 35),
    (1, 30): (32, 36),
}
"""The oldest and the newest minor version of Kubernetes 1 with each minor version of Istio
(https://istio.io/latest/docs/releases/supported-releases/). Of others only this is known: a newer Istio needs no older
Kubernetes."""
MOST_NAMED = 5


@dataclass(frozen=True)
class Mesh:
    """What runs.

    Attributes:
        kubernetes: the version of the cluster, as in 1.36.3.
        control_planes: the version of each istiod, by revision; `default` for the one without.
        proxies: the pods, as ``namespace/name``, by the revision whose proxy they have.
    """

    kubernetes: str
    control_planes: Mapping[str, str]
    proxies: Mapping[str, Sequence[str]]

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Self:
        return cls(said["kubernetes"], said["controlPlanes"], said["proxies"])


def find_mesh_problems(istio: IstioConfig, mesh: Mesh) -> Iterator[str]:
    """Why the stack's Istio cannot come to be, a sentence each."""
    if istio.knows_versions:
        yield from _too_old(istio, mesh)
        yield from _leaps(istio, mesh)
    yield from _cut_off(istio, mesh)


def find_doubts(istio: IstioConfig, mesh: Mesh) -> Iterator[str]:
    """What Istio does not promise, and may well work."""
    for plane in istio.control_planes if istio.knows_versions else ():
        limits = KUBERNETES.get(minor_of(plane.version))
        if limits and (1, limits[1]) < minor_of(mesh.kubernetes):
            newest = f"1.{limits[1]}"
            yield f"Istio {plane.version} is tested with Kubernetes up to {newest}; the cluster has {mesh.kubernetes}"


def left_behind(istio: IstioConfig, mesh: Mesh) -> dict[str, list[str]]:
    """The pods that have the proxy of another istiod than the newest of the stack, by its revision."""
    newest = _revision(istio.control_planes[-1])
    return {revision: [*pods] for revision, pods in mesh.proxies.items() if revision != newest}


def _too_old(istio: IstioConfig, mesh: Mesh) -> Iterator[str]:
    for plane in istio.control_planes:
        known = [limits for version, limits in KUBERNETES.items() if version <= minor_of(plane.version)]
        if known and minor_of(mesh.kubernetes) < (1, oldest := max(limits[0] for limits in known)):
            yield (
                f"Istio {plane.version} needs Kubernetes 1.{oldest} or newer, and the cluster has {mesh.kubernetes}:"
                " upgrade the cluster first"
            )


def _leaps(istio: IstioConfig, mesh: Mesh) -> Iterator[str]:
    """In place Istio goes to the next minor version only, and never back."""
    for plane in istio.control_planes:
        running = mesh.control_planes.get(_revision(plane))
        if not running or (before := minor_of(running)) == (0, 0):
            continue
        major, minor = before
        if minor_of(plane.version) > (major, minor + 1):
            yield (
                f"Istio {running} cannot become {plane.version} in place: take {major}.{minor + 1} first,"
                " or put the new one beside it with istio.revisions (docs/istio-upgrades.md)"
            )
        elif minor_of(plane.version) < before:
            yield f"Istio {running} cannot go back to {plane.version} in place (docs/istio-upgrades.md)"


def _cut_off(istio: IstioConfig, mesh: Mesh) -> Iterator[str]:
    """An istiod of this stack that would go, while pods still need it."""
    kept = {_revision(plane) for plane in istio.control_planes}
    for revision, version in mesh.control_planes.items():
        is_ours = revision == "default" or re.fullmatch(r"\d+-\d+", revision)
        pods = mesh.proxies.get(revision, ())
        if is_ours and pods and revision not in kept:
            named = ", ".join(pods[:MOST_NAMED]) + (", ..." if len(pods) > MOST_NAMED else "")
            count = "1 pod still has its proxy" if len(pods) == 1 else f"{len(pods)} pods still have its proxy"
            yield (
                f"Istio {version} (revision {revision}) would be removed, and {count}: {named};"
                " move them first (docs/istio-upgrades.md)"
            )


def _revision(plane: ControlPlane) -> str:
    return plane.revision or "default"
