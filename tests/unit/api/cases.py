"""Valid objects, and how to make an invalid one from them."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_OTHERS = """
apiVersion: flagger.app/v1beta1
kind: MetricTemplate
metadata: {name: error-rate, namespace: istio-system}
spec:
  provider:
    type: prometheus
    address: http://prometheus.istio-system:9090
    headers: {X-Scope-OrgID: [tenant]}
    secretRef: {name: prometheus-auth}
    region: us-east-1
    insecureSkipVerify: true
  query: 100 - sum(rate(istio_requests_total{destination_workload="{{ target }}"}[{{ interval }}]))
---
apiVersion: flagger.app/v1beta1
kind: MetricTemplate
metadata: {name: datadog, namespace: istio-system}
spec: {provider: {type: datadog}, query: "avg:latency{*}"}
---
apiVersion: flagger.app/v1beta1
kind: AlertProvider
metadata: {name: by-address, namespace: flagger}
spec: {type: slack, channel: general, username: flagger, address: "https://hooks.example.com/x", proxy: "http://proxy:3128"}
---
apiVersion: flagger.app/v1beta1
kind: AlertProvider
metadata: {name: by-secret, namespace: flagger}
spec: {type: msteams, secretRef: {name: teams-url}}
"""

GOOD: dict[str, dict[str, Any]] = {
    f"{manifest['kind']} {manifest['metadata']['name']}": manifest
    for text in (Path(__file__).with_name("good-canaries.yaml").read_text(), _OTHERS)
    for manifest in yaml.safe_load_all(text)
}

ABSENT = object()
"""As a value: the field is removed."""


@dataclass(frozen=True)
class Bad:
    """A valid object with one field changed; ``words`` are part of the message about ``path``."""

    name: str
    base: str
    field: str
    value: Any
    words: str
    path: str = ""

    @property
    def where(self) -> str:
        """The path of the problem; the changed field unless given."""
        return self.path or self.field

    def manifest(self) -> dict[str, Any]:
        return changed(GOOD[self.base], self.field, self.value)


def changed(manifest: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
    """A copy of ``manifest`` with the value at ``field`` (as in ``spec.a[0].b``) set or removed."""
    result = copy.deepcopy(manifest)
    *parents, last = [int(key) if key.isdigit() else key for key in field.replace("]", "").replace("[", ".").split(".")]
    here: Any = result
    for key in parents:
        here = here[key]
    if value is ABSENT:
        del here[last]
    else:
        here[last] = value
    return result
