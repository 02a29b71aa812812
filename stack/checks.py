"""What is wrong between the sections of a stack, each of which is right by itself. All before anything is created."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from controller.api import Problem
from stack.app_checks import analysis_problems, workload_problems
from stack.charts import chart_port_problems, chart_problems, login_problems, pod_security_problems
from stack.config import StackConfig
from stack.errors import section_of
from stack.gateway_checks import gateway_problems, port_problems
from stack.monitoring_checks import address_problems, monitoring_problems, recipient_problems, secret_problems
from stack.name_checks import name_problems
from stack.names import IN_ISTIO_NAMESPACE, ISTIO_NAMESPACE, NEVER_INJECTED
from stack.namespace import Place
from stack.page_checks import entrance_problems, page_problems
from stack.part_checks import image_problems, istio_problems, part_problems, revision_problems
from stack.promotion import find_barred
from stack.route_checks import route_problems

_WITHOUT_SIDECARS = {ISTIO_NAMESPACE, *NEVER_INJECTED}
_EXISTING_NAMESPACES = {"default", *_WITHOUT_SIDECARS}
_INJECTION_LABELS = ("istio-injection", "istio.io/rev")
_OPTIONS_SET_HERE = {
    *(
        "metrics-server",
        "metrics-server-header",
        "metrics-server-secret",
        "log-level",
        "minimum-interval",
        "namespace",
        "port",
    ),
    *("max-rollouts", "max-rollouts-per-namespace", "page-port", "page-url"),
    *("no-cross-namespace-refs", "allowed-hosts", "allowed-gateways", "allowed-addresses"),
}
"""Options of the controller that this program sets."""


def find_problems(config: StackConfig, wrong: Collection[str] = ()) -> Iterator[Problem]:
    """Everything that cannot work as configured, or that would have no effect.

    Args:
        config: the stack, as far as it is valid.
        wrong: the sections of which something is not, and so is missing in it.
    """
    found = [each for find, needed in _CHECKS if not {*wrong} & {*needed} for each in find(config)]
    yield from found
    if {*wrong, *(section_of(each) for each in found)}.isdisjoint(_APPS):  # each app has images
        yield from find_barred(config.promotion, config.blocked, config.images)


def _namespaces(config: StackConfig) -> Iterator[Problem]:
    for place in config.declared_places:
        yield from _namespace(place)


def _namespace(place: Place) -> Iterator[Problem]:
    key, settings = place.key, place.settings
    at = key if place.prefix else f"{key}.name"
    if settings.create and place.name in _EXISTING_NAMESPACES:
        message = "it is there already" if place.name in _WITHOUT_SIDECARS else f"set {key}.create: false for it"
        yield Problem(at, f'Invalid value: "{place.name}": {message}')
    if not settings.create:
        yield from _existing_namespace(place, at)
    for label in _INJECTION_LABELS:
        if label in settings.labels:
            yield Problem(f"{key}.labels.{label}", f"Forbidden: set {key}.injection or {key}.revision")
    if settings.mtls and not settings.injection:
        yield Problem(f"{key}.mtls", "Forbidden: without injection no proxy applies it")
    if settings.callers is not None and not settings.injection:
        yield Problem(f"{key}.callers", "Forbidden: without injection no proxy applies it")
    if settings.callers is not None and settings.mtls == "DISABLE":
        yield Problem(f"{key}.callers", "Forbidden: callers are known by mTLS: set mtls: STRICT or PERMISSIVE")


def _existing_namespace(place: Place, at: str) -> Iterator[Problem]:
    if place.name in _WITHOUT_SIDECARS:
        yield Problem(at, f'Invalid value: "{place.name}": no place for apps: Istio injects no sidecars there')
    for name in sorted(place.settings.model_fields_set & {"labels", "injection", "mtls", "callers", "revision"}):
        yield Problem(f"{place.key}.{name}", "Forbidden: with create: false the namespace stays as it is")
    if place.prefix and not place.workloads:
        yield Problem(at, "Required value: apps or targets; with create: false there is nothing else to make")


def _controller(config: StackConfig) -> Iterator[Problem]:
    controller = config.controller
    if controller.name in IN_ISTIO_NAMESPACE:
        yield Problem("controller.name", f'Invalid value: "{controller.name}": used in {ISTIO_NAMESPACE} already')
    for argument in controller.args:
        if argument.startswith("-") and argument.partition("=")[0].lstrip("-") in _OPTIONS_SET_HERE:
            yield Problem("controller.args", f'Forbidden: "{argument}": this program sets it; use the key for it')


def _watched(config: StackConfig) -> Iterator[Problem]:
    controller = config.controller
    for place in config.places:
        if controller.namespaces and place.workloads and place.name not in controller.namespaces:
            where = "namespaces" if place.prefix else "namespace.name"
            message = f'must include "{place.name}", a namespace of apps or targets ({where})'
            yield Problem("controller.namespaces", f"Invalid value: {message}")


_APPS = ("apps", "targets", "namespace", "namespaces")
_CHECKS: Sequence[tuple[Callable[[StackConfig], Iterator[Problem]], Collection[str]]] = (
    # what finds problems -> the sections without all of which it would find some that are none
    (part_problems, ()),
    (istio_problems, ("gateway",)),
    (revision_problems, ("istio",)),
    (image_problems, ("controller",)),
    (chart_problems, ()),
    (chart_port_problems, ("gateway",)),
    (login_problems, ("secrets",)),
    (pod_security_problems, ("istio",)),
    (port_problems, ()),
    (gateway_problems, ("gateway",)),
    (_namespaces, ()),
    (_controller, ()),
    (page_problems, ()),
    (_watched, ("namespace",)),
    (recipient_problems, _APPS),
    (monitoring_problems, ()),
    (address_problems, (*_APPS, "observability")),
    (secret_problems, (*_APPS, "alerts", "controller", "gateway", "gateways", "istio", "loadTester", "observability")),
    (workload_problems, ()),
    (analysis_problems, ("controller", "namespace", "observability")),
    (name_problems, ("loadTester", "namespace")),
    (route_problems, ("gateway", "namespace")),
    (entrance_problems, ("gateway", "gateways", "istio")),
)
