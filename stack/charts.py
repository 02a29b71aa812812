"""The Helm values of Istio's charts: this program's defaults, the stack's values over them, and what must agree.

The gateway's pods, its Service, the Gateway that selects them and the load test are configured in different places.
What they share is derived here once; a value that would take them apart is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from controller.api import Problem
from stack.config import StackConfig
from stack.gateway import GatewayPods, Servers
from stack.istio import VERSION_MARK, ControlPlane, IstioConfig
from stack.merge import merge
from stack.names import BASE_RELEASE, CNI_RELEASE, DEFAULT_TAG, ISTIO_NAMESPACE, PROXY_ANNOTATION
from stack.observability import GrafanaConfig

_STATUS_PORT = 15021
_POD_SECURITY = {
    # What the chart says if it is told nothing, and the profile without which a pod is not `restricted`.
    "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}],
    "seccompProfile": {"type": "RuntimeDefault"},
}
_SPARED = ("pilot", "cni", "enabled")
"""The value of istiod that spares sidecars their init container."""
_ENFORCE = "pod-security.kubernetes.io/enforce"

_READINESS = {
    "httpGet": {"path": "/healthz/ready", "port": _STATUS_PORT},
    "periodSeconds": 1,
    "failureThreshold": 30,
    "timeoutSeconds": 3,
}
"""Istio's own asks every 15 s, and an update waits for the second time."""


def istio_values(istio: IstioConfig) -> Mapping[str, dict[str, Any]]:
    """The values of each release of the mesh, by its name: one replica each, small requests, as in the workshop."""
    stable = istio.control_planes[0]
    base = {"defaultRevision": stable.revision} if stable.revision else {}
    return {
        BASE_RELEASE: merge(base, istio.values.base),
        **({CNI_RELEASE: istio.cni.values} if istio.cni.enabled else {}),
        **{plane.release: _istiod_values(istio, plane) for plane in istio.control_planes},
    }


def gateway_values(istio: IstioConfig, servers: Servers, pods: GatewayPods) -> dict[str, Any]:
    """The values of the release of a gateway's pods."""
    served = istio.control_plane(pods.tag)
    ours = {
        "autoscaling": {"enabled": False},
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
        "labels": pods.selector,
        "securityContext": _POD_SECURITY,
        "readinessProbe": _READINESS,
        "service": {"ports": _service_ports(servers)},
        **({"revision": served.label} if served.label else {}),
        **({"podAnnotations": {PROXY_ANNOTATION: served.version}} if served.is_tagged else {}),
    }
    values: dict[str, Any] = merge(ours, pods.values)
    return values


def _istiod_values(istio: IstioConfig, plane: ControlPlane) -> dict[str, Any]:
    ours = {
        "autoscaleEnabled": False,
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
        "global": {"proxy": {"resources": {"requests": {"cpu": "10m", "memory": "32Mi"}}}},
        **({"revision": plane.revision} if plane.is_tagged else {}),
        **({"pilot": {"cni": {"enabled": True}}} if istio.cni.enabled else {}),
    }
    values: dict[str, Any] = _versioned(merge(ours, istio.values.istiod), plane.version)
    return values


def _versioned(values: Any, version: str) -> Any:
    """`values` with the version wherever a text has the mark for it."""
    if isinstance(values, Mapping):
        return {key: _versioned(value, version) for key, value in values.items()}
    if isinstance(values, list):
        return [_versioned(value, version) for value in values]
    return values.replace(VERSION_MARK, version) if isinstance(values, str) else values


def tag_webhooks(tag: str, plane: ControlPlane) -> list[dict[str, Any]]:
    """The webhooks that inject the proxy of a revision into who names its tag.

    As `istioctl tag set` makes them: the label of a namespace decides, and that of a pod where the namespace has none.
    `default` is who only says `istio-injection: enabled`. istiod adds the certificate itself.
    """
    no_revision: dict[str, Any] = {"key": "istio.io/rev", "operator": "DoesNotExist"}
    no_injection: dict[str, Any] = {"key": "istio-injection", "operator": "DoesNotExist"}
    not_off = {"key": "sidecar.istio.io/inject", "operator": "NotIn", "values": ["false"]}
    named = {"key": "istio.io/rev", "operator": "In", "values": [tag]}
    enabled = {"key": "istio-injection", "operator": "In", "values": ["enabled"]}
    asked = {"key": "sidecar.istio.io/inject", "operator": "In", "values": ["true"]}
    selectors = {
        "rev.namespace": ([named, no_injection], [not_off]),
        "rev.object": ([no_revision, no_injection], [not_off, named]),
    }
    if tag == DEFAULT_TAG:
        selectors |= {
            "namespace": ([enabled], [not_off]),
            "object": ([no_injection, no_revision], [asked, no_revision]),
        }
    return [
        {
            "name": f"{prefix}.sidecar-injector.istio.io",
            "clientConfig": {
                "service": {
                    "name": f"istiod-{plane.revision}",
                    "namespace": ISTIO_NAMESPACE,
                    "path": "/inject",
                    "port": 443,
                }
            },
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
            "namespaceSelector": {"matchExpressions": namespaces},
            "objectSelector": {"matchExpressions": pods},
        }
        for prefix, (namespaces, pods) in selectors.items()
    ]


def _service_ports(servers: Servers) -> list[dict[str, Any]]:
    """As in the chart, with the stack's numbers: a Gateway serves only ports that the Service has."""
    ports = {"status-port": _STATUS_PORT, "http2": servers.http_port, "https": servers.https_port}
    return [{"name": name, "port": port, "protocol": "TCP", "targetPort": port} for name, port in ports.items()]


