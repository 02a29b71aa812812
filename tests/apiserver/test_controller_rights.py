"""The rights that the Pulumi program gives to the controller are those it needs: a rollout with them alone."""

from __future__ import annotations

import base64
import dataclasses
from pathlib import Path
from typing import Any

import yaml

from controller.shell.kubernetes.kinds import Kind
from tests.apiserver.scenes import backend
from tests.apiserver.stage import Stage

GOLDEN = Path(__file__).parents[1] / "golden" / "program" / "canary-controller.yaml"
ROLE = Kind("ClusterRole", "clusterroles", "rbac.authorization.k8s.io/v1")
BINDING = Kind("ClusterRoleBinding", "clusterrolebindings", "rbac.authorization.k8s.io/v1")
ACCOUNT = Kind("ServiceAccount", "serviceaccounts", "v1")


def rules() -> list[dict[str, Any]]:
    documents = yaml.safe_load_all(GOLDEN.read_text(encoding="utf-8"))
    return next(each["inputs"]["rules"] for each in documents if each["inputs"]["kind"] == "ClusterRole")


async def as_the_controller(stage: Stage) -> Stage:
    """The same stage, on which the controller logs in with its service account's token."""

    async def create(kind: Kind, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return await stage.kube._send("POST", kind, path, verb="create", body=body)

    await create(ACCOUNT, ACCOUNT.path(stage.namespace), {"metadata": {"name": "controller"}})
    await create(ROLE, ROLE.path(), {"metadata": {"name": stage.namespace}, "rules": rules()})
    subject = {"kind": "ServiceAccount", "name": "controller", "namespace": stage.namespace}
    reference = {"apiGroup": ROLE.group, "kind": ROLE.name, "name": stage.namespace}
    binding = {"metadata": {"name": stage.namespace}, "roleRef": reference, "subjects": [subject]}
    await create(BINDING, BINDING.path(), binding)
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    answer = await create(ACCOUNT, ACCOUNT.path(stage.namespace, "controller", "token"), asked)
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


async def test_with_the_rights_that_the_program_gives_a_rollout_is_done(stage):
    await stage.apply(*backend(stage))
    limited = await as_the_controller(stage)
    async with limited.controller():
        await limited.wait_for_phase("Initialized")
        await limited.set_image("podinfo:2")
        await limited.wait_for_phase("Succeeded")
        assert f"Promotion completed! Scaling down backend.{stage.namespace}" in await stage.events()
        assert "answered 403" not in limited.log()
