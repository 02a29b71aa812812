"""The Canary: a workload, how its traffic is routed, and how its new revisions are tested."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from controller.api.analysis import Analysis
from controller.api.base import Boolean, Integer, Model, Name, PositiveDuration, StringMap, Time, Url
from controller.api.names import API_VERSION, CANARY_KIND, LONGEST_SERVICE_NAME, Names
from controller.api.references import AutoscalerRef, IngressRef, NamespacedRef, RouteRef, TargetRef, UpstreamRef
from controller.api.rules import HEADER_NAME, Rule, at_least
from controller.api.service import ServiceSpec
from controller.api.status import CanaryStatus

DEFAULT_PROGRESS_DEADLINE_SECONDS = 600


class ObjectMeta(Model):
    """The part of ``metadata`` that this controller reads or writes; other fields are ignored."""

    model_config = ConfigDict(extra="ignore")

    name: str = ""
    namespace: str = ""
    uid: str = ""
    generation: Integer = 0
    resource_version: str = ""
    labels: StringMap = Field(default_factory=dict)
    annotations: StringMap = Field(default_factory=dict)
    finalizers: tuple[str, ...] = ()
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None


class Resource(Model):
    """Base of the kinds of this API group."""

    metadata: ObjectMeta = ObjectMeta()

    def manifest(self, kind: str, spec: Model) -> dict[str, Any]:
        """The manifest: the fields that were set, without the status."""
        return {
            "apiVersion": API_VERSION,
            "kind": kind,
            "metadata": self.metadata.to_dict(),
            "spec": spec.to_dict(),
        }


class CanarySpec(Model):
    """The desired state of a Canary."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            # Flagger accepts a longer name; the API server then rejects its Services.
            message=f"service.name, else targetRef.name, must have at most {LONGEST_SERVICE_NAME} characters:"
            " the Service NAME-primary at most 63",
            cel="size(has(self.service.name) && self.service.name != '' ? self.service.name : self.targetRef.name)"
            f" <= {LONGEST_SERVICE_NAME}",
            holds=lambda self: len(self.service.name or self.target_ref.name) <= LONGEST_SERVICE_NAME,
        ),
        Rule(
            message="groupHeader needs group",
            cel="!has(self.groupHeader) || has(self.group)",
            holds=lambda self: self.group_header is None or self.group is not None,
        ),
    )

    provider: (
        Literal[
            "apisix",
            "appmesh",
            "appmesh:v1beta2",
            "contour",
            "gatewayapi:v1",
            "gatewayapi:v1beta1",
            "gloo",
            "istio",
            "knative",
            "kubernetes",
            "kuma",
            "linkerd",
            "nginx",
            "osm",
            "skipper",
            "smi:v1alpha1",
            "smi:v1alpha2",
            "smi:v1alpha3",
            "traefik",
        ]
        | None
    ) = Field(None, description="Mesh or ingress that routes the traffic. Defaults to istio, the only one supported.")
    metrics_server: Url | None = Field(
        None, description="URL of the Prometheus server. Defaults to the one that the controller is configured with."
    )
    target_ref: TargetRef = Field(description="Workload to release.")
    autoscaler_ref: AutoscalerRef | None = Field(None, description="Autoscaler of the workload.")
    ingress_ref: IngressRef | None = Field(None, description="Ingress. Not used with Istio.")
    route_ref: RouteRef | None = Field(None, description="APISIX route. Not used with Istio.")
    upstream_ref: UpstreamRef | None = Field(None, description="Gloo upstream. Not used with Istio.")
    service: ServiceSpec = Field(description="Services and Istio routes to generate.")
    analysis: Analysis = Field(description="How a new revision is tested.")
    progress_deadline_seconds: Annotated[Integer, at_least(1)] = Field(
        DEFAULT_PROGRESS_DEADLINE_SECONDS,
        description="Maximum time in seconds without progress before a rollout is rolled back. Defaults to 600.",
    )
    skip_analysis: Boolean = Field(False, description="Promote a new revision without analysis.")
    rollback_window: PositiveDuration | None = Field(
        None,
        description="How long after the primary has run a revision, going back to it skips the analysis, for example"
        " 24h. Defaults to never. Not part of Flagger's API.",
    )
    depends_on: tuple[NamespacedRef, ...] = Field(
        (),
        description="Canaries that go first: a rollout starts only while each of them is at rest, and its primary runs"
        " what its target asks for. Not part of Flagger's API.",
    )
    group: Name | None = Field(
        None,
        description="Canaries of the namespace with the same group are promoted or rolled back together, as far as"
        " their rollouts are in analysis at the same time. Not part of Flagger's API.",
    )
    group_header: Annotated[str, HEADER_NAME] | None = Field(
        None,
        description="Request header by which the group's canaries call each other: it says canary or primary, each app"
        " hands it on, and while a canary has traffic the requests with it go to that side. Not part of Flagger's API.",
    )
    revert_on_deletion: Boolean = Field(
        False, description="Restore the replicas and the traffic of the target when the Canary is deleted."
    )
    suspend: Boolean = Field(False, description="Suspend reconciliation of this Canary.")


class Canary(Resource):
    """A Canary releases new revisions of a workload progressively: it shifts traffic and promotes or rolls back."""

    api_version: Literal["flagger.app/v1beta1"] = API_VERSION
    kind: Literal["Canary"] = CANARY_KIND
    spec: CanarySpec
    status: CanaryStatus = CanaryStatus()

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def namespace(self) -> str:
        return self.metadata.namespace

    @property
    def names(self) -> Names:
        """The names of the objects that belong to this Canary."""
        spec = self.spec
        return Names(target=spec.target_ref.name, service=spec.service.name or spec.target_ref.name)

    @property
    def target_key(self) -> tuple[str, str]:
        """Kind and name of the target."""
        return self.spec.target_ref.kind, self.names.target

    @property
    def primary_key(self) -> tuple[str, str]:
        """Kind and name of the primary."""
        return self.spec.target_ref.kind, self.names.primary

    def to_dict(self) -> dict[str, Any]:
        """The manifest: the fields that were set, without the status."""
        return self.manifest(self.kind, self.spec)
