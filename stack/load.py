"""Reading the stack's configuration. The only reader of `pulumi.Config`."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import pulumi
from pulumi.runtime import config as pulumi_config
from pydantic import BaseModel, ValidationError

from controller.api import Problem
from stack.checks import find_problems
from stack.cluster import ClusterAccess
from stack.config import (
    LoadTesterConfig,
    RolloutsConfig,
    StackConfig,
    templates_namespace,
)
from stack.controller import TrustConfig
from stack.errors import ConfigError, ends_when_refused, problems_of, section_of, without
from stack.gateway import GatewayConfig
from stack.istio import IstioConfig
from stack.namespace import NamespaceConfig
from stack.observability import AlertConfig
from stack.secrets import hidden
from stack.workshop import complete, workshop_apps

S = TypeVar("S", bound=BaseModel)


@ends_when_refused()
def load() -> StackConfig:
    """The configuration of the current stack, validated. What is wrong with it ends the program, all said at once."""
    project = pulumi.get_project()
    prefix = f"{project}:"
    given = pulumi_config.get_config_env() | pulumi_config.CONFIG.get()
    raw = {key.removeprefix(prefix): _parse(value) for key, value in given.items() if key.startswith(prefix)}
    flat = [key for key in raw if set(key) & set(".[")]
    problems = [
        *_misspelt(project, given),
        *(Problem(key, "unknown field: a key of a section is set with `pulumi config set --path`") for key in flat),
    ]
    secrets = [*_about_secrets(project, {key: pulumi_config.is_config_secret(prefix + key) for key in raw})]
    left_out = {*flat, *(each.path for each in secrets)}  # what else is wrong there would be said with the values
    right = {key: value for key, value in raw.items() if key not in left_out}
    return parse(right, project, [*problems, *secrets])


def _misspelt(project: str, given: Mapping[str, Any]) -> Iterator[Problem]:
    """Keys that are meant for this project and have another prefix: Pulumi would leave them out without a word."""
    sections = {field.alias for field in StackConfig.model_fields.values()}
    for key, value in given.items():
        prefix, _, name = key.rpartition(":")
        is_alike = prefix.startswith(project) or difflib.get_close_matches(prefix, [project], cutoff=0.75)
        is_section = name in sections and isinstance(_parse(value), Mapping)
        if prefix != project and (is_alike or is_section):
            yield Problem(name, f"set as {key}, which no program reads; did you mean {project}:{name}?")


def _about_secrets(project: str, are_secret: Mapping[str, bool]) -> Iterator[Problem]:
    """Pulumi marks a section as a whole, whichever of its values is a secret."""
    for key, is_secret in are_secret.items():
        if is_secret and key != "secrets":
            message = (
                "must not be a Pulumi secret: it goes into plain objects. Put the value in `secrets`, and name that"
            )
            yield Problem(key, message)
        elif not is_secret and key == "secrets":
            command = f"pulumi config set --secret --path {project}:secrets.NAME.KEY"
            yield Problem(key, f"must be Pulumi secrets: set each value with `{command}`")


@ends_when_refused()
def load_cluster(rollouts: RolloutsConfig) -> ClusterAccess:
    """The cluster of the stack, as `kubernetes:kubeconfig` and `kubernetes:context` name it.

    Where rollouts are followed, a kubeconfig that is no path of a file ends the program: no command could read it.
    """
    provider = pulumi.Config("kubernetes")
    kubeconfig = provider.get("kubeconfig") or ""
    if rollouts.follow and ("\n" in kubeconfig or kubeconfig.lstrip().startswith("{")):
        message = "must be the path of a file where rollouts.follow is set: `up` runs `canary wait`, which reads it"
        raise ConfigError("kubernetes", [Problem("kubeconfig", message)])
    return ClusterAccess(kubeconfig, provider.get("context") or "")


def parse(raw: Mapping[str, Any], project: str, known: Sequence[Problem] = ()) -> StackConfig:
    """`raw` merged over the defaults and validated; `project` is for the keys in messages, `known` is wrong already.

    Raises:
        ConfigError: listing everything that is wrong.
    """
    whole = _complete(raw)
    problems = [*known]
    try:
        config = StackConfig.model_validate(whole)
    except ValidationError as error:
        problems += [_with_name_meant(each) for each in problems_of(error, StackConfig, whole)]
        config = StackConfig.model_validate({"apps": {}} | without(whole, error, StackConfig))
    problems += find_problems(config, wrong={section_of(each) for each in problems})
    if problems:
        raise ConfigError(project, problems)
    return config


def _with_name_meant(problem: Problem) -> Problem:
    """An app that lacks something may be one of the workshop's, misspelt: those lack nothing."""
    section, _, rest = problem.path.partition(".")
    name, _, _ = rest.partition(".")
    meant = difflib.get_close_matches(name, workshop_apps("", GatewayConfig(), ""), n=1)
    if section != "apps" or not problem.message.startswith("Required value") or not meant or name in meant:
        return problem
    return Problem(problem.path, f"{problem.message} Or did you mean apps.{meant[0]}, which has all it needs?")


def _parse(value: Any) -> Any:
    """Pulumi passes structured values as JSON text."""
    try:
        return json.loads(value)
    except ValueError:
        return value


def _complete(raw: Mapping[str, Any]) -> dict[str, Any]:
    """`raw` with every app and target merged over its defaults."""
    namespace = _section(raw, "namespace", NamespaceConfig()).name
    trust = _section(_mapping(raw, "controller"), "trust", TrustConfig())
    alerts = {name: _section(_mapping(raw, "alerts"), name, AlertConfig()) for name in _mapping(raw, "alerts")}
    load_tester = _section(raw, "loadTester", LoadTesterConfig())

    def completed(section: Mapping[str, Any], namespace: str, workshop: Mapping[str, Any]) -> dict[str, Any]:
        return {
            key: complete(
                section.get(key, {}),
                namespace=namespace,
                load_tester=load_tester,
                templates=templates_namespace(namespace, trust),
                alerts=alerts,
                workshop=workshop if key == "apps" else None,
            )
            for key in ("apps", "targets")
            if isinstance(section.get(key, {}), Mapping)
        }

    gateway = _section(raw, "gateway", GatewayConfig())
    workshop = workshop_apps(namespace, gateway, _section(raw, "istio", IstioConfig()).gateway_service)
    whole = {**raw, **completed(raw, namespace, workshop)}
    if others := _mapping(raw, "namespaces"):
        whole["namespaces"] = {
            name: {**other, **completed(other, name, {})} if isinstance(other, Mapping) else other
            for name, other in others.items()
        }
    if "secrets" in raw:
        whole["secrets"] = hidden(raw["secrets"])
    return whole


def _mapping(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A section as it is; what is no mapping is reported with everything else, later."""
    section = raw.get(name)
    return section if isinstance(section, Mapping) else {}


def _section(raw: Mapping[str, Any], name: str, default: S) -> S:
    """A section that the default apps depend on; one that is not valid is reported with everything else, later."""
    try:
        return type(default).model_validate(raw.get(name, {}))
    except ValidationError:
        return default