# --- what is refused --------------------------------------------------------------------------------------------------

_NAMESPACE_IS_KNOWN = f"Istio is installed in {ISTIO_NAMESPACE}"
_FIXED_OF_ISTIO: Mapping[tuple[str, ...], str] = {
    ("istiod", "global", "istioNamespace"): _NAMESPACE_IS_KNOWN,
    ("base", "global", "istioNamespace"): _NAMESPACE_IS_KNOWN,
}
_FIXED_OF_GATEWAYS: Mapping[str, str] = {
    "name": "the load test and the exported address use the name {release}",
    "networkGateway": "it replaces the Service ports that the Gateway needs",
}
"""Helm values that this program relies on, by their path."""


def chart_problems(config: StackConfig) -> Iterator[Problem]:
    """Values of the charts that cannot work, or that would have no effect."""
    values = config.istio.values
    everything = {
        "istio.values": {chart: values.for_chart(chart) for chart in ("base", "istiod", "gateway")},
        "istio.cni.values": config.istio.cni.values,
        "observability.grafana.values": config.observability.grafana.values,
        **{f"gateways.{name}.values": gateway.values for name, gateway in config.gateways.items()},
    }
    for path, given in everything.items():
        for null in _nulls(given):
            message = "Invalid value: null: Pulumi does not pass null to Helm; set the value that you want"
            yield Problem(f"{path}.{null}", message)
    for keys, reason in _FIXED_OF_ISTIO.items():
        if _look_up(everything["istio.values"], keys):
            yield Problem(f"istio.values.{'.'.join(keys)}", f"Forbidden: {reason}")
    for gateway in config.all_gateways:
        if gateway.pods:
            yield from _pods(gateway.pods)


def login_problems(config: StackConfig) -> Iterator[Problem]:
    """Entries of `secrets` that cannot be the login of a repository."""
    yield from _login(config, "istio", config.istio)
    yield from _login(config, "observability.grafana", config.observability.grafana)


def _login(config: StackConfig, key: str, part: IstioConfig | GrafanaConfig) -> Iterator[Problem]:
    if not part.enabled:
        return
    if "@" in urlsplit(part.repository).netloc:
        message = "a user would be plain in the state: set secrets.NAME, and NAME in repositorySecret"
        yield Problem(f"{key}.repository", f"Forbidden: {message}")
    name, at = part.repository_secret, f"{key}.repositorySecret"
    if name is None:
        return
    if isinstance(part, IstioConfig) and part.chart_path:
        yield Problem(at, f"Forbidden: with {key}.chartPath nothing uses it")
    elif part.repository.startswith("oci://"):
        yield Problem(at, "Forbidden: of an OCI registry the login of `helm registry login` counts, where Pulumi runs")
    elif "repository" not in part.model_fields_set:
        yield Problem(at, f"Forbidden: {part.repository} asks for none; set {key}.repository to yours")
    elif not {"username", "password"} <= config.secrets.get(name, {}).keys():
        yield Problem(at, f'Invalid value: "{name}": secrets.{name} must have the keys username and password')


def pod_security_problems(config: StackConfig) -> Iterator[Problem]:
    """Namespaces that refuse the init container of their sidecars."""
    planes = [_istiod_values(config.istio, plane) for plane in config.istio.control_planes]
    if all(_look_up(each, _SPARED) for each in planes):
        return
    for place in config.declared_places:
        level = place.settings.labels.get(_ENFORCE, "privileged")
        if place.workloads and place.settings.injection and level != "privileged":  # a gateway has no such container
            message = f'"{level}": it refuses the init container of sidecars; set istio.cni.enabled: true'
            yield Problem(f"{place.key}.labels.{_ENFORCE}", f"Invalid value: {message}")


def _pods(pods: GatewayPods) -> Iterator[Problem]:
    for key, reason in _FIXED_OF_GATEWAYS.items():
        if pods.values.get(key):
            yield Problem(f"{pods.values_key}.{key}", f"Forbidden: {reason.format(release=pods.release)}")
    if not isinstance(pods.values.get("labels", {}), Mapping):
        yield Problem(f"{pods.values_key}.labels", "Invalid value: must be of type object")


def chart_port_problems(config: StackConfig) -> Iterator[Problem]:
    """Ports of the stack's own, in place of those that the Gateways on these pods need."""
    for gateway in config.all_gateways:
        service = gateway.pods.values.get("service") if gateway.pods else None
        own = service.get("ports") if isinstance(service, Mapping) else None
        if gateway.pods is None or not isinstance(own, Sequence):
            continue
        offered = {port.get("port") for port in own if isinstance(port, Mapping)}
        for key, port in gateway.servers.ports.items():
            if port not in offered:
                message = f"Invalid value: must have port {port}, which is {gateway.key}.{key}"
                yield Problem(f"{gateway.pods.values_key}.service.ports", message)


def _nulls(values: Any, path: str = "") -> Iterator[str]:
    """Where a null is in `values`."""
    if values is None:
        yield path
    elif isinstance(values, Mapping):
        for key, value in values.items():
            yield from _nulls(value, f"{path}.{key}" if path else str(key))
    elif isinstance(values, list):
        for index, value in enumerate(values):
            yield from _nulls(value, f"{path}[{index}]")


def _look_up(values: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values
