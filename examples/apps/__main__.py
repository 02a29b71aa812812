"""The apps of a team, on a platform that another stack has made: a namespace, an app, a Canary around a workload."""

from __future__ import annotations

from pulumi import ResourceOptions
from pulumi_kubernetes import apps

from components.canaried import Canaried
from components.namespace import AppNamespace, AppNamespaceArgs
from stack.namespace import NamespaceSettings

NAMESPACE = "team-1"
LABELS = {"app": "shop"}
ANALYSIS = {
    "interval": "30s",
    "threshold": 5,
    "stepWeight": 10,
    "maxWeight": 50,
    "metrics": [{"name": "errors", "compare": {"errors": {}}}],
}

namespace = AppNamespace(NAMESPACE, AppNamespaceArgs(NAMESPACE, NamespaceSettings(mtls="STRICT"), revision=""))
inside = ResourceOptions(depends_on=[namespace])

shop = apps.v1.Deployment(
    "shop",
    # Not waited for: its pods are the controller's, which keeps none of them between two rollouts.
    metadata={"name": "shop", "namespace": NAMESPACE, "annotations": {"pulumi.com/skipAwait": "true"}},
    spec={
        "selector": {"match_labels": LABELS},
        "template": {
            "metadata": {"labels": LABELS},
            "spec": {
                "containers": [
                    {
                        "name": "shop",
                        "image": "registry.example/shop:1.4.2",
                        "ports": [{"container_port": 8080}],
                        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
                    }
                ]
            },
        },
    },
    opts=inside,
)
Canaried(
    "shop",
    target=shop,
    service={
        "port": 80,
        "targetPort": 8080,
        "gateways": ["istio-system/public-gateway"],
        "hosts": ["shop.example.com"],
    },
    analysis=ANALYSIS,
    autoscaler={"minReplicas": 2, "maxReplicas": 6},
    opts=inside,
)

# This one is made elsewhere, by a chart for example.
Canaried("search", target="search", namespace=NAMESPACE, service={"port": 80}, analysis=ANALYSIS, opts=inside)
