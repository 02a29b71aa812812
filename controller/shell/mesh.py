"""What a cluster has of Istio: its istiods, and the pods that have the proxy of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from controller.shell.kubernetes.kinds import DEPLOYMENT, POD

if TYPE_CHECKING:
    from controller.core.model import Manifest
    from controller.shell.kubernetes.client import Kube, KubeClient

SYSTEM = "istio-system"
REVISION = "istio.io/rev"
"""Label of an istiod, and annotation of a pod that it has injected; ``default`` where it has no name."""
_VERSION_LABEL = "app.kubernetes.io/version"


async def ask_mesh(context: str = "", kubeconfig: str = "") -> dict[str, Any]:
    """The version of the cluster in ``kubernetes``, and what `find_proxies` finds in it.

    Args:
        context: of the kubeconfig; its current one if empty.
        kubeconfig: path of a file; where the environment says if empty.

    Raises:
        StartError: there is no way into a cluster.
        ClusterError: the API does not answer, or the user may not list the pods of all namespaces.
    """
    # Its HTTP client takes a quarter of a second to import, in which Pulumi has work to do already.
    from controller.shell.kubernetes.visit import with_cluster  # noqa: PLC0415

    async def ask(kube: KubeClient) -> dict[str, Any]:
        return {"kubernetes": await kube.version(), **await find_proxies(kube)}

    return await with_cluster(context, ask, kubeconfig)


async def find_proxies(kube: Kube) -> dict[str, Any]:
    """By revision: the version of its istiod in ``controlPlanes``, the pods as ``namespace/name`` in ``proxies``.

    Pods of Jobs are left out: they come and go by themselves.

    Raises:
        ClusterError: the API does not answer, or the user may not list the pods of all namespaces.
    """
    planes = await kube.list(DEPLOYMENT, SYSTEM, selector="app=istiod")
    pods = await kube.list(POD, metadata_only=True)
    return {"controlPlanes": _versions(planes.items), "proxies": _injected(pods.items)}


def _versions(planes: Iterable[Manifest]) -> Mapping[str, str]:
    return {each["metadata"].get("labels", {}).get(REVISION, "default"): _version(each) for each in planes}


def _version(istiod: Manifest) -> str:
    """The tag of its image; the chart's label where that has none."""
    image = str(istiod["spec"]["template"]["spec"]["containers"][0].get("image", "")).partition("@")[0]
    tag = image.rpartition("/")[2].partition(":")[2]
    return tag or str(istiod["metadata"].get("labels", {}).get(_VERSION_LABEL, "unknown"))


def _injected(pods: Iterable[Manifest]) -> Mapping[str, Sequence[str]]:
    found: dict[str, list[str]] = {}
    for metadata in (pod["metadata"] for pod in pods):
        is_of_job = any(owner.get("kind") == "Job" for owner in metadata.get("ownerReferences", ()))
        if (revision := (metadata.get("annotations") or {}).get(REVISION)) and not is_of_job:
            found.setdefault(revision, []).append(f"{metadata['namespace']}/{metadata['name']}")
    return {revision: sorted(names) for revision, names in sorted(found.items())}
