"""``canary crds``: the CustomResourceDefinitions of this version."""

from __future__ import annotations

from controller.api.crd import render


def crds() -> None:
    """Print the CustomResourceDefinitions.

    The output is one YAML stream: `canary crds | kubectl apply --server-side -f -`.
    """
    print("---\n".join(render().values()), end="")
