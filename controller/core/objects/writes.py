"""From a desired value to the writes that are still missing; none when the objects are as desired already."""

from __future__ import annotations

from collections.abc import Iterator

from controller.api.names import primary_name
from controller.core.model import (
    Action,
    EnsureApex,
    EnsureAutoscaler,
    EnsurePrimary,
    EnsureServices,
    Facts,
    Manifest,
    PromoteSpec,
    Put,
    Routes,
    Scale,
    ScaleTarget,
    SetRoutes,
    Write,
)
from controller.core.objects.configs import build_config_copy, config_refs, is_tracked
from controller.core.objects.routing import build_destination_rule, build_service, build_virtual_service
from controller.core.objects.workload import (
    build_autoscaler,
    build_primary,
    primary_revision,
    revision_facts,
    selector_label,
)


def plan_writes(action: Action, facts: Facts) -> tuple[Write, ...]:
    """The writes that make ``action`` true, in order; what is true already is left out."""
    match action:
        case EnsureServices():
            writes = _services(facts)
        case EnsurePrimary(revision):
            writes = _primary(facts, revision) if facts.primary is None else _lost_copies(facts, facts.primary)
        case PromoteSpec(revision):
            writes = _promotion(facts, revision)
        case EnsureAutoscaler(resync):
            writes = _autoscaler(facts, resync=resync)
        case EnsureApex():
            writes = _apex(facts)
        case SetRoutes(routes):
            writes = _routes(facts, routes)
        case ScaleTarget(replicas):
            writes = _scale(facts, replicas)
    return tuple(writes)


def _services(facts: Facts) -> Iterator[Write]:
    names, (label, value) = facts.canary.names, selector_label(_target(facts))
    yield from _service(facts, names.canary_service, {label: value})
    yield from _service(facts, names.primary_service, {label: primary_name(value)})


def _apex(facts: Facts) -> Iterator[Write]:
    label, value = selector_label(_target(facts))
    return _service(facts, facts.canary.names.apex_service, {label: primary_name(value)})


def _service(facts: Facts, name: str, selector: dict[str, str]) -> Iterator[Write]:
    live = facts.generated.get(("Service", name))
    return _put(build_service(facts.canary, name=name, selector=selector, target=_target(facts), live=live), live)


def _primary(facts: Facts, revision: str) -> Iterator[Write]:
    """Configs first: the primary's pods start with them."""
    for source, live in _copied_configs(facts):
        yield from _put(build_config_copy(facts.canary, source, live), live)
    yield from _put(build_primary(facts, revision), facts.primary)


def _lost_copies(facts: Facts, primary: Manifest) -> Iterator[Write]:
    """Config copies that somebody deleted; what the primary had is known only while the target has the same."""
    if primary_revision(primary) == revision_facts(facts)[0]:
        for source, live in _copied_configs(facts):
            if live is None:
                yield Put(build_config_copy(facts.canary, source, live))


def _copied_configs(facts: Facts) -> Iterator[tuple[Manifest, Manifest | None]]:
    """Every config that the primary has a copy of, and that copy."""
    for reference in config_refs(_target(facts)):
        source = facts.configs.get(reference.key)
        if source is not None and is_tracked(source):
            yield source, facts.generated.get((reference.kind, primary_name(reference.name)))


def _promotion(facts: Facts, revision: str) -> Iterator[Write]:
    """Copies once; a target that has moved on since is not copied."""
    if facts.primary is not None and primary_revision(facts.primary) == revision:
        return iter(())
    return _primary(facts, revision) if revision_facts(facts)[0] == revision else iter(())


def _autoscaler(facts: Facts, *, resync: bool) -> Iterator[Write]:
    reference = facts.canary.spec.autoscaler_ref
    if reference is None or facts.target_autoscaler is None:
        return iter(())
    live = facts.generated.get(("HorizontalPodAutoscaler", primary_name(reference.name)))
    return _put(build_autoscaler(facts), live) if resync or live is None else iter(())


def _routes(facts: Facts, routes: Routes) -> Iterator[Write]:
    """DestinationRules before the routes that lead to their hosts."""
    names = facts.canary.names
    for host in (names.canary_service, names.primary_service):
        live = facts.generated.get(("DestinationRule", host))
        yield from _put(build_destination_rule(facts.canary, host, live), live)
    live = facts.generated.get(("VirtualService", names.virtual_service))
    yield from _put(build_virtual_service(facts.canary, routes, live), live)


def _scale(facts: Facts, replicas: int) -> Iterator[Write]:
    if _target(facts)["spec"].get("replicas", 1) != replicas:
        yield Scale(facts.canary.namespace, facts.canary.names.target, replicas)


def _put(desired: Manifest, live: Manifest | None) -> Iterator[Write]:
    if desired != live:
        yield Put(desired)


def _target(facts: Facts) -> Manifest:
    assert facts.target is not None  # noqa: S101  # decide acts on no Canary without a target
    return facts.target
