"""Whether somebody may change a Canary: the cluster says, by their token (docs/security.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from controller.api.names import CANARY_PLURAL, GROUP
from controller.core.model import Manifest
from controller.shell.kubernetes.client import Kube
from controller.shell.kubernetes.kinds import ACCESS_REVIEW, TOKEN_REVIEW, Kind


@dataclass(frozen=True, slots=True)
class User:
    """Somebody whom the API server knows.

    Attributes:
        name: their user name.
        attributes: all that an access review takes to tell what they may do.
    """

    name: str
    attributes: Manifest


async def find_user(kube: Kube, token: str) -> User | None:
    """Whose token it is; None if the API server does not accept it.

    Raises:
        ClusterError: the API does not answer.
    """
    status = await _review(kube, TOKEN_REVIEW, {"token": token})
    info = status.get("user") or {}
    name = str(info.get("username") or "")
    if not status.get("authenticated") or not name:
        return None
    known = {each: info[each] for each in ("uid", "groups", "extra") if info.get(each)}
    return User(name, {"user": name, **known})


async def may_update(kube: Kube, user: User, namespace: str, name: str) -> bool:
    """Whether somebody may update a Canary.

    Raises:
        ClusterError: the API does not answer.
    """
    asked = {"group": GROUP, "resource": CANARY_PLURAL, "verb": "update", "namespace": namespace, "name": name}
    status = await _review(kube, ACCESS_REVIEW, {**user.attributes, "resourceAttributes": asked})
    return bool(status.get("allowed"))


async def _review(kube: Kube, kind: Kind, spec: Manifest) -> dict[str, Any]:
    review = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": {"name": ""}, "spec": spec}
    return (await kube.create(review)).get("status") or {}
