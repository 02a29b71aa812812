"""The sandbox's configuration of the Pulumi program, which itself knows nothing of the sandbox.

A project folder leads to the repository's program; its stack configuration is the repository's with the sandbox's own
facts laid over it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from sandbox.build.recipes import ISTIO_BEFORE, Versions
from sandbox.deploy.plugins import POLICY_RUNTIME
from sandbox.node.instance import Instance
from sandbox.paths import REPO, Cache
from sandbox.running import SandboxError
from stack.files import StackFileError, read_stack_file
from stack.merge import merge

STACK = "dev"


def project_folder(instance: Instance) -> Path:
    """The folder with the sandbox's own Pulumi.yaml and stack file."""
    return instance.state / "pulumi" / "project"


def write_project(
    instance: Instance, cache: Cache, versions: Versions, controller: str, extra: Mapping[str, Any] | None = None
) -> None:
    """Write the project folder. `extra` is more stack configuration, laid over everything else.

    Its Pulumi.yaml is the repository's, with `main` leading there; its stack file is rewritten at each call, but keeps
    the salt that the engine adds for secrets.
    """
    folder = project_folder(instance)
    folder.mkdir(parents=True, exist_ok=True)
    project = yaml.safe_load((REPO / "Pulumi.yaml").read_text()) | {"main": str(REPO)}
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump(project, sort_keys=False))
    _write_policies(folder / "policy")
    stack_file = folder / f"Pulumi.{STACK}.yaml"
    before = yaml.safe_load(stack_file.read_text()) if stack_file.exists() else {}
    facts = overlay(instance, cache, versions, controller)
    if "stable" in ((extra or {}).get("canary-on-istio:istio") or {}).get("revisions", {}):
        del facts["canary-on-istio:istio"]["version"]  # that of an istiod without a revision, which there is not
    stack = merge(read_configured(), {"config": facts}, {"config": dict(extra or {})})
    stack |= {key: value for key, value in before.items() if key == "encryptionsalt"}
    stack_file.write_text(yaml.safe_dump(stack, sort_keys=False))


def _write_policies(folder: Path) -> None:
    """The policy pack of the repository, for the sandbox's way to run it."""
    pack = REPO / "policy"
    folder.mkdir(exist_ok=True)
    for file in pack.iterdir():
        link = folder / file.name
        link.unlink(missing_ok=True)
        link.symlink_to(file)
    described = folder / "PulumiPolicy.yaml"
    described.unlink()
    told = yaml.safe_load((pack / described.name).read_text()) | {"runtime": POLICY_RUNTIME}
    described.write_text(yaml.safe_dump(told))


def read_configured() -> dict[str, Any]:
    """The stack file of the repository. Raises SandboxError with the file and the line of what is wrong with it."""
    try:
        return read_stack_file(REPO / f"Pulumi.{STACK}.yaml")
    except StackFileError as error:
        raise SandboxError(str(error)) from None


def overlay(instance: Instance, cache: Cache, versions: Versions, controller: str) -> dict[str, Any]:
    """Stack configuration that only the sandbox knows: its kubeconfig, images and charts, and what its Envoy lacks."""
    return {
        "kubernetes:kubeconfig": str(instance.kubeconfig),
        "canary-on-istio:istio": {
            "version": tag_of(versions.images["pilot"]),
            "chartPath": str(link_charts(instance, cache, versions) / "{version}"),
            "values": {"istiod": istiod_values(versions.images["pilot"]), "gateway": gateway_values()},
        },
        "canary-on-istio:observability": {
            "prometheus": {"image": versions.images["prometheus"].removeprefix("docker.io/")},
            "grafana": {"enabled": False},
        },
        "canary-on-istio:controller": {"image": controller, "build": {"enabled": False}},
        "canary-on-istio:loadTester": {"image": versions.images["load-tester"]},
    }


def link_charts(instance: Instance, cache: Cache, versions: Versions) -> Path:
    """The folder with Istio's charts, by version."""
    folder = project_folder(instance).parent / "charts"
    folder.mkdir(parents=True, exist_ok=True)
    for image, share in (("pilot", cache.share), ("pilot-before", cache.root / ISTIO_BEFORE / "share")):
        link = folder / tag_of(versions.images[image])
        link.unlink(missing_ok=True)
        link.symlink_to(share / "charts")
    return folder


def tag_of(image: str) -> str:
    return image.rpartition(":")[2]


def istiod_values(pilot: str) -> dict[str, Any]:
    """Values that let upstream Envoy stand in for the istio-proxy build of it.

    That build has filters of its own (metrics, metadata exchange, ALPN) which upstream Envoy would refuse to load;
    `istio-stats.yaml` brings the metrics back.
    """
    return {
        "global": {
            "hub": pilot.rpartition("/")[0],
            "tag": "{version}",
            "proxy": {"resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}},
        },
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
        "telemetry": {"enabled": False},
        "env": {"PILOT_ENABLE_METADATA_EXCHANGE": "false", "PILOT_ENABLE_ALPN_FILTER": "false"},
    }


def gateway_values() -> dict[str, Any]:
    """No load balancer gives the gateway an address here, and its image cannot be pulled."""
    return {"service": {"type": "ClusterIP"}, "imagePullPolicy": "IfNotPresent"}
