"""One app of a stack: what runs, how it is scaled, and the Canary that releases its new versions; and one target."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from controller.api.analysis import Analysis
from controller.api.base import Boolean, Model
from controller.api.canary import DEFAULT_PROGRESS_DEADLINE_SECONDS
from controller.api.service import ServiceSpec
from stack.values import (
    REPOSITORY,
    EnvName,
    FilePath,
    Image,
    ImageTag,
    LabelKey,
    LabelValue,
    Natural,
    NonEmpty,
    ObjectName,
    Positive,
    Resources,
    Text,
)

Passed = dict[str, Any]
"""A part of a Kubernetes object as it is; `stack.kubernetes` checks it."""


class HpaConfig(Model):
    enabled: Boolean = Field(
        True, description="Scale with a HorizontalPodAutoscaler; the controller maintains a copy for the primary."
    )
    min_replicas: Positive = Field(1, description="Minimum replicas.")
    max_replicas: Positive = Field(4, description="Maximum replicas.")
    cpu_utilization: Positive = Field(
        99, description="Target CPU utilization, in percent of the request. Not used with `metrics`, unless it is set."
    )
    metrics: list[Passed] = Field(
        default_factory=list, description="Kubernetes MetricSpecs: memory, and metrics of pods, objects or others."
    )
    behavior: Passed = Field(default_factory=dict, description="How fast it scales: `spec.behavior` as in Kubernetes.")

    @property
    def has_cpu(self) -> bool:
        """Whether it scales by CPU utilization."""
        return not self.metrics or "cpu_utilization" in self.model_fields_set

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError(f"minReplicas ({self.min_replicas}) must not be above maxReplicas ({self.max_replicas})")
        return self


class CanariedConfig(Model):
    """What a stack says of every Canary, whoever makes its target."""

    progress_deadline_seconds: Positive = Field(
        DEFAULT_PROGRESS_DEADLINE_SECONDS,
        description="Longest time for a new version to become ready before it is rolled back.",
    )
    skip_analysis: Boolean = Field(False, description="Promote new versions without analysis.")
    suspend: Boolean = Field(False, description="Suspend the Canary.")
    service: ServiceSpec = Field(description="`spec.service` of the Canary.")
    analysis: Analysis = Field(
        description="`spec.analysis` of the Canary; `metrics`, `webhooks` and `alerts` may also be mappings by name."
    )
    lost_routes: dict[NonEmpty, NonEmpty] = Field(
        default_factory=dict,
        description="Why it loses hosts or gateways of `service`, by their names, or requests, under `match`: without "
        "it the policy `no-lost-routes` is against that (docs/policies.md). Not needed after the `up`.",
    )
    canary: Passed = Field(
        default_factory=dict, description="Other fields of the Canary's spec, as in `dependsOn` and `rollbackWindow`."
    )


class TargetConfig(CanariedConfig):
    """A workload that is made elsewhere: the stack adds the Canary, and an autoscaler if it says so."""

    kind: Literal["Deployment", "DaemonSet"] = Field("Deployment", description="Kind of the workload.")
    hpa: HpaConfig | None = Field(
        None, description="An autoscaler to make; one that is there already is named in `canary.autoscalerRef`."
    )

    @property
    def autoscaler(self) -> HpaConfig | None:
        """The autoscaler to make."""
        return self.hpa if self.hpa and self.hpa.enabled else None


class AppConfig(CanariedConfig):
    kind: ClassVar = "Deployment"
    image: Image | None = Field(
        None,
        description="Image of the app; with a tag or a digest, unless `tag` has it. `podSpec` may name it instead.",
    )
    tag: ImageTag | None = Field(None, description="Tag or digest of the image; a new one starts a rollout.")
    command: list[Text] = Field(default_factory=list, description="Command; the image's own when empty.")
    env: dict[EnvName, Text] = Field(default_factory=dict, description="Environment variables.")
    config: dict[EnvName, Text] = Field(
        default_factory=dict,
        description="Environment variables from a ConfigMap `<app>-config`; a change starts a rollout.",
    )
    files: dict[FilePath, str] = Field(
        default_factory=dict,
        description="Files in the container, by path, from a ConfigMap `<app>-files`; a change starts a rollout.",
    )
    secrets: list[ObjectName] = Field(
        default_factory=list,
        description="Secrets whose keys become environment variables; a change starts a rollout. One that several apps "
        "share starts none, and needs the annotation `flagger.app/config-tracking: disabled`; those in `secrets` of "
        "the stack have it.",
    )
    readiness_path: str | None = Field(None, description="HTTP path of the readiness probe; no probe when unset.")
    liveness_path: str | None = Field(None, description="HTTP path of the liveness probe; no probe when unset.")
    resources: Resources = Field(
        Resources(requests={"cpu": "10m", "memory": "32Mi"}), description="Container resources."
    )
    pod_spec: Passed = Field(
        default_factory=dict,
        description="Anything else of the pods: a Kubernetes PodSpec, laid over what the other keys say. A container "
        "without a name, or with the app's, is the app's own (docs/your-own-app.md).",
    )
    labels: dict[LabelKey, LabelValue] = Field(
        default_factory=dict, description="More labels of the Deployment and its pods; a change starts a rollout."
    )
    annotations: dict[LabelKey, Text] = Field(
        default_factory=dict, description="Annotations of the Deployment and its pods; a change starts a rollout."
    )
    deployment_spec: Passed = Field(
        default_factory=dict, description="Other fields of the Deployment's spec: `strategy`, `revisionHistoryLimit`."
    )
    min_ready_seconds: Natural = Field(5, description="How long a new pod must be ready to count as available.")
    replicas: Positive | None = Field(
        None, description="A fixed number of pods: short for `hpa` with this minimum and maximum."
    )
    hpa: HpaConfig = HpaConfig()
    pod_disruption_budget: Passed = Field(
        {"maxUnavailable": 1},
        description="Spec of the PodDisruptionBudget of the primary's pods; none when it is empty.",
    )

    @property
    def image_reference(self) -> str | None:
        """The image with its tag or digest."""
        if self.tag is None:
            return self.image
        return f"{self.image}{'@' if self.tag.startswith('sha256:') else ':'}{self.tag}"

    @property
    def autoscaler(self) -> HpaConfig | None:
        """The autoscaler to make."""
        if self.replicas is not None:
            return self.hpa.model_copy(update={"min_replicas": self.replicas, "max_replicas": self.replicas})
        return self.hpa if self.hpa.enabled else None

    @model_validator(mode="after")
    def _one_tag(self) -> Self:
        is_complete = self.image is not None and not re.fullmatch(REPOSITORY, self.image)
        if is_complete and self.tag is not None:
            raise ValueError(f"image {self.image} has a tag or a digest: set no tag beside it")
        if self.image is None and self.tag is not None:
            raise ValueError("tag needs image beside it; with podSpec, the tag is part of the container's image")
        if self.image is not None and not is_complete and self.tag is None:
            raise ValueError(f"image {self.image} needs a tag or a digest, in tag")
        return self

    @model_validator(mode="after")
    def _one_number_of_pods(self) -> Self:
        if self.replicas is not None and not self.hpa.enabled:
            raise ValueError("replicas needs the autoscaler, which keeps this number of pods: remove hpa.enabled")
        if self.replicas is not None and self.hpa.model_fields_set & {"min_replicas", "max_replicas"}:
            raise ValueError("replicas is both minReplicas and maxReplicas: set no other bounds in hpa")
        return self

    @model_validator(mode="after")
    def _ready_before_the_deadline(self) -> Self:
        if self.min_ready_seconds >= self.progress_deadline_seconds:
            raise ValueError(
                f"minReadySeconds ({self.min_ready_seconds}) must be below progressDeadlineSeconds "
                f"({self.progress_deadline_seconds})"
            )
        return self
