"""The components that other languages get: each hands its arguments to one of this repository's own."""

from typing import Any, NotRequired, TypedDict

import pulumi
from pydantic.fields import FieldInfo

from components import canaried, canary_app, namespace, rollout_gate
from components._shared.options import child_options
from components.platform import make_platform
from package.arguments import Arguments, fields_of, takes, whole
from stack.app import AppConfig
from stack.cluster import ClusterAccess
from stack.config import StackConfig
from stack.load import parse
from stack.namespace import NamespaceSettings

NAME = "canary-on-istio"
_OF_APPS = ("namespace", "namespaces", "apps", "targets", "load_tester", "rollouts", "promotion", "blocked", "secrets")
"""Sections of a stack that a platform has no use for; the values of `secrets` would not be known here."""
_NO_PLATFORM = {part: {"enabled": False} for part in ("istio", "gateway", "crds", "controller", "loadTester")}
_NAMESPACE = ("namespace", FieldInfo(annotation=str, description="The namespace, which is there."))
_ANALYSIS = (
    "analysis",
    FieldInfo(annotation=dict[str, Any], default={}, description="`spec.analysis` of the Canary, over the defaults."),
)
_REVISION = FieldInfo(annotation=str, default="", description="Revision of istiod; the default one when unset.")
_NAME = ("name", FieldInfo(annotation=str, default="", description="Its name; that of the resource when unset."))


class _Component(pulumi.ComponentResource):
    def __init__(self, name: str, opts: pulumi.ResourceOptions | None) -> None:
        super().__init__(f"{NAME}:index:{type(self).__name__}", name, None, opts)
        self._inside = child_options(self, opts)


@takes(*fields_of(StackConfig, without=_OF_APPS))
class Platform(_Component):
    """Istio with its gateway, monitoring, the CRDs and the controller, by the sections of a stack of these names."""

    gateway_service: pulumi.Output[str]
    prometheus_url: pulumi.Output[str]

    def __init__(self, name: str, args: Arguments, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        sections = {**whole(args), "namespace": {"create": False}}
        platform = make_platform(parse(sections, NAME), self._inside, prefix=f"{name}-")
        self.gateway_service = pulumi.Output.from_input(platform.gateway_service)
        self.prometheus_url = pulumi.Output.from_input(platform.prometheus_url)
        self.register_outputs({"gatewayService": self.gateway_service, "prometheusUrl": self.prometheus_url})


@takes(_NAME, *fields_of(NamespaceSettings, without=("create",)), ("revision", _REVISION))
class AppNamespace(_Component):
    """A namespace whose pods get a sidecar. It has to wait for Istio: an earlier pod would have none."""

    def __init__(self, name: str, args: Arguments, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        settings = {key: value for key, value in args.items() if key not in ("name", "revision")}
        arguments = namespace.AppNamespaceArgs(
            args.get("name") or name, NamespaceSettings.model_validate(settings), args.get("revision") or ""
        )
        namespace.AppNamespace(name, arguments, self._inside)
        self.register_outputs({})


@takes(_NAME, _NAMESPACE, *fields_of(AppConfig), _ANALYSIS)
class CanaryApp(_Component):
    """A Deployment from short keys, with the Canary that releases its new versions: an entry of `apps` of a stack."""

    def __init__(self, name: str, args: Arguments, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        app, where = args.get("name") or name, args["namespace"]
        config = {key: value for key, value in whole(args).items() if key not in ("name", "namespace")}
        sections = {
            **_NO_PLATFORM,
            "apps": {app: config},
            "namespace": {"name": where, "create": False},
        }
        settings = parse(sections, NAME).apps[app]
        canary_app.CanaryApp(name, canary_app.CanaryAppArgs(app, where, settings), self._inside)
        self.register_outputs({})


class CanariedArgs(TypedDict):
    """Everything but the names may be an output of another resource."""

    target: pulumi.Input[str]
    """Name of the workload."""
    kind: NotRequired[pulumi.Input[str]]
    """Deployment, which is the default, or DaemonSet."""
    namespace: NotRequired[pulumi.Input[str]]
    """The provider's own when unset."""
    service: pulumi.Input[dict[str, Any]]
    """`spec.service` of the Canary."""
    analysis: pulumi.Input[dict[str, Any]]
    """`spec.analysis` of the Canary."""
    autoscaler: NotRequired[pulumi.Input[dict[str, Any]]]
    """Spec of a HorizontalPodAutoscaler to make for the workload, without `scaleTargetRef`."""
    labels: NotRequired[pulumi.Input[dict[str, pulumi.Input[str]]]]
    """Of the Canary and the autoscaler."""
    annotations: NotRequired[pulumi.Input[dict[str, pulumi.Input[str]]]]
    """Of the Canary."""
    spec: NotRequired[dict[str, Any]]
    """Other fields of the Canary's spec, as in `dependsOn` and `rollbackWindow`."""


class Canaried(_Component):
    """A Canary, and an autoscaler if asked, around any Deployment or DaemonSet."""

    def __init__(self, name: str, args: CanariedArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        canaried.Canaried(name, **whole(args), opts=self._inside)
        self.register_outputs({})


class RolloutGateArgs(TypedDict):
    """The names have to be known; what starts a rollout may be an output of another resource."""

    canary: str
    """Name of the Canary that is followed."""
    namespace: str
    """Its namespace."""
    triggers: NotRequired[pulumi.Input[list[Any]]]
    """What starts a rollout when changed, as the pod template of the workload; unset, only the first is followed."""
    context: NotRequired[str]
    """Context of the kubeconfig; its current one when unset."""
    kubeconfig: NotRequired[str]
    """Path of the kubeconfig; the one of the environment when unset."""


class RolloutGate(_Component):
    """Follows the rollout that an update starts: `up` ends when the version is promoted, and fails if it is not."""

    outcome: pulumi.Output[dict[str, Any]]

    def __init__(self, name: str, args: RolloutGateArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        access = ClusterAccess(args.get("kubeconfig") or "", args.get("context") or "")
        followed = rollout_gate.RolloutGateArgs(args["canary"], args["namespace"], access, [args.get("triggers")])
        self.outcome = rollout_gate.RolloutGate(name, followed, self._inside).outcome
        self.register_outputs({"outcome": self.outcome})


COMPONENTS: list[type[pulumi.ComponentResource]] = [Platform, AppNamespace, CanaryApp, Canaried, RolloutGate]
