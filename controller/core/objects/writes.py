"""From a desired value to the writes that are still missing; none when the objects are as desired already."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from controller.api.names import primary_name
from controller.core.decision import (
    Action,
    EnsureApex,
    EnsureAutoscaler,
    EnsurePrimary,
    EnsureServices,
    GiveBack,
    Patch,
    PromoteSpec,
    Put,
    RemoveLeftovers,
    ReturnTraffic,
    ScaleTarget,
    SetRoutes,
    Write,
)
from controller.core.model import Cookies, Facts, Manifest, Routes
from controller.core.objects.autoscalers import build_autoscaler, limits, pause
from controller.core.objects.configs import build_config_copy, copied_configs
from controller.core.objects.kinds import as_workload
from controller.core.objects.leftovers import removals, restorations
from controller.core.objects.ownership import may_write
from controller.core.objects.promoted import rebuild_primary, restore_copies
from controller.core.objects.routing import build_destination_rule, build_virtual_service, returns
from controller.core.objects.services import Side, build_service, service_name
from controller.core.objects.workload import build_primary, primary_revision, revision_facts


def plan_writes(action: Action, facts: Facts) -> tuple[Write, ...]:
    """The writes that make ``action`` true, in order.

    What is true already is left out, and so is what would change an object that is not the Canary's.
    """
    writes: Iterator[Write]
    match action:
        case EnsureServices():
            sides: tuple[Side, ...] = ("canary", "primary")
            writes = chain(_services(facts, *sides), _destination_rules(facts, *sides))
        case EnsurePrimary(revision, record):
            writes = _primary_as_promoted(facts, revision, record)
        case PromoteSpec(revision, dry_run):
            writes = (Put(put.manifest, dry_run) for put in _promotion(facts, revision))
        case EnsureAutoscaler(resync, floor):
            writes = _autoscaler(facts, floor, resync=resync)
        case EnsureApex():
            writes = _services(facts, "apex")
        case SetRoutes(routes, cookies):
            writes = _routes(facts, routes, cookies)
        case ReturnTraffic():
            writes = returns(facts.owned.values())
        case ScaleTarget(replicas):
            writes = _scale(facts, replicas)
        case RemoveLeftovers() | GiveBack():
            writes = removals(facts) if isinstance(action, RemoveLeftovers) else restorations(facts)
    return tuple(writes)


def _services(facts: Facts, *sides: Side) -> Iterator[Write]:
    for side in sides:
        live = facts.generated.get(("Service", service_name(facts.canary, side)))
        if live is not None and facts.primary is None and side != "canary":
            continue  # the ports are those of the primary; until it is rebuilt they stay as they are
        yield from _put(facts, build_service(facts, side), live)


def _destination_rules(facts: Facts, *sides: Side) -> Iterator[Write]:
    for side in sides:
        live = facts.generated.get(("DestinationRule", service_name(facts.canary, side)))
        yield from _put(facts, build_destination_rule(facts, side), live)


def _primary(facts: Facts, revision: str) -> Iterator[Put]:
    """Configs first: the primary's pods start with them."""
    for source, live in copied_configs(facts):
        yield from _put(facts, build_config_copy(facts, source, live), live)
    yield from _put(facts, build_primary(facts, revision), facts.primary)


def _primary_as_promoted(facts: Facts, revision: str, record: Manifest | None) -> Iterator[Write]:
    """The primary from its record, or from a target at the same revision; otherwise nobody knows what it ran."""
    known = record is not None and record["revision"] == revision
    if record is not None and known:
        yield from restore_copies(facts, record)
    if facts.primary is not None:
        return
    if record is not None and known:
        yield from _put(facts, rebuild_primary(facts, record), None)
    elif revision_facts(facts)[0] == revision:
        yield from _primary(facts, revision)


def _promotion(facts: Facts, revision: str) -> Iterator[Put]:
    """Copies once; a target that has moved on since is not copied."""
    if facts.primary is not None and primary_revision(facts.primary) == revision:
        return iter(())
    return _primary(facts, revision) if revision_facts(facts)[0] == revision else iter(())


def _autoscaler(facts: Facts, floor: int, *, resync: bool) -> Iterator[Write]:
    """The primary's autoscaler follows the target's when asked to; what it scales, and the limits, at once."""
    reference = facts.canary.spec.autoscaler_ref
    if reference is None or facts.target_autoscaler is None:
        return
    live, primary = facts.generated.get((reference.kind, primary_name(reference.name))), facts.canary.names.primary
    if resync or live is None or live["spec"]["scaleTargetRef"]["name"] != primary:
        yield from _put(facts, build_autoscaler(facts, floor), live)
    else:
        yield from _put(facts, {**live, "spec": {**live["spec"], **limits(facts, floor)}}, live)
    if facts.target is not None and not as_workload(facts.target).replicas:
        yield from pause(facts, paused=True)


def _routes(facts: Facts, routes: Routes, cookies: Cookies) -> Iterator[Write]:
    live = facts.generated.get(("VirtualService", facts.canary.names.virtual_service))
    yield from _put(facts, build_virtual_service(facts, routes, cookies), live)


def _scale(facts: Facts, replicas: int) -> Iterator[Write]:
    assert facts.target is not None  # noqa: S101  # decide acts on no Canary without a target
    yield from pause(facts, paused=not replicas)
    target, (kind, name) = as_workload(facts.target), facts.canary.target_key
    if target.replicas != replicas:
        yield Patch(kind, facts.canary.namespace, name, target.scaled(replicas), f"scaled to {replicas}")


def _put(facts: Facts, desired: Manifest, live: Manifest | None) -> Iterator[Put]:
    if desired != live and may_write(facts.canary, live):
        yield Put(desired)
