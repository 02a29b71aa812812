"""The custom resource definitions of the canary API, from the generated files in crds/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi
import yaml
from pulumi_kubernetes import apiextensions, meta

from components._shared.options import child_options

CRD_FOLDER = Path(__file__).parent.parent / "crds"

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's where there is one: ten times as fast, and every preview reads them."""
_ANNOTATIONS = {"pulumi.com/waitFor": "condition=Established", "pulumi.com/patchForce": "true"}


class CanaryCrds(pulumi.ComponentResource):
    """Canary, MetricTemplate and AlertProvider, each awaited until the API server serves it.

    A destroy keeps them: every Canary of the cluster would be deleted with them, those of other teams and of Flagger
    included. For the same reason an existing CRD is taken over, by force where another tool has applied it.

    A component of its own, since the metric templates and the controller both depend on it.
    """

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("canary:mesh:CanaryCrds", name, None, opts)
        for manifest in read_crds():
            metadata = manifest["metadata"]
            apiextensions.v1.CustomResourceDefinition(
                f"{name}-{metadata['name']}",
                metadata=meta.v1.ObjectMetaArgs(
                    name=metadata["name"],
                    annotations=metadata.get("annotations", {}) | _ANNOTATIONS,
                    labels=metadata.get("labels"),
                ),
                spec=manifest["spec"],
                opts=pulumi.ResourceOptions.merge(
                    child_options(self, opts, formerly=metadata["name"]), pulumi.ResourceOptions(retain_on_delete=True)
                ),
            )
        self.register_outputs({})


def read_crds(folder: Path = CRD_FOLDER) -> list[dict[str, Any]]:
    """The manifests in `folder`, by file name.

    Raises:
        FileNotFoundError: there are none.
    """
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise FileNotFoundError(f"no CRD in {folder}: run `make generate`, or check that the checkout is complete")
    return [yaml.load(file.read_text(), _LOADER) for file in files]  # noqa: S506 -- a SafeLoader
