"""The Kubernetes Secrets of a stack, from its Pulumi secrets."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import core, meta
from pydantic import SecretStr

from components._shared.options import child_options
from controller.api.names import CONFIG_TRACKING_ANNOTATION

_REGISTRY_KEY, _REGISTRY_TYPE = ".dockerconfigjson", "kubernetes.io/dockerconfigjson"
"""Kubernetes takes a pull secret of this type alone; everything else takes any type."""


@dataclass(frozen=True)
class StackSecretsArgs:
    """The keys of each Secret with their values, and how many apps use it, by the namespaces that it is for."""

    secrets: Mapping[str, Mapping[str, SecretStr]]
    users: Mapping[str, Mapping[str, int]]


class StackSecrets(pulumi.ComponentResource):
    """One Secret for each namespace that needs it. Pulumi encrypts the values in its state and hides them in diffs."""

    def __init__(self, name: str, args: StackSecretsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("canary:mesh:StackSecrets", name, None, opts)
        for secret, users in args.users.items():
            values = {key: pulumi.Output.secret(_encoded(value)) for key, value in args.secrets[secret].items()}
            for namespace, apps in users.items():
                # A rollout of one app would change what the primaries of the others have.
                shared = {CONFIG_TRACKING_ANNOTATION: "disabled"} if apps > 1 else None
                core.v1.Secret(
                    f"{name}-{namespace}/{secret}",
                    metadata=meta.v1.ObjectMetaArgs(name=secret, namespace=namespace, annotations=shared),
                    type=_REGISTRY_TYPE if _REGISTRY_KEY in values else None,
                    data=values,
                    opts=child_options(self, opts),
                )
        self.register_outputs({})


def _encoded(value: SecretStr) -> str:
    return base64.b64encode(value.get_secret_value().encode()).decode()
