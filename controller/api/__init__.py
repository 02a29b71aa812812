"""The API of the controller: Flagger's Canary, MetricTemplate and AlertProvider on Istio, and our optional additions.

The only part of the controller that the Pulumi program imports.
"""

from controller.api.alert_provider import AlertProvider, AlertProviderSpec
from controller.api.analysis import Analysis, SessionAffinity, Strategy
from controller.api.canary import Canary, CanarySpec, ObjectMeta
from controller.api.compare import Compare, CompareErrors, CompareLatency
from controller.api.durations import DEFAULT_INTERVAL_FLOOR_SECONDS, parse_duration
from controller.api.errors import CanaryError, InvalidObject, Problem
from controller.api.http_match import HttpMatch, QueryMatch, StringMatch
from controller.api.metric import (
    BUILTIN_METRICS,
    REQUEST_DURATION,
    REQUEST_SUCCESS_RATE,
    Bounds,
    Metric,
    MetricSource,
    ThresholdRange,
)
from controller.api.metric_template import MetricProvider, MetricTemplate, MetricTemplateSpec
from controller.api.names import API_VERSION, FIELD_MANAGER, FINALIZER, GROUP, VERSION, Names
from controller.api.parse import parse_alert_provider, parse_canary, parse_metric_template
from controller.api.problems import problems_of
from controller.api.references import AutoscalerRef, NamespacedRef, ScalerReplicas, SecretRef, TargetRef
from controller.api.service import Metadata, Rewrite, ServiceSpec, UnmanagedMetadata
from controller.api.status import CanaryStatus, CheckStatus, Condition, Phase
from controller.api.support import unsupported_fields
from controller.api.webhook import Alert, HookType, Webhook

__all__ = [
    "API_VERSION",
    "BUILTIN_METRICS",
    "DEFAULT_INTERVAL_FLOOR_SECONDS",
    "FIELD_MANAGER",
    "FINALIZER",
    "GROUP",
    "REQUEST_DURATION",
    "REQUEST_SUCCESS_RATE",
    "VERSION",
    "Alert",
    "AlertProvider",
    "AlertProviderSpec",
    "Analysis",
    "AutoscalerRef",
    "Bounds",
    "Canary",
    "CanaryError",
    "CanarySpec",
    "CanaryStatus",
    "CheckStatus",
    "Compare",
    "CompareErrors",
    "CompareLatency",
    "Condition",
    "HookType",
    "HttpMatch",
    "InvalidObject",
    "Metadata",
    "Metric",
    "MetricProvider",
    "MetricSource",
    "MetricTemplate",
    "MetricTemplateSpec",
    "Names",
    "NamespacedRef",
    "ObjectMeta",
    "Phase",
    "Problem",
    "QueryMatch",
    "Rewrite",
    "ScalerReplicas",
    "SecretRef",
    "ServiceSpec",
    "SessionAffinity",
    "Strategy",
    "StringMatch",
    "TargetRef",
    "ThresholdRange",
    "UnmanagedMetadata",
    "Webhook",
    "parse_alert_provider",
    "parse_canary",
    "parse_duration",
    "parse_metric_template",
    "problems_of",
    "unsupported_fields",
]
