"""The rights that the Pulumi program gives to the controller are those it needs: a rollout with them alone."""

from __future__ import annotations

import base64
import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.api.names import LEASE_NAME
from controller.shell.kubernetes.kinds import Kind
from tests.apiserver.scenes import backend
from tests.apiserver.stage import Stage

GOLDEN = Path(__file__).parents[1] / "golden" / "program" / "canary-controller.yaml"
RBAC = "rbac.authorization.k8s.io/v1"
EVERYWHERE = (Kind("ClusterRole", "clusterroles", RBAC), Kind("ClusterRoleBinding", "clusterrolebindings", RBAC))
IN_THE_NAMESPACE = (Kind("Role", "roles", RBAC), Kind("RoleBinding", "rolebindings", RBAC))
ACCOUNT = Kind("ServiceAccount", "serviceaccounts", "v1")


def rules() -> list[dict[str, Any]]:
    """Of all its roles."""
    documents = yaml.safe_load_all(GOLDEN.read_text(encoding="utf-8"))
    return [rule for each in documents for rule in each["inputs"].get("rules", ())]


async def as_the_controller(stage: Stage, role: Kind, binding: Kind) -> Stage:
    """The same stage, on which the controller logs in with its service account's token."""

    create = stage.create_any
    await create(ACCOUNT, {"metadata": {"name": "controller"}}, ACCOUNT.path(stage.namespace))
    inside = stage.namespace if role.name == "Role" else ""
    await create(role, {"metadata": {"name": stage.namespace}, "rules": rules()}, role.path(inside))
    subject = {"kind": "ServiceAccount", "name": "controller", "namespace": stage.namespace}
    reference = {"apiGroup": role.group, "kind": role.name, "name": stage.namespace}
    bound = {"metadata": {"name": stage.namespace}, "roleRef": reference, "subjects": [subject]}
    await create(binding, bound, binding.path(inside))
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    answer = await create(ACCOUNT, asked, ACCOUNT.path(stage.namespace, "controller", "token"))
    config = yaml.safe_load(stage.kubeconfig.read_text(encoding="utf-8"))
    for cluster in config["clusters"]:
        if "certificate-authority" in cluster["cluster"]:
            authority = stage.kubeconfig.parent / cluster["cluster"].pop("certificate-authority")
            cluster["cluster"]["certificate-authority-data"] = base64.b64encode(authority.read_bytes()).decode()
    for user in config["users"]:
        user["user"] = {"token": answer["status"]["token"]}
    own = stage.folder / "kubeconfig"
    own.write_text(yaml.safe_dump(config), encoding="utf-8")
    return dataclasses.replace(stage, kubeconfig=own)


@pytest.mark.parametrize(("role", "binding"), [EVERYWHERE, IN_THE_NAMESPACE], ids=["ClusterRole", "Role"])
async def test_the_rights_are_enough_for_a_rollout(stage, role, binding):
    await stage.apply(*backend(stage))
    limited = await as_the_controller(stage, role, binding)
    async with limited.controller("--leader-election", f"--leader-election-namespace={stage.namespace}") as process:
        await limited.wait_for_phase("Initialized")
        await limited.set_image("podinfo:2")
        await limited.wait_for_phase("Succeeded")
        process.terminate()
        assert await process.wait() == 0
        await stage.wait_for_event(f"Promotion completed! Scaling down backend.{stage.namespace}")
        assert f"Lease {LEASE_NAME}.{stage.namespace} is released" in limited.messages()
        assert "answered 403" not in limited.log()
