"""What is wrong between the sections of a stack, each of which is right by itself. All before anything is created."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from itertools import combinations
from urllib.parse import urlsplit

from controller.api import InvalidObject, Problem
from controller.api.names import Names, primary_name
from stack.app import AppConfig
from stack.app_checks import app_problems
from stack.charts import chart_problems
from stack.config import StackConfig
from stack.names import GATEWAY_RELEASE, ISTIO_NAMESPACE, LOAD_TESTER
from stack.objects import build_metric_template
from stack.workload import config_maps

_EXISTING_NAMESPACES = {ISTIO_NAMESPACE, "default", "kube-system", "kube-public", "kube-node-lease"}
_INJECTION_LABELS = ("istio-injection", "istio.io/rev")
_OPTIONS_SET_HERE = {
    *("metrics-server", "log-level", "minimum-interval", "namespace", "port"),
    *("max-rollouts", "max-rollouts-per-namespace"),
    *("no-cross-namespace-refs", "allowed-hosts", "allowed-gateways", "allowed-addresses"),
}
"""Options of the controller that this program sets."""
_NAMES_IN_ISTIO_SYSTEM = {"prometheus", "flagger-grafana", "istiod", GATEWAY_RELEASE}


def find_problems(config: StackConfig) -> Iterator[Problem]:
    """Everything that cannot work as configured, or that would have no effect."""
    yield from chart_problems(config)
    yield from _namespace(config)
    yield from _controller(config)
    yield from _metric_templates(config)
    for name, app in config.apps.items():
        yield from app_problems(config, config.namespace.name, f"apps.{name}", name, app)
        yield from _routes(config, name, app)
    yield from _generated_names(config)
    yield from _secret_copies(config)
    yield from _shared_hosts(config)
    yield from _untrusted(config)


def _namespace(config: StackConfig) -> Iterator[Problem]:
    namespace = config.namespace
    if namespace.name in _EXISTING_NAMESPACES:
        yield Problem("namespace.name", f'Invalid value: "{namespace.name}": the namespace is created for the apps')
    for label in _INJECTION_LABELS:
        if label in namespace.labels:
            yield Problem(f"namespace.labels.{label}", "Forbidden: set namespace.injection, or revision of istiod")
    if namespace.mtls and not namespace.injection:
        yield Problem("namespace.mtls", "Forbidden: without injection no proxy applies it")


def _controller(config: StackConfig) -> Iterator[Problem]:
    controller = config.controller
    if controller.name in _NAMES_IN_ISTIO_SYSTEM:
        yield Problem("controller.name", f'Invalid value: "{controller.name}": used in {ISTIO_NAMESPACE} already')
    for argument in controller.args:
        if argument.startswith("-") and argument.partition("=")[0].lstrip("-") in _OPTIONS_SET_HERE:
            yield Problem("controller.args", f'Forbidden: "{argument}": this program sets it; use the key for it')
    if controller.namespaces and config.apps and config.namespace.name not in controller.namespaces:
        message = f'must include "{config.namespace.name}", the namespace of the apps (namespace.name)'
        yield Problem("controller.namespaces", f"Invalid value: {message}")


def _metric_templates(config: StackConfig) -> Iterator[Problem]:
    for name, template in config.observability.metric_templates.items():
        try:
            build_metric_template(
                name, config.templates_namespace, template.query, config.observability.prometheus.address
            )
        except InvalidObject as error:
            at = f"observability.metricTemplates.{name}"
            yield from (Problem(f"{at}.{p.path.removeprefix('spec.')}", p.message) for p in error.problems)


# --- routes -----------------------------------------------------------------------------------------------------------


def _routes(config: StackConfig, name: str, app: AppConfig) -> Iterator[Problem]:
    gateway, service = config.gateway, app.service
    if gateway.name in service.gateways:
        message = f"the Gateway is in {ISTIO_NAMESPACE}: {ISTIO_NAMESPACE}/{gateway.name}"
        yield Problem(f"apps.{name}.service.gateways", f'Invalid value: "{gateway.name}": {message}')
    if f"{ISTIO_NAMESPACE}/{gateway.name}" not in service.gateways:
        return
    if not service.hosts:
        yield Problem(f"apps.{name}.service.hosts", "Required value: the Gateway routes by host")
    for host in service.hosts:
        if not any(_serves(served, host, config.namespace.name) for served in gateway.hosts):
            message = f"the Gateway serves {', '.join(gateway.hosts)} only (gateway.hosts)"
            yield Problem(f"apps.{name}.service.hosts", f'Invalid value: "{host}": {message}')


def _serves(served: str, host: str, namespace: str) -> bool:
    """Whether a Gateway's host, `[namespace/]host`, takes requests to `host` for a route in `namespace`."""
    allowed, _, name = served.rpartition("/")
    return allowed in {"", "*", namespace} and (name == host or _covers(name, host) or _covers(host, name))


