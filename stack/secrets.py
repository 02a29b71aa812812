"""The Kubernetes Secrets that a stack makes. Their values are Pulumi secrets, and show nowhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import SecretStr

from stack.app import AppConfig
from stack.config import StackConfig
from stack.names import ISTIO_NAMESPACE

_REFERENCES = {"secret", "secretKeyRef", "secretRef"}
"""Fields of a PodSpec that name a Secret, in `name` or `secretName`."""


def hidden(values: Any) -> Any:
    """`values` with everything hidden that a message about them could show."""
    if isinstance(values, Mapping):
        return {key: hidden(value) for key, value in values.items()}
    if isinstance(values, list):
        return [hidden(value) for value in values]
    text = str(values).lower() if isinstance(values, bool) else str(values)
    return values if values is None or isinstance(values, SecretStr) else SecretStr(text)


def secret_users(config: StackConfig) -> Mapping[str, Mapping[str, int]]:
    """For each Secret of the stack the namespaces that need it, and how many apps in each name it."""
    users: dict[str, Counter[str]] = {name: Counter() for name in config.secrets}
    for each in config.workloads:
        if isinstance(each.config, AppConfig):
            for name in users.keys() & {*each.config.secrets, *_named_in(each.config.pod_spec)}:
                users[name][each.namespace] += 1
    for namespace, name in _named_elsewhere(config):
        if name in users:
            users[name][namespace] += 0
    return users


def _named_elsewhere(config: StackConfig) -> Iterator[tuple[str, str]]:
    """The namespace and the name of every Secret that objects beside the apps name."""
    prometheus, templates = config.observability.prometheus, config.observability.metric_templates
    servers = [prometheus.provider, *(each.provider for each in templates.values())]
    refs = [each.secret_ref for each in (*servers, *(each.provider for each in config.alerts.values())) if each]
    for ref in filter(None, refs):
        yield from ((namespace, ref.name) for namespace in config.templates.values())
    pulled = [*config.controller.pull_secrets, *prometheus.pull_secrets]
    yield from ((ISTIO_NAMESPACE, name) for name in pulled)
    yield from ((place.name, name) for place in config.load_tested for name in config.load_tester.pull_secrets)
    if prometheus.secret_ref:  # the controller's
        yield ISTIO_NAMESPACE, prometheus.secret_ref.name
    for gateway in config.all_gateways:
        if gateway.servers.credential_name:
            yield gateway.pods_namespace, gateway.servers.credential_name
        if gateway.pods:
            yield from ((gateway.pods_namespace, name) for name in _named_in(gateway.pods.values))


def _named_in(pod: Any) -> Iterator[str]:
    """The Secrets that a PodSpec names, wherever in it."""
    if isinstance(pod, list):
        for each in pod:
            yield from _named_in(each)
    elif isinstance(pod, Mapping):
        for field, value in pod.items():
            references = [value] if field in _REFERENCES else value if field == "imagePullSecrets" else []
            names = (each.get("secretName") or each.get("name") for each in references if isinstance(each, Mapping))
            yield from (str(name) for name in names if name)
            yield from _named_in(value)
