"""What the pods of this program's own workloads have in common: least privilege, and their resources.

Security follows the `restricted` Pod Security Standard, with a read-only root file system as well.
"""

from __future__ import annotations

from collections.abc import Sequence

from pulumi_kubernetes import core

from stack.values import Resources


def pod_security(uid: int) -> core.v1.PodSecurityContextArgs:
    """The pod runs as `uid`, never as root, under the runtime's default seccomp profile, and owns its volumes."""
    return core.v1.PodSecurityContextArgs(
        run_as_non_root=True,
        run_as_user=uid,
        run_as_group=uid,
        fs_group=uid,
        seccomp_profile=core.v1.SeccompProfileArgs(type="RuntimeDefault"),
    )


def container_security() -> core.v1.SecurityContextArgs:
    """No capability, no way to gain one, nothing to write to but mounted volumes."""
    return core.v1.SecurityContextArgs(
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        capabilities=core.v1.CapabilitiesArgs(drop=["ALL"]),
    )


def pull_secrets(names: Sequence[str]) -> list[core.v1.LocalObjectReferenceArgs] | None:
    """As a pod names its Secrets for registries."""
    return [core.v1.LocalObjectReferenceArgs(name=name) for name in names] or None


def resource_requirements(resources: Resources) -> core.v1.ResourceRequirementsArgs:
    return core.v1.ResourceRequirementsArgs(requests=resources.requests, limits=resources.limits)


def ready(path: str) -> core.v1.ProbeArgs:
    """Asked every second: an update waits for it, and with Kubernetes' ten for the second time most often.

    As with those, half a minute of failures takes the pod out.
    """
    return core.v1.ProbeArgs(http_get=_get(path), timeout_seconds=5, period_seconds=1, failure_threshold=30)


def alive(path: str) -> core.v1.ProbeArgs:
    """A container that has failed it for half a minute is started again."""
    return core.v1.ProbeArgs(http_get=_get(path), timeout_seconds=5)


def _get(path: str) -> core.v1.HTTPGetActionArgs:
    return core.v1.HTTPGetActionArgs(path=path, port="http")
