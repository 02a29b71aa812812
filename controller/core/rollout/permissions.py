"""What the operator of the cluster allows the author of a Canary.

A VirtualService applies to the whole mesh: with a host of another namespace, or on a shared gateway, a Canary takes
traffic that belongs to somebody else (https://istio.io/latest/docs/reference/config/networking/virtual-service/).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from controller.api.canary import Canary
from controller.api.references import NamespacedRef
from controller.core.model import Options

_SERVICE = re.compile(r"[a-z0-9-]+")


def not_allowed(canary: Canary, options: Options) -> tuple[str, ...]:
    """The fields that the controller's options do not allow, each as ``path: reason``."""
    return (*_references(canary, options), *_hosts(canary, options), *_gateways(canary, options))


def _references(canary: Canary, options: Options) -> Iterator[str]:
    analysis = canary.spec.analysis
    references: dict[str, NamespacedRef] = {
        f"analysis.metrics[{number}].{path}": reference
        for number, metric in enumerate(analysis.metrics)
        for path, reference in metric.template_refs.items()
    }
    references |= {
        f"analysis.alerts[{number}].providerRef": alert.provider_ref for number, alert in enumerate(analysis.alerts)
    }
    references |= {f"dependsOn[{number}]": reference for number, reference in enumerate(canary.spec.depends_on)}
    for path, reference in references.items():
        if not options.cross_namespace_refs and reference.namespace not in (None, "", canary.namespace):
            field = f"spec.{path}.namespace"
            yield f"{field}: references to other namespaces are disabled (--no-cross-namespace-refs)"


def _hosts(canary: Canary, options: Options) -> Iterator[str]:
    for number, host in enumerate(canary.spec.service.hosts):
        if not _is_own(host, canary.namespace) and not _matches(host, options.allowed_hosts, canary.namespace):
            allowed = ", ".join(options.allowed_hosts)
            yield (
                f"spec.service.hosts[{number}]: {host} is neither a Service of namespace {canary.namespace} nor "
                f"matched by --allowed-hosts ({allowed})"
            )


def _gateways(canary: Canary, options: Options) -> Iterator[str]:
    for number, gateway in enumerate(canary.spec.service.gateways):
        name = _qualified(gateway, canary.namespace)
        if gateway != "mesh" and not _matches(name, options.allowed_gateways, canary.namespace):
            allowed = ", ".join(options.allowed_gateways)
            yield f"spec.service.gateways[{number}]: {name} is not matched by --allowed-gateways ({allowed})"


def _is_own(host: str, namespace: str) -> bool:
    """Whether ``host`` is a Service of the namespace, by any of its names."""
    name, _, domain = host.partition(".")
    own = ("", namespace, f"{namespace}.svc", f"{namespace}.svc.cluster.local")
    return _SERVICE.fullmatch(name) is not None and domain in own


def _qualified(gateway: str, namespace: str) -> str:
    """``NAMESPACE/NAME``; Istio also accepts ``NAME``, and ``NAME.NAMESPACE.svc.cluster.local``."""
    if "/" in gateway:
        return gateway
    name, _, domain = gateway.partition(".")
    return f"{domain.partition('.')[0] or namespace}/{name}"


def _matches(text: str, patterns: Sequence[str], namespace: str) -> bool:
    """Whether one of the patterns matches; without patterns everything does."""
    return not patterns or any(fnmatchcase(text, pattern.replace("{namespace}", namespace)) for pattern in patterns)
