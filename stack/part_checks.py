"""The parts of a stack that may be there already: what has no effect without them, and what has to be said instead."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from pydantic.alias_generators import to_camel

from controller.api import Problem
from controller.api.base import Model
from stack.config import StackConfig
from stack.controller import ControllerConfig
from stack.istio import minor_of

_ABOUT_EXISTING: Mapping[str, Collection[str]] = {
    # part -> the keys that say something of one that is there already
    "istio": {"existing"},
    "observability.prometheus": {"url", "headers", "secret_ref"},
    "controller": {"name", "minimum_interval", "namespaces", "trust"},
}


def part_problems(config: StackConfig) -> Iterator[Problem]:
    """What would have no effect."""
    parts: Mapping[str, Model] = {
        "istio": config.istio,
        "istio.cni": config.istio.cni,
        "observability.prometheus": config.observability.prometheus,
        "observability.grafana": config.observability.grafana,
        "gateway": config.gateway,
        "controller": config.controller,
        "loadTester": config.load_tester,
        "networkPolicies": config.network_policies,
    }
    for part, settings in parts.items():
        if not getattr(settings, "enabled", True):
            yield from _without_effect(part, settings)
    for field in sorted(config.observability.prometheus.model_fields_set & {"headers", "secret_ref"}):
        if config.observability.prometheus.enabled:
            key = to_camel(field)
            yield Problem(f"observability.prometheus.{key}", "Forbidden: the Prometheus of this stack asks for none")


def image_problems(config: StackConfig) -> Iterator[Problem]:
    """The controller's image has no default."""
    if config.controller.enabled and not config.controller.image:
        yield Problem("controller.image", f"Required value: {ControllerConfig.model_fields['image'].description}")


def _without_effect(part: str, settings: Model) -> Iterator[Problem]:
    kept = {"enabled", *_ABOUT_EXISTING.get(part, ())}
    for name, field in type(settings).model_fields.items():
        if name in settings.model_fields_set - kept:
            yield Problem(f"{part}.{field.alias or name}", f"Forbidden: with {part}.enabled: false nothing uses it")


def istio_problems(config: StackConfig) -> Iterator[Problem]:
    """An Istio that is there already, and one without a gateway."""
    istio, gateway = config.istio, config.gateway
    existing = istio.existing
    if istio.enabled and "existing" in istio.model_fields_set:
        yield Problem("istio.existing", "Forbidden: with istio.enabled: true, Istio is as the other keys say")
    if not gateway.enabled:
        own_pods = any(each.own_pods for each in config.gateways.values())
        given = {
            "istio.awaitGateway": "await_gateway" in istio.model_fields_set and not own_pods,
            "istio.values.gateway": istio.values.gateway,
            "istio.existing.gatewaySelector": existing.gateway_selector,
            "istio.existing.gatewayService": existing.gateway_service,
        }
        for key in (key for key, is_given in given.items() if is_given):
            yield Problem(key, "Forbidden: with gateway.enabled: false nothing uses it")
    elif not istio.enabled:
        missing = {
            "gatewaySelector": ("labels of the pods that serve the Gateway", existing.gateway_selector),
            "gatewayService": ("the Service of the pods that serve the Gateway", existing.gateway_service),
        }
        for key, (meaning, value) in missing.items():
            if not value:
                yield Problem(f"istio.existing.{key}", f"Required value: {meaning}; or set gateway.enabled: false")


def revision_problems(config: StackConfig) -> Iterator[Problem]:
    """Two istiods, and who asks for which."""
    istio, revisions = config.istio, config.istio.revisions
    if not istio.enabled:
        return
    tagged = {key for key, version in (("stable", revisions.stable), ("next", revisions.next)) if version}
    if "next" not in tagged:
        asking = {f"{place.key}.revision": place.settings.revision for place in config.places}
        for key, tag in {**asking, "istio.gatewayRevision": istio.gateway_revision}.items():
            if tag == "next":
                yield Problem(key, 'Invalid value: "next": istio.revisions.next must say which version that is')
    if "stable" in tagged and "version" in istio.model_fields_set:
        yield Problem("istio.version", "Forbidden: with istio.revisions.stable nothing uses it")
    if tagged and "revision" in istio.values.istiod:
        yield Problem("istio.values.istiod.revision", "Forbidden: with istio.revisions each istiod has its own")
    if "next" in tagged:
        stable, following = istio.control_planes
        yield from _next(stable.version, following.version, 1 if istio.cni.enabled else 2)


def _next(stable: str, following: str, most: int) -> Iterator[Problem]:
    """Istio's own limit for an upgrade by revision (https://istio.io/latest/docs/setup/upgrade/canary/).

    The network plugin, of the newer version, serves an istiod of one minor version before it
    (https://istio.io/latest/docs/setup/additional-setup/cni/).
    """
    key, (major, minor) = "istio.revisions.next", minor_of(stable)
    if minor_of(following) == (major, minor):
        message = f"{stable} is of the same minor version: upgrade in place, by the version of that one"
    elif minor_of(following) < (major, minor):
        message = f"must be newer than {stable}; to go back, move the namespaces to stable"
    elif minor_of(following) > (major, minor + most):
        limit = "one minor version after {}, with istio.cni" if most == 1 else "two minor versions after {}"
        message = f"must be at most {limit.format(stable)}: take {major}.{minor + most} first"
    else:
        return
    yield Problem(key, f'Invalid value: "{following}": {message}')
