"""Where Istio's series for the two sides of a Canary are, and the matchers of their labels."""

from __future__ import annotations

import json
import re

from controller.api import promql
from controller.api.canary import Canary
from controller.api.metric_template import MetricProvider


def own_prometheus(canary: Canary) -> MetricProvider | None:
    """``spec.metricsServer``; None: the controller's own."""
    address = canary.spec.metrics_server
    return MetricProvider(type="prometheus", address=address) if address else None


def received_by(canary: Canary) -> str:
    """Matchers for what the pods of both sides got."""
    names = canary.names
    return promql.destination(quoted(canary.namespace), one_of(names.target, names.primary))


def quoted(text: str) -> str:
    """A string of PromQL; JSON's escapes are among those of Go that it takes."""
    return json.dumps(text, ensure_ascii=False)


def one_of(*texts: str) -> str:
    """A quoted RE2 expression for exactly these texts."""
    return quoted("|".join(re.escape(text).replace(r"\-", "-") for text in texts))
