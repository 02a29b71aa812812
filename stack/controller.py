"""The configuration of the canary controller."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from controller.api.base import Boolean, Duration, Integer, Model
from controller.api.durations import DEFAULT_INTERVAL_FLOOR
from controller.api.rules import at_least
from stack.page import PageConfig
from stack.values import (
    REPOSITORY,
    HostPattern,
    Image,
    Label,
    ObjectName,
    Resources,
    ServiceName,
    Text,
    Url,
    matching,
)


class BuildConfig(Model):
    enabled: Boolean = Field(
        False, description="Build the controller's image from this checkout when its sources change."
    )
    command: str = Field(
        'docker build --tag "$IMAGE" --file controller/Dockerfile .',
        description="Build command, run in the project's folder; `$IMAGE` is the reference to build.",
    )
    publish: str = Field(
        "",
        description='Command that makes `$IMAGE` available to the cluster: `docker push "$IMAGE"`, '
        '`kind load docker-image "$IMAGE"`, `minikube image load "$IMAGE"`. Empty where the cluster uses local images.',
    )


class TrustConfig(Model):
    cross_namespace_references: Boolean = Field(
        True,
        description="Whether a Canary may use MetricTemplates and AlertProviders of another namespace. When false, the "
        "MetricTemplates of this stack are in each of its namespaces.",
    )
    hosts: list[HostPattern] = Field(
        default_factory=list,
        description="Patterns of the `service.hosts` that a Canary may have, besides Services of its namespace; all "
        "when empty. `*` matches any text, `[*]` the host `*`, and `{namespace}` the Canary's namespace.",
    )
    gateways: list[HostPattern] = Field(
        default_factory=list,
        description="Patterns of the `service.gateways` that a Canary may have, as `namespace/name`; all when empty.",
    )
    addresses: list[HostPattern] = Field(
        default_factory=list,
        description="Patterns of the host names that a Canary's webhooks and metric providers may have, besides the "
        "Prometheus of this stack; all when empty.",
    )


class ControllerConfig(Model):
    enabled: Boolean = Field(
        True,
        description="Install the controller. When false, one that is there already releases the apps and targets; "
        "`name`, `minimumInterval`, `namespaces` and `trust` say how that one runs.",
    )
    name: ServiceName = Field(
        "canary-controller", description="Name of the controller's Deployment; `flagger` for tools that expect it."
    )
    image: Image = Field(
        "",
        description="Published image, which has no default; with `build.enabled` the repository only, tagged by a "
        "digest of the sources.",
    )
    build: BuildConfig = BuildConfig()
    replicas: Annotated[Integer, at_least(0)] = Field(
        1, description="One of them works, the others stand by; 0 pauses all canaries as they are."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Minimum severity of log lines."
    )
    minimum_interval: Annotated[Duration, matching(r".*[1-9].*", "a duration above 0, as in 10s or 1m30s")] = Field(
        DEFAULT_INTERVAL_FLOOR, description="Lower limit of a canary's analysis interval, as in Flagger."
    )
    max_rollouts: Annotated[Integer, at_least(0)] = Field(
        0, description="Rollouts in progress at a time; 0 for any number (docs/several-rollouts.md)."
    )
    max_rollouts_per_namespace: Annotated[Integer, at_least(0)] = Field(
        0, description="Rollouts in progress at a time in each namespace; 0 for any number."
    )
    metrics_server: Url | None = Field(
        None, description="Prometheus for the built-in metrics; the one of `observability` when unset."
    )
    namespaces: list[Label] = Field(
        default_factory=list,
        description="The only namespaces whose canaries it controls, with a Role in each and no ClusterRole; all "
        "namespaces when empty.",
    )
    trust: TrustConfig = Field(
        TrustConfig(), description="What the authors of Canaries may use; everything by default (docs/security.md)."
    )
    page: PageConfig = PageConfig()
    args: list[Text] = Field(default_factory=list, description="Additional command line arguments.")
    pull_secrets: list[ObjectName] = Field(
        default_factory=list, description="Secrets for the registry of its image, in the namespace of its pods."
    )
    resources: Resources = Field(
        Resources(requests={"cpu": "50m", "memory": "128Mi"}, limits={"memory": "512Mi"}), description="Pod resources."
    )

    @model_validator(mode="after")
    def _built_image_has_no_tag(self) -> Self:
        if self.build.enabled and not re.fullmatch(REPOSITORY, self.image):
            raise ValueError(f"image {self.image} must have no tag with build.enabled: the tag is the sources' digest")
        return self
