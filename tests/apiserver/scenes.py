"""Objects that several of the controller's tests put on the stage."""

from __future__ import annotations

from typing import Any

from tests.apiserver.stage import Stage
from tests.builders import canary_manifest, make_autoscaler, make_config, make_deployment

ERROR_RATE = {"name": "error-rate", "query": "errors{}", "thresholdRange": {"max": 1}, "interval": "30s"}
WEIGHTED = {"interval": "1s", "threshold": 2, "stepWeight": 25, "maxWeight": 50}


def backend(stage: Stage, *, analysis: dict[str, Any] | None = None, **spec: Any) -> list[dict[str, Any]]:
    """A Deployment with a ConfigMap and an HPA, and a Canary with one metric and a webhook of most types."""
    hooks = [
        {"name": "conformance", "type": "pre-rollout", "url": f"{stage.hooks_url}/conformance", "metadata": {"a": "b"}},
        {"name": "load", "type": "rollout", "url": f"{stage.hooks_url}/load"},
        {"name": "after", "type": "post-rollout", "url": f"{stage.hooks_url}/after"},
        {"name": "log", "type": "event", "url": f"{stage.hooks_url}/events"},
    ]
    deployment = make_deployment()
    deployment["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "backend-config"}}]
    reference = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "backend"}
    return [
        make_config("backend-config", {"colour": "blue"}),
        deployment,
        make_autoscaler(low=1),
        canary_manifest(
            analysis={**WEIGHTED, "metrics": [ERROR_RATE], "webhooks": hooks, **(analysis or {})},
            **{"autoscalerRef": reference, **spec},
        ),
    ]
