"""The stack's Istio: its control planes, and who has which.

An upgrade in place changes the one control plane that there is. An upgrade by revision puts a second one beside it, to
which namespaces move one after another (https://istio.io/latest/docs/setup/upgrade/canary/).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from controller.api.base import Boolean, Model
from stack.names import GATEWAY_RELEASE, ISTIO_NAMESPACE
from stack.values import ChartRepository, Label, LabelKey, LabelValue, ObjectName, Positive, Text, matching

DEFAULT_ISTIO_VERSION = "1.31.1"
CHARTS = ("base", "istiod", "gateway")
VERSION_MARK = "{version}"

Tag: TypeAlias = Literal["stable", "next"]
Version = Annotated[Text, matching(r"\d+\.\d+\.\d+\S*", f"a release of Istio, as in {DEFAULT_ISTIO_VERSION}")]


class IstioValues(Model):
    base: dict[str, Any] = Field(default_factory=dict, description="Helm values of the chart `base`.")
    istiod: dict[str, Any] = Field(
        default_factory=dict,
        description="Helm values of the chart `istiod`, for all that there are: `{version}` in a text is that of each.",
    )
    gateway: dict[str, Any] = Field(default_factory=dict, description="Helm values of the chart `gateway`.")

    def for_chart(self, chart: str) -> dict[str, Any]:
        values: dict[str, Any] = getattr(self, chart)
        return values


class ExistingIstio(Model):
    revision: LabelValue = Field(
        "", description="Revision or tag of istiod, whose label the namespaces get; the default one when empty."
    )
    gateway_selector: dict[LabelKey, LabelValue] = Field(
        default_factory=dict, description="Labels of the gateway's pods, as in `{istio: ingressgateway}`."
    )
    gateway_service: Annotated[
        str, matching(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+", "a Service as name.namespace")
    ] = Field("", description="Service of these pods, as in `istio-ingressgateway.istio-system`.")


class CniConfig(Model):
    enabled: Boolean = Field(
        False,
        description="Install Istio's network plugin before istiod, one for all revisions: pods then need no init "
        "container with `NET_ADMIN`, and fit Pod Security `restricted` (docs/security.md).",
    )
    namespace: Label = Field(
        ISTIO_NAMESPACE, description="Its namespace: istio-system, or one that is there, kube-system on GKE."
    )
    values: dict[str, Any] = Field(default_factory=dict, description="Helm values of the chart `cni`.")


class IstioRevisions(Model):
    stable: Version | None = Field(
        None, description="Version of the istiod of all namespaces that ask for no other; `istio.version` when unset."
    )
    next: Version | None = Field(
        None,
        description="Version of a second istiod, for the namespaces with `revision: next` (docs/istio-upgrades.md).",
    )


@dataclass(frozen=True)
class ControlPlane:
    """One istiod.

    Attributes:
        tag: what a namespace says to get it.
        version: as in 1.31.1.
        revision: its own name; empty for the one that Istio calls `default`.
        is_tagged: whether namespaces name it by its tag, since the stack says which revision has the tag.
    """

    tag: Tag
    version: str
    revision: str
    is_tagged: bool

    @property
    def release(self) -> str:
        """Its Helm release."""
        return f"istiod-{self.revision}" if self.is_tagged else "istiod"

    @property
    def label(self) -> str:
        """What `istio.io/rev` says of who gets its proxy; empty where `istio-injection` does."""
        return self.tag if self.is_tagged else self.revision


class IstioConfig(Model):
    enabled: Boolean = Field(
        True,
        description="Install Istio. When false, `existing` describes the one that is there already, in istio-system.",
    )
    existing: ExistingIstio = Field(
        ExistingIstio(), description="The Istio that is there already. Only with `enabled: false`."
    )
    create_namespace: Boolean = Field(
        True, description="Make istio-system, and delete it with the stack; false if it is there already."
    )
    version: Version = Field(DEFAULT_ISTIO_VERSION, description="Version of the three Istio charts.")
    revisions: IstioRevisions = Field(
        IstioRevisions(), description="An istiod for each minor version, as in an upgrade from one to the next."
    )
    cni: CniConfig = Field(CniConfig(), description="Istio's network plugin, on every node.")
    gateway_revision: Tag = Field("stable", description="The istiod of the gateways' pods.")
    repository: ChartRepository = Field(
        "https://blob.istio.io/istio-release/charts",
        description="Repository of the Istio charts, `oci://ghcr.io/istio/release/charts` for example.",
    )
    repository_secret: ObjectName | None = Field(
        None,
        description="Entry of `secrets` with the `username` and `password` of the repository. An OCI registry takes "
        "the login of `helm registry login` instead.",
    )
    chart_path: Path | None = Field(
        None,
        description="A local folder with the chart folders `base`, `istiod`, `gateway` and, if used, `cni`, in place "
        "of `repository` and `version`; one for each version where its path has `{version}`.",
    )
    values: IstioValues = Field(IstioValues(), description="Helm values, merged over the defaults of this program.")
    timeout_seconds: Positive = Field(300, description="Longest time for the workloads of a chart to become ready.")
    await_gateway: Boolean = Field(
        True,
        description="Whether `up` waits for the gateway's pods and the address of its load balancer. Apps never do.",
    )

    @property
    def control_planes(self) -> Sequence[ControlPlane]:
        """Every istiod of the stack; the first is stable."""
        if not self.enabled:
            return ()
        stable, following = self.revisions.stable, self.revisions.next
        own = _own(str(self.values.istiod.get("revision") or ""))
        planes = [_tagged("stable", stable) if stable else ControlPlane("stable", self.version, own, is_tagged=False)]
        return [*planes, _tagged("next", following)] if following else planes

    def control_plane(self, tag: Tag) -> ControlPlane:
        """Who has the tag. Raises KeyError if nobody has."""
        return {plane.tag: plane for plane in self.control_planes}[tag]

    @property
    def newest_version(self) -> str:
        """That of the CRDs, which every older istiod can read."""
        return max((plane.version for plane in self.control_planes), key=minor_of)

    def label_for(self, tag: Tag) -> str:
        """The revision of istiod that the namespaces with this tag name; empty for the default one."""
        return self.control_plane(tag).label if self.enabled else _own(self.existing.revision)

    def proxy_for(self, tag: Tag) -> str:
        """The version of the proxies; a pod that has it in its template gets another with each. Empty where it is
        not this stack's to say.
        """
        plane = self.control_plane(tag) if self.enabled else None
        return plane.version if plane and plane.is_tagged else ""

    @property
    def gateway_service(self) -> str:
        """The Service of the gateway's pods, as ``name.namespace``."""
        return f"{GATEWAY_RELEASE}.{ISTIO_NAMESPACE}" if self.enabled else self.existing.gateway_service

    @property
    def knows_versions(self) -> bool:
        """Whether the versions are those of the charts: a local folder may have any, unless its path says which."""
        return self.chart_path is None or VERSION_MARK in str(self.chart_path)

    def charts_of(self, version: str) -> Path | None:
        """The folder of the local charts of a version; None where they come from a repository."""
        return self.chart_path and Path(str(self.chart_path).replace(VERSION_MARK, version))

    @model_validator(mode="after")
    def _charts_are_there(self) -> Self:
        if self.chart_path is None:
            return self
        versions = {plane.version for plane in self.control_planes}
        if len(versions) > 1 and VERSION_MARK not in str(self.chart_path):
            raise ValueError(f"chartPath {self.chart_path} must have {VERSION_MARK} in it: there are two versions")
        for folder in sorted({str(self.charts_of(version)) for version in versions}):
            charts = [*CHARTS, *(["cni"] if self.cni.enabled else [])]
            if missing := [chart for chart in charts if not Path(folder, chart, "Chart.yaml").is_file()]:
                raise ValueError(f"chartPath {folder} must hold the charts; no Chart.yaml in {', '.join(missing)}")
        return self


def minor_of(version: str) -> tuple[int, int]:
    """Major and minor version; (0, 0) for a text that is no version."""
    parts = version.split(".")
    return (int(parts[0]), int(parts[1])) if len(parts) > 1 and parts[0].isdigit() and parts[1].isdigit() else (0, 0)


def _own(revision: str) -> str:
    """Istio calls the revision without a name `default`."""
    return "" if revision == "default" else revision


def _tagged(tag: Tag, version: str) -> ControlPlane:
    """A patch of a minor version is an upgrade in place: it has the same revision."""
    major, minor = minor_of(version)
    return ControlPlane(tag, version, f"{major}-{minor}", is_tagged=True)
