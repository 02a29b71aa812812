"""What is wrong with the metric templates, the alerts and the Secrets of a stack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from controller.api import InvalidObject, Problem, unsupported_fields
from controller.api.metric_template import MetricProvider
from stack.config import StackConfig
from stack.names import ISTIO_NAMESPACE
from stack.objects import build_metric_template
from stack.observability import AlertConfig, MetricTemplateConfig
from stack.secrets import secret_users

_OWN_JOBS = ("envoy", "istiod", "canary-controller", "pods")
_CREDENTIALS = {"bearer_token", "client_secret", "credentials", "key", "password", "secret_key"}
"""Keys of a scrape config, and of what is in it, that Prometheus holds as secrets."""


def monitoring_problems(config: StackConfig) -> Iterator[Problem]:
    """What cannot work as configured, or would have no effect."""
    for name, template in config.observability.metric_templates.items():
        yield from _metric_template(config, name, template)
    prometheus = config.observability.prometheus
    yield from _plain_credentials("observability.prometheus", "url", prometheus.provider)
    yield from _scrape_configs(prometheus.scrape_configs)
    for name, alert in config.alerts.items():
        yield from _alert(config, f"alerts.{name}", alert)


def address_problems(config: StackConfig) -> Iterator[Problem]:
    """Servers of metrics and alerts that the controller would not call."""
    for name, template in config.observability.metric_templates.items():
        if template.create and template.provider:
            at = f"observability.metricTemplates.{name}.provider.address"
            yield from _untrusted(config, at, template.provider.address)
    for name, alert in config.alerts.items():
        if provider := alert.provider:
            for field, address in (("address", provider.address), ("proxy", provider.proxy)):
                yield from _untrusted(config, f"alerts.{name}.provider.{field}", address or "")
            if provider.secret_ref:
                yield from _untrusted_secret(config, f"alerts.{name}.provider.secretRef", provider.secret_ref.name)


def recipient_problems(config: StackConfig) -> Iterator[Problem]:
    """Alerts about what the stack does not have."""
    names = [f"{each.namespace}/{each.name}" for each in config.workloads]
    for alert_name, alert in config.alerts.items():
        for pattern in alert.canaries:
            if not any(fnmatchcase(name, pattern) for name in names):
                message = f'Not found: "{pattern}": no such app or target (known: {", ".join(names)})'
                yield Problem(f"alerts.{alert_name}.canaries", message)


def secret_problems(config: StackConfig) -> Iterator[Problem]:
    """Secrets that would be in no namespace."""
    logins = {config.istio.repository_secret, config.observability.grafana.repository_secret}
    for name, users in secret_users(config).items():
        if not users and name not in logins:
            message = (
                "nothing names it: an app, the secretRef of a provider, the credentialName of a gateway, or a "
                "repositorySecret"
            )
            yield Problem(f"secrets.{name}", f"Forbidden: {message}")


def _metric_template(config: StackConfig, name: str, template: MetricTemplateConfig) -> Iterator[Problem]:
    at = f"observability.metricTemplates.{name}"
    if not template.create:
        for field in sorted(template.model_fields_set & {"query", "provider"}):
            yield Problem(f"{at}.{field}", "Forbidden: with create: false the template stays as it is")
        return
    if not template.query:
        message = "Required value: a query; or set create: false for a template that is there already"
        yield Problem(f"{at}.query", message)
        return
    try:
        built = build_metric_template(name, ISTIO_NAMESPACE, template, config.observability.prometheus)
    except InvalidObject as error:
        yield from (Problem(f"{at}{p.path.removeprefix('spec')}", p.message) for p in error.problems)
        return
    for field in unsupported_fields(built):
        path, _, reason = field.partition(": ")
        yield Problem(f"{at}{path.removeprefix('spec')}", f"Forbidden: {reason}")
    if template.provider:
        yield from _plain_credentials(f"{at}.provider", "address", template.provider)


def _plain_credentials(at: str, address: str, provider: MetricProvider) -> Iterator[Problem]:
    message = "Forbidden: it would be plain in the state: set secrets.NAME, and NAME in secretRef"
    for name in provider.headers:
        if name.lower() == "authorization":
            yield Problem(f"{at}.headers.{name}", message)
    if "@" in provider.address.partition("://")[2].partition("/")[0]:
        yield Problem(f"{at}.{address}", message.replace("it", "a user", 1))


def _scrape_configs(jobs: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    names = [*_OWN_JOBS, *(job.get("job_name") for job in jobs)]
    for index, job in enumerate(jobs):
        at, name = f"observability.prometheus.scrapeConfigs[{index}]", job.get("job_name")
        if not isinstance(name, str) or not name:
            yield Problem(f"{at}.job_name", "Required value: a name of the job")
        elif name in names[: len(_OWN_JOBS) + index]:
            yield Problem(f"{at}.job_name", f'Duplicate value: "{name}": another job has this name')
        for path in _credentials(job, at):
            yield Problem(path, "Forbidden: jobs are in a plain ConfigMap")


def _credentials(value: Any, path: str) -> Iterator[str]:
    """Where a job has a password or a token."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            below = f"{path}.{key}"
            yield from [below] if key in _CREDENTIALS else _credentials(inner, below)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _credentials(inner, f"{path}[{index}]")


def _alert(config: StackConfig, at: str, alert: AlertConfig) -> Iterator[Problem]:
    provider = alert.provider
    if provider is None:
        return
    if provider.address and provider.type != "webhook":
        message = f"whoever knows it can post to {provider.type}: set secrets.NAME.address, and NAME in secretRef"
        yield Problem(f"{at}.provider.address", f"Forbidden: {message}")
    if provider.secret_ref and (secret := config.secrets.get(provider.secret_ref.name)) is not None:
        needed = {"address", "token"} if provider.type == "slack" else {"address"}
        if not needed & secret.keys():
            message = f"secrets.{provider.secret_ref.name} must have the key {' or '.join(sorted(needed))}"
            yield Problem(f"{at}.provider.secretRef", f"Invalid value: {message}")


def _untrusted(config: StackConfig, at: str, address: str) -> Iterator[Problem]:
    host = _host(address)
    if not _is_trusted(config, host):
        yield Problem(at, f'Forbidden: controller.trust.addresses has no pattern for "{host}"')


def _untrusted_secret(config: StackConfig, at: str, name: str) -> Iterator[Problem]:
    """Nothing of the address is shown, not even its host."""
    address = config.secrets.get(name, {}).get("address")
    if address and not _is_trusted(config, _host(address.get_secret_value())):
        message = f"controller.trust.addresses has no pattern for the host of secrets.{name}.address"
        yield Problem(at, f"Forbidden: {message}")


def _is_trusted(config: StackConfig, host: str) -> bool:
    """Whether the controller would call a host for any of the stack's Canaries."""
    patterns, own = config.controller.trust.addresses, _host(config.observability.prometheus.address)
    namespaces = [place.name for place in config.places]
    allowed = {pattern.replace("{namespace}", namespace) for pattern in patterns for namespace in namespaces}
    return not allowed or host in {"", own} or any(fnmatchcase(host, pattern) for pattern in allowed)


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
