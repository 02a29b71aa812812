"""A namespace of the stack: how it is made, and the apps and targets in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field

from controller.api.base import Boolean, Model
from stack.app import AppConfig, TargetConfig
from stack.istio import Tag
from stack.names import LOAD_TESTER
from stack.values import Label, LabelKey, LabelValue, ServiceName


class NamespaceSettings(Model):
    create: Boolean = Field(
        True, description="Make the namespace, and delete it with the stack; false for one that is there already."
    )
    labels: dict[LabelKey, LabelValue] = Field(default_factory=dict, description="Additional labels of the namespace.")
    injection: Boolean = Field(
        True, description="Inject a sidecar into its pods. Without sidecars there are no metrics to analyse."
    )
    revision: Tag = Field(
        "stable", description="The istiod of its proxies, of those in `istio.revisions`. Apps roll when it changes."
    )
    mtls: Literal["STRICT", "PERMISSIVE", "DISABLE"] | None = Field(
        None, description="Mode of the namespace's PeerAuthentication; the mesh's own (PERMISSIVE) when unset."
    )
    callers: list[Label] | None = Field(
        None,
        description="Namespaces whose pods may call its pods, besides its own and those of its gateways; all, and "
        "callers outside the mesh, when unset.",
    )


class NamespaceConfig(NamespaceSettings):
    name: Label = Field("prod", description="The namespace of the apps.")


class OtherNamespaceConfig(NamespaceSettings):
    apps: dict[ServiceName, AppConfig] = Field(default_factory=dict, description="Its apps.")
    targets: dict[ServiceName, TargetConfig] = Field(default_factory=dict, description="Its targets.")


@dataclass(frozen=True)
class Workload:
    """An app or a target: what has a Canary.

    Attributes:
        key: where the stack's configuration has it.
        resource: the name of its component; no other workload of the stack has it.
    """

    name: str
    namespace: str
    config: AppConfig | TargetConfig
    key: str
    resource: str


@dataclass(frozen=True)
class Place:
    """A namespace of the stack, with what is in it.

    Attributes:
        key: where the stack's configuration has the namespace.
        prefix: of the names of its resources: none for the first namespace, so that they stay what they always were.
    """

    name: str
    settings: NamespaceSettings
    key: str
    prefix: str
    workloads: Sequence[Workload]

    @property
    def may_refuse_plain_text(self) -> bool:
        """Whether its proxies may take mTLS only; of a namespace that is made elsewhere nobody knows here."""
        return self.settings.mtls == "STRICT" or not self.settings.create

    @property
    def has_load_tester(self) -> bool:
        """Whether it needs a load tester, since webhooks of its own go there; the first always has one."""
        hooks = (hook for each in self.workloads for hook in each.config.analysis.webhooks)
        hosts = ((urlsplit(hook.url).hostname or "").split(".") for hook in hooks)
        return not self.prefix or any(host[:2] == [LOAD_TESTER, self.name] for host in hosts)


def first_place(
    namespace: NamespaceConfig, apps: Mapping[str, AppConfig], targets: Mapping[str, TargetConfig]
) -> Place:
    """That of `namespace`, `apps` and `targets` at the top of the stack's configuration."""
    return Place(namespace.name, namespace, "namespace", "", _workloads(namespace.name, apps, targets, "", ""))


def other_place(name: str, config: OtherNamespaceConfig) -> Place:
    """That of an entry of `namespaces`."""
    key, prefix = f"namespaces.{name}", f"{name}/"
    return Place(name, config, key, prefix, _workloads(name, config.apps, config.targets, f"{key}.", prefix))


def _workloads(
    namespace: str, apps: Mapping[str, AppConfig], targets: Mapping[str, TargetConfig], keys: str, prefix: str
) -> list[Workload]:
    sections: Mapping[str, Mapping[str, AppConfig | TargetConfig]] = {"apps": apps, "targets": targets}
    return [
        Workload(name, namespace, config, f"{keys}{section}.{name}", f"{prefix}{name}")
        for section, entries in sections.items()
        for name, config in entries.items()
    ]
