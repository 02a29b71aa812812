"""What the cluster has of Istio, asked before anything of it is changed, and once everything is."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any

import pulumi

from controller.api import CanaryError
from controller.shell.kubernetes.errors import Rejected
from controller.shell.mesh import ask_mesh
from stack.cluster import ClusterAccess
from stack.errors import ends_when_refused
from stack.istio import IstioConfig
from stack.mesh import Mesh, find_doubts, find_mesh_problems, left_behind


class MeshRefused(pulumi.RunError):
    """An Istio that cannot be. Pulumi prints the message alone, without a stack trace."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n  ".join(["the Istio of this stack is refused, and nothing of it was changed:", *problems]))


def check_mesh(istio: IstioConfig, cluster: ClusterAccess) -> pulumi.Output[Mesh | None]:
    """What runs, None where the cluster could not be asked; what waits for it is not touched where the stack's Istio
    is refused.

    A cluster that is not there yet, or out of reach, refuses nothing here: the resources themselves will say so.
    """

    @ends_when_refused()
    def look(mesh: Mesh | None) -> Mesh | None:
        if mesh is None:
            return None
        for doubt in find_doubts(istio, mesh):
            pulumi.log.warn(doubt)
        if problems := [*find_mesh_problems(istio, mesh)]:
            raise MeshRefused(problems)
        return mesh

    return _ask(cluster).apply(look)


def report_mesh(
    istio: IstioConfig,
    cluster: ClusterAccess,
    before: pulumi.Output[Mesh | None],
    after: Sequence[pulumi.Output[Any]],
) -> pulumi.Output[dict[str, Any]]:
    """The istiods of the stack by tag; with revisions, the pods too that are left on another than the newest.

    A preview changes nothing, and tells of what was there `before`; an update asks again `after` these are known.
    """
    planes: dict[str, Any] = {
        plane.tag: {"version": plane.version, "revision": plane.revision} for plane in istio.control_planes
    }
    if not any(plane.is_tagged for plane in istio.control_planes):
        return pulumi.Output.from_input(planes)

    def with_pods(mesh: Mesh | None) -> dict[str, Any]:
        return {**planes, "left": "not known" if mesh is None else left_behind(istio, mesh)}

    if pulumi.runtime.is_dry_run():
        return before.apply(with_pods)
    return pulumi.Output.all(*after).apply(lambda _: _ask(cluster).apply(with_pods))


def _ask(cluster: ClusterAccess) -> pulumi.Output[Mesh | None]:
    async def ask() -> Mesh | None:
        try:
            return Mesh.read(await ask_mesh(cluster.context, cluster.kubeconfig))
        except Rejected as error:
            pulumi.log.warn(f"Istio is changed without a check, which takes the right to list all pods: {error}")
        except CanaryError as error:
            pulumi.log.debug(f"Istio is changed without a check: {error}")
        return None

    asked: Awaitable[Mesh | None] = ask()
    return pulumi.Output.from_input(asked)
