"""Names: the API group, and the objects generated for a Canary (Flagger's conventions)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

GROUP: Final = "flagger.app"
VERSION: Final = "v1beta1"
API_VERSION: Final = "flagger.app/v1beta1"

CANARY_KIND: Final = "Canary"
CANARY_PLURAL: Final = "canaries"
METRIC_TEMPLATE_KIND: Final = "MetricTemplate"
METRIC_TEMPLATE_PLURAL: Final = "metrictemplates"
ALERT_PROVIDER_KIND: Final = "AlertProvider"
ALERT_PROVIDER_PLURAL: Final = "alertproviders"

FINALIZER: Final = "finalizer.flagger.app"
FIELD_MANAGER: Final = "canary-controller"
LEASE_NAME: Final = "flagger-leader-election"
"""Flagger's: while it leads this controller stands by, and the other way round."""
CONFIG_TRACKING_ANNOTATION: Final = "flagger.app/config-tracking"
"""Annotation of a ConfigMap or Secret; ``disabled`` excludes it from the revision, and the primary uses it uncopied."""

ACTION_ANNOTATION: Final = "flagger.app/action"
"""Annotation of a Canary: what a person asks of its rollout (`api.instruction`)."""

OVERRIDE_ANNOTATION: Final = "flagger.app/promotion-override"
"""Annotation of a Canary: why its version needed no proof, as JSON (`api.receipt.Override`)."""

SELECTOR_LABELS: Final = ("app", "name", "app.kubernetes.io/name")
"""Labels that can distinguish primary and canary pods, in order of preference."""

LONGEST_SERVICE_NAME: Final = 63 - len("-primary")


@dataclass(frozen=True, slots=True)
class Names:
    """The names of the objects that belong to a Canary.

    Attributes:
        target: the workload that the user edits.
        service: the Service that clients call.
    """

    target: str
    service: str

    @property
    def primary(self) -> str:
        """The controller's stable copy of the target."""
        return primary_name(self.target)

    @property
    def apex_service(self) -> str:
        """The Service that clients call, and the VirtualService."""
        return self.service

    @property
    def primary_service(self) -> str:
        """The Service of the primary's pods, and the DestinationRule for it."""
        return primary_name(self.service)

    @property
    def canary_service(self) -> str:
        """The Service of the target's pods, and the DestinationRule for it."""
        return f"{self.service}-canary"

    @property
    def virtual_service(self) -> str:
        return self.service


def history_name(canary: str) -> str:
    """The name of the ConfigMap with the last rollouts of a Canary."""
    return f"{canary}-rollouts"


def primary_name(name: str) -> str:
    """The name of a primary's copy: workload, autoscaler, ConfigMap, Secret, value of the selector label."""
    return f"{name}-primary"
