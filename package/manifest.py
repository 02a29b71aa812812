"""`make dist`: the kinds and the controller as one file of YAML, for those who have Istio and no Pulumi.

It is rendered from the components that `pulumi up` uses, by the provider that would apply them, which asks no cluster
for it (`renderYamlToDirectory` of Pulumi's Kubernetes provider).
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes
import yaml
from pulumi import automation

from components.canary_controller import CanaryController, CanaryControllerArgs
from components.canary_crds import CanaryCrds
from controller.api.metric_template import MetricProvider
from stack.controller import ControllerConfig

PROMETHEUS = "http://prometheus.istio-system:9090"
"""Where Istio's own addon, and the program of this repository, have it; the Deployment names it in an argument."""
_FOR_PULUMI = "pulumi.com/"


def render_manifest(image: str) -> str:
    """The objects in the order in which they are applied, by the `pulumi` on the PATH, without a cluster or a state.

    Raises:
        pulumi.automation.CommandError: Pulumi cannot render them.
    """
    with tempfile.TemporaryDirectory(prefix="canary-manifest-") as folder:
        state, files = Path(folder, "state"), Path(folder, "files")
        state.mkdir()
        options = automation.LocalWorkspaceOptions(
            project_settings=automation.ProjectSettings(
                name="manifest", runtime="python", backend=automation.ProjectBackend(url=state.as_uri())
            ),
            env_vars={"PULUMI_BACKEND_URL": state.as_uri(), "PULUMI_CONFIG_PASSPHRASE": ""},
        )

        def program() -> None:
            # No kubeconfig: else that of the environment is one, which the provider refuses beside a folder.
            provider = kubernetes.Provider("files", kubeconfig="", render_yaml_to_directory=str(files))
            opts = pulumi.ResourceOptions(provider=provider)
            crds = CanaryCrds("canary-crds", opts)
            arguments = CanaryControllerArgs(
                ControllerConfig(image=image), MetricProvider(type="prometheus", address=PROMETHEUS)
            )
            CanaryController(
                "canary-controller",
                arguments,
                pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[crds])),
            )

        automation.create_or_select_stack("dist", project_name="manifest", program=program, opts=options).up()
        return "---\n".join(yaml.safe_dump(each, sort_keys=False, width=120) for each in _read(files))


def _read(files: Path) -> Iterator[Mapping[str, object]]:
    """The rendered objects, definitions of kinds first, without what only Pulumi reads."""
    for file in sorted(files.rglob("*.yaml")):
        found = yaml.safe_load(file.read_text())
        metadata = found["metadata"]
        metadata["annotations"] = {
            key: value for key, value in metadata.get("annotations", {}).items() if not key.startswith(_FOR_PULUMI)
        }
        if not metadata["annotations"]:
            del metadata["annotations"]
        yield found


if __name__ == "__main__":
    os.environ.setdefault("PULUMI_SKIP_UPDATE_CHECK", "true")
    sys.stdout.write(render_manifest(sys.argv[1]))
