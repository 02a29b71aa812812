"""Names that several parts of a stack must agree on."""

from __future__ import annotations

from typing import Final

ISTIO_NAMESPACE: Final = "istio-system"
"""Istio, its monitoring, the public gateway and the controller."""
BASE_RELEASE: Final = "istio-base"
"""The Helm release of Istio's CRDs."""
CNI_RELEASE: Final = "istio-cni"
"""The Helm release of Istio's network plugin."""
NEVER_INJECTED: Final = frozenset({"kube-system", "kube-public", "kube-node-lease"})
"""Namespaces in which Istio gives no pod a proxy, whatever their labels."""
DEFAULT_TAG: Final = "default"
"""Istio's tag for the namespaces that say no more than that they want a sidecar."""
PROXY_ANNOTATION: Final = "canary-on-istio/proxy"
"""Annotation of a pod template: the version of its sidecar. Another version is another template, so its pods roll."""
LOST_ROUTES_ANNOTATION: Final = "except.canary-on-istio/no-lost-routes"
"""Annotation of a Canary, which the policy pack reads: the routes that it loses, and why, a line each."""
GATEWAY_RELEASE: Final = "istio-gateway"
"""The Helm release of the gateway's pods, and their Service."""
PROMETHEUS: Final = "prometheus"
GRAFANA: Final = "flagger-grafana"
"""The Helm release of Grafana."""
IN_ISTIO_NAMESPACE: Final = frozenset({PROMETHEUS, GRAFANA, "istiod", GATEWAY_RELEASE})
"""Names of objects in there that nothing else may have."""
LOAD_TESTER: Final = "flagger-loadtester"
DEFAULT_TEMPLATES: Final = ("error-rate", "latency")
"""The metric templates that every stack gets."""