def _covers(wildcard: str, host: str) -> bool:
    return wildcard == "*" or (wildcard.startswith("*.") and host.endswith(wildcard[1:]))


def _shared_hosts(config: StackConfig) -> Iterator[Problem]:
    """Two routes of one host: Istio merges them on a gateway, in no certain order, and not at all in the mesh."""
    for (one, first), (two, second) in combinations(config.apps.items(), 2):
        by_match = bool(first.service.match and second.service.match)
        for gateway, host in sorted(_routed(one, first) & _routed(two, second)):
            if gateway == "mesh":
                message = f"apps.{one} has it in the mesh as well; set gateways or rename one"
            elif by_match:
                continue
            else:
                message = f"apps.{one} has it on {gateway} as well; give each a service.match"
            yield Problem(f"apps.{two}.service.hosts", f'Duplicate value: "{host}": {message}')


def _routed(name: str, app: AppConfig) -> set[tuple[str, str]]:
    """The gateways and the hosts that an app's VirtualService is for."""
    service = app.service
    hosts = {service.name or name, *(host.lower() for host in service.hosts)}
    return {(gateway, host) for gateway in service.gateways or ("mesh",) for host in hosts}


def _untrusted(config: StackConfig) -> Iterator[Problem]:
    """Hosts, gateways and webhooks of the stack's own apps that the controller would not allow."""
    trust, namespace = config.controller.trust, config.namespace.name
    for name, app in config.apps.items():
        named = [gateway for gateway in app.service.gateways if gateway != "mesh"]
        hosts = [host for host in app.service.hosts if not _is_service(host, namespace)]
        gateways = [gateway if "/" in gateway else f"{namespace}/{gateway}" for gateway in named]
        hooks = [urlsplit(webhook.url).hostname or "" for webhook in app.analysis.webhooks]
        for key, values, option, patterns in (
            ("service.hosts", hosts, "hosts", trust.hosts),
            ("service.gateways", gateways, "gateways", trust.gateways),
            ("analysis.webhooks", hooks, "addresses", trust.addresses),
        ):
            allowed = [pattern.replace("{namespace}", namespace) for pattern in patterns]
            for value in values:
                if allowed and not any(fnmatchcase(value, pattern) for pattern in allowed):
                    message = f'Forbidden: controller.trust.{option} has no pattern for "{value}"'
                    yield Problem(f"apps.{name}.{key}", message)


def _is_service(host: str, namespace: str) -> bool:
    """Whether a host is a Service of the namespace, by any of its names."""
    name, _, domain = host.partition(".")
    return name != "*" and domain in {"", namespace, f"{namespace}.svc", f"{namespace}.svc.cluster.local"}


# --- names ------------------------------------------------------------------------------------------------------------


def _generated_names(config: StackConfig) -> Iterator[Problem]:
    """Objects of two apps, generated ones included, that would have one name."""
    owners: dict[tuple[str, str], list[str]] = defaultdict(list)
    if config.load_tester.enabled:
        owners["Deployment", LOAD_TESTER].append("loadTester")
        owners["Service", LOAD_TESTER].append("loadTester")
    for name, app in config.apps.items():
        for kind, names in _objects(name, app).items():
            for generated in names:
                owners[kind, generated].append(f"apps.{name}")
    for (kind, generated), sections in owners.items():
        if len(set(sections)) > 1:
            others = ", ".join(sections[:-1])
            yield Problem(sections[-1], f'Duplicate value: {others} has a {kind} "{generated}" as well; rename one')


def _secret_copies(config: StackConfig) -> Iterator[Problem]:
    """A Secret of the user's that has the name of the primary's copy of another."""
    listed = {secret for app in config.apps.values() for secret in app.secrets}
    for name, app in config.apps.items():
        for secret in app.secrets:
            if primary_name(secret) in listed:
                message = f'Invalid value: "{secret}": its copy for the primary, {primary_name(secret)}, is in use'
                yield Problem(f"apps.{name}.secrets", message)


def _objects(name: str, app: AppConfig) -> Mapping[str, list[str]]:
    names = Names(target=name, service=app.service.name or name)
    return {
        "Deployment": [names.target, names.primary],
        "Service": [names.apex_service, names.primary_service, names.canary_service],
        "ConfigMap": [each for own in config_maps(name, app) for each in (own, primary_name(own))],
    }
