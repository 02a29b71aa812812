"""How far rollouts are in the cluster of another stack, asked once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from controller.shell.kubernetes.errors import NotFound
from controller.shell.kubernetes.kinds import CANARY, DEPLOYMENT

if TYPE_CHECKING:
    from controller.shell.kubernetes.client import Kube


async def ask_rollouts(names: Collection[str], context: str, kubeconfig: str = "") -> Mapping[str, Mapping[str, Any]]:
    """Of each Canary, as ``namespace/name``, its ``status`` and the ``images`` that its target asks for by container.

    What is not there is left out.

    Args:
        names: of Canaries of Deployments.
        context: of the kubeconfig.
        kubeconfig: path of a file; where the environment says if empty.

    Raises:
        StartError: there is no way into the cluster.
        ClusterError: the API does not answer, or the user may not read them.
    """
    # Its HTTP client takes a quarter of a second to import, in which Pulumi has work to do already.
    from controller.shell.kubernetes.visit import with_cluster  # noqa: PLC0415

    return await with_cluster(context, lambda kube: find_rollouts(kube, names), kubeconfig)


async def find_rollouts(kube: Kube, names: Collection[str]) -> Mapping[str, Mapping[str, Any]]:
    """As `ask_rollouts`."""
    found: dict[str, Mapping[str, Any]] = {}
    for each in names:
        namespace, _, name = each.partition("/")
        try:
            canary = await kube.get(CANARY, namespace, name)
            target = await kube.get(DEPLOYMENT, namespace, canary["spec"]["targetRef"]["name"])
        except NotFound:
            continue
        images = {one["name"]: one["image"] for one in target["spec"]["template"]["spec"]["containers"]}
        found[each] = {"status": canary.get("status") or {}, "images": images}
    return found
