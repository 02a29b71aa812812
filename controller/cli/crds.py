"""``canary crds``: the CustomResourceDefinitions of this version."""

from __future__ import annotations

from controller.api.crd import render


def crds() -> None:
    """Print all of them, as one file of several documents."""
    print("---\n".join(render().values()), end="")
