"""How commands of this program reach the cluster that Pulumi's Kubernetes provider talks to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ClusterAccess:
    """The kubeconfig file and the context; empty for what the environment says."""

    kubeconfig: str = ""
    context: str = ""
