"""What the cluster has of Istio, asked before anything of it is changed, and once everything is."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any

import pulumi
from pulumi_command import local

from components._shared.cli import canary_command
from stack.cluster import ClusterAccess
from stack.istio import IstioConfig
from stack.mesh import Mesh, find_doubts, find_mesh_problems, left_behind


class MeshRefused(pulumi.RunError):
    """An Istio that cannot be. Pulumi prints the message alone, without a stack trace."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n  ".join(["the Istio of this stack is refused, and nothing of it was changed:", *problems]))


def check_mesh(istio: IstioConfig, cluster: ClusterAccess) -> pulumi.Output[bool]:
    """Whether the cluster could be asked; what waits for it is not touched where the stack's Istio is refused.

    A cluster that is not there yet, or out of reach, refuses nothing here: the resources themselves will say so.
    """

    def look(mesh: Mesh | None) -> bool:
        if mesh is None:
            return False
        for doubt in find_doubts(istio, mesh):
            pulumi.log.warn(doubt)
        if problems := [*find_mesh_problems(istio, mesh)]:
            raise MeshRefused(problems)
        return True

    return _ask(cluster).apply(look)


def report_mesh(
    istio: IstioConfig, cluster: ClusterAccess, after: Sequence[pulumi.Resource]
) -> pulumi.Output[dict[str, Any]]:
    """The istiods of the stack by tag; with revisions, the pods too that are left on another than the newest."""
    planes: dict[str, Any] = {
        plane.tag: {"version": plane.version, "revision": plane.revision} for plane in istio.control_planes
    }
    if not any(plane.is_tagged for plane in istio.control_planes):
        return pulumi.Output.from_input(planes)

    def with_pods(mesh: Mesh | None) -> dict[str, Any]:
        return {**planes, "left": "not known" if mesh is None else left_behind(istio, mesh)}

    return _ask(cluster, after).apply(with_pods)


def _ask(cluster: ClusterAccess, after: Sequence[pulumi.Resource] = ()) -> pulumi.Output[Mesh | None]:
    words = [canary_command(), "proxies", "--output=json"]
    if cluster.context:
        words.append(f"--context={cluster.context}")
    said = local.run_output(
        command=f"{shlex.join(words)} || true",
        environment={"KUBECONFIG": cluster.kubeconfig} if cluster.kubeconfig else None,
        opts=pulumi.InvokeOutputOptions(depends_on=[*after]),
    )
    return said.stdout.apply(lambda text: Mesh.read(json.loads(text)) if text else None)
