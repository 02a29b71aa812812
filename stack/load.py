"""Reading the stack's configuration. The only reader of `pulumi.Config`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

import pulumi
from pulumi.runtime import config as pulumi_config
from pydantic import BaseModel, ValidationError

from controller.api import Problem
from stack.checks import find_problems
from stack.cluster import ClusterAccess
from stack.config import (
    GatewayConfig,
    IstioConfig,
    LoadTesterConfig,
    RolloutsConfig,
    StackConfig,
    templates_namespace,
)
from stack.controller import TrustConfig
from stack.errors import ConfigError, problems_of
from stack.namespace import NamespaceConfig
from stack.promotion import find_barred
from stack.workshop import complete, workshop_apps

S = TypeVar("S", bound=BaseModel)


def load() -> StackConfig:
    """The configuration of the current stack, validated.

    Raises:
        ConfigError: listing everything that is wrong.
    """
    project = pulumi.get_project()
    prefix = f"{project}:"
    given = pulumi_config.get_config_env() | pulumi_config.CONFIG.get()
    raw = {key.removeprefix(prefix): _parse(value) for key, value in given.items() if key.startswith(prefix)}
    if secret := [key for key in raw if pulumi_config.is_config_secret(prefix + key)]:
        message = "must not be a Pulumi secret: it goes into plain objects. Use a Kubernetes Secret, named in `secrets`"
        raise ConfigError(project, [Problem(key, message) for key in secret])
    if flat := [key for key in raw if set(key) & set(".[")]:
        message = "unknown field: a key of a section is set with `pulumi config set --path`"
        raise ConfigError(project, [Problem(key, message) for key in flat])
    return parse(raw, project)


def load_cluster(rollouts: RolloutsConfig) -> ClusterAccess:
    """The cluster of the stack, as `kubernetes:kubeconfig` and `kubernetes:context` name it.

    Raises:
        ConfigError: rollouts are followed, and the kubeconfig is no path of a file, so that no command can read it.
    """
    provider = pulumi.Config("kubernetes")
    kubeconfig = provider.get("kubeconfig") or ""
    if rollouts.follow and ("\n" in kubeconfig or kubeconfig.lstrip().startswith("{")):
        message = "must be the path of a file where rollouts.follow is set: `up` runs `canary wait`, which reads it"
        raise ConfigError("kubernetes", [Problem("kubeconfig", message)])
    return ClusterAccess(kubeconfig, provider.get("context") or "")


def parse(raw: Mapping[str, Any], project: str) -> StackConfig:
    """`raw` merged over the defaults and validated; `project` is for the keys in messages.

    Raises:
        ConfigError: listing everything that is wrong.
    """
    whole = _complete(raw)
    try:
        config = StackConfig.model_validate(whole)
    except ValidationError as error:
        raise ConfigError(project, list(problems_of(error, StackConfig, whole))) from None
    problems = [*find_problems(config)] or [*find_barred(config.promotion, config.blocked, config.images)]
    if problems:
        raise ConfigError(project, problems)
    return config


def _parse(value: Any) -> Any:
    """Pulumi passes structured values as JSON text."""
    try:
        return json.loads(value)
    except ValueError:
        return value


def _complete(raw: Mapping[str, Any]) -> dict[str, Any]:
    """`raw` with every app and target merged over its defaults."""
    namespace = _section(raw, "namespace", NamespaceConfig()).name
    controller, others = raw.get("controller"), raw.get("namespaces")
    trust = _section(controller if isinstance(controller, Mapping) else {}, "trust", TrustConfig())
    load_tester = _section(raw, "loadTester", LoadTesterConfig())

    def completed(section: Mapping[str, Any], namespace: str, workshop: Mapping[str, Any]) -> dict[str, Any]:
        return {
            key: complete(
                section.get(key, {}),
                namespace=namespace,
                load_tester=load_tester,
                templates=templates_namespace(namespace, trust),
                workshop=workshop if key == "apps" else None,
            )
            for key in ("apps", "targets")
            if isinstance(section.get(key, {}), Mapping)
        }

    gateway = _section(raw, "gateway", GatewayConfig())
    workshop = workshop_apps(namespace, gateway, _section(raw, "istio", IstioConfig()).gateway_service)
    whole = {**raw, **completed(raw, namespace, workshop)}
    if isinstance(others, Mapping):
        whole["namespaces"] = {
            name: {**other, **completed(other, name, {})} if isinstance(other, Mapping) else other
            for name, other in others.items()
        }
    return whole


def _section(raw: Mapping[str, Any], name: str, default: S) -> S:
    """A section that the default apps depend on; one that is not valid is reported with everything else, later."""
    try:
        return type(default).model_validate(raw.get(name, {}))
    except ValidationError:
        return default
