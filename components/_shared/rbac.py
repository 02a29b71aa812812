"""A service account and what it may do: everywhere, or in named namespaces only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes import core, meta, rbac

from components._shared.options import child_options

_API_GROUP = "rbac.authorization.k8s.io"

EVERYWHERE: Final = ""
"""In place of a namespace: a ClusterRole."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What may be done with which resources of an API group; with ``names`` only with those."""

    group: str
    resources: Sequence[str]
    verbs: Sequence[str]
    names: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """A service account.

    Attributes:
        name: of the account.
        namespace: where it is.
        role: name of its roles and bindings.
        resource: with which the names of these resources begin.
        rights: the rules by the namespace they hold in, or for `EVERYWHERE`.
    """

    name: str
    namespace: str
    role: str
    resource: str
    rights: Mapping[str, Sequence[Rule]]


def create_account(
    component: pulumi.ComponentResource, account: Account, opts: pulumi.ResourceOptions | None
) -> list[pulumi.Resource]:
    """The account with its roles and their bindings, as children of `component`."""
    service_account = core.v1.ServiceAccount(
        account.resource,
        metadata=meta.v1.ObjectMetaArgs(name=account.name, namespace=account.namespace, labels={"app": account.name}),
        opts=child_options(component, opts, formerly=account.name),
    )
    created: list[pulumi.Resource] = [service_account]
    for namespace in account.rights:
        created += _grant(component, account, namespace, opts, service_account)
    return created


def _grant(
    component: pulumi.ComponentResource,
    account: Account,
    namespace: str,
    opts: pulumi.ResourceOptions | None,
    service_account: pulumi.Resource,
) -> list[pulumi.Resource]:
    role_type, binding_type, kind, suffix = (
        (rbac.v1.Role, rbac.v1.RoleBinding, "Role", f"-in-{namespace}")
        if namespace
        else (rbac.v1.ClusterRole, rbac.v1.ClusterRoleBinding, "ClusterRole", "")
    )
    metadata = meta.v1.ObjectMetaArgs(name=account.role, namespace=namespace or None)
    role = role_type(
        f"{account.resource}{suffix}",
        metadata=metadata,
        rules=[
            rbac.v1.PolicyRuleArgs(
                api_groups=[rule.group], resources=rule.resources, verbs=rule.verbs, resource_names=rule.names
            )
            for rule in account.rights[namespace]
        ],
        opts=child_options(component, opts, formerly=f"{account.role}{suffix}"),
    )
    binding = binding_type(
        f"{account.resource}{suffix}",
        metadata=metadata,
        role_ref=rbac.v1.RoleRefArgs(api_group=_API_GROUP, kind=kind, name=account.role),
        subjects=[rbac.v1.SubjectArgs(kind="ServiceAccount", name=account.name, namespace=account.namespace)],
        opts=child_options(component, opts, service_account, role, formerly=f"{account.role}{suffix}"),
    )
    return [role, binding]
