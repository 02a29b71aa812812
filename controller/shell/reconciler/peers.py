"""What a rollout depends on in other Canaries: their places, those in ``spec.dependsOn``, and those of its group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from pydantic import ValidationError

from controller.api.canary import Canary
from controller.api.errors import InvalidObject
from controller.api.parse import parse_canary
from controller.api.status import CanaryStatus, Phase
from controller.core.model import Facts, Manifest, Member, Peer, State
from controller.core.objects.dependencies import find_circle, needs, ways
from controller.core.objects.workload import revision_facts
from controller.core.rollout.groups import member_of
from controller.core.rollout.phases import ANALYSIS, UNDER_WAY
from controller.core.rollout.turns import in_line, is_settled
from controller.shell.informer.cache import Cache
from controller.shell.kubernetes.client import Kube
from controller.shell.kubernetes.kinds import CANARY, Key
from controller.shell.reconciler.observe import find_target, read_configs

_READ = ("phase", "reason", "queuedSince", "lastTransitionTime", "lastAppliedSpec", "lastPromotedSpec", "revision")
"""Of a status that is read for somebody else: most of it is evidence."""


async def with_others(kube: Kube, cache: Cache, facts: Facts, moving: Mapping[Key, State]) -> Facts:
    """The facts with what a rollout depends on in others.

    In ``moving`` are the states of Canaries whose statuses do not say so yet.

    Raises:
        ClusterError: the body of a ConfigMap or Secret cannot be read.
    """
    canary = facts.canary
    if canary.status.phase in UNDER_WAY:
        return with_latest(cache, facts, moving)
    references = [reference.key(canary.namespace) for reference in canary.spec.depends_on]
    circle = find_circle(_label(canary), lambda key: _needs(cache, key))
    found = {key: await _find_dependency(kube, cache, facts, key) for key in references}
    return with_latest(cache, replace(facts, dependencies=found, circle=circle), moving)


def with_latest(cache: Cache, facts: Facts, moving: Mapping[Key, State]) -> Facts:
    """The facts with those who have a place or wait for one, and with the group, as it is known now."""
    canary, options = facts.canary, facts.options
    if canary.status.phase in ANALYSIS:
        return replace(facts, members=tuple(_members(cache, canary, moving)))
    limited = options.max_rollouts or options.max_rollouts_per_namespace
    counts = limited and canary.status.phase not in UNDER_WAY
    return replace(facts, peers=tuple(_peers(cache, canary, moving)) if counts else ())


def followed(cache: Cache, canary: Canary, moving: Mapping[Key, State]) -> Iterator[Key]:
    """The Canaries whose change may matter to a rollout of ``canary``; see `with_others`."""
    if canary.status.phase in ANALYSIS:
        yield from _group(cache, canary)
    for way in ways(_label(canary), lambda key: _needs(cache, key)):
        yield _key(way[-1])
    if in_line(canary.status):
        yield from ((CANARY.name, peer.namespace, peer.name) for peer in _peers(cache, canary, moving))


def moves_others(before: Manifest, after: Manifest) -> bool:
    """Whether the status of a Canary has changed in what the rollout of another one depends on."""
    return _role(before) != _role(after)


def _role(manifest: Manifest) -> tuple[Phase, bool, bool, bool]:
    status = _status(manifest)
    return status.phase, in_line(status), is_settled(status, status.revision), member_of("", _state(status)).done


def _group(cache: Cache, canary: Canary) -> Iterator[Key]:
    for manifest in cache.of_kind(CANARY.name, canary.namespace) if canary.spec.group else ():
        spec, metadata = manifest.get("spec") or {}, manifest["metadata"]
        if spec.get("group") == canary.spec.group and metadata["name"] != canary.name:
            yield CANARY.name, canary.namespace, str(metadata["name"])


def _members(cache: Cache, canary: Canary, moving: Mapping[Key, State]) -> Iterator[Member]:
    for key in sorted(_group(cache, canary)):
        yield member_of(key[2], moving.get(key) or _state(_status(cache.get(key) or {})))


def _state(status: CanaryStatus) -> State:
    """What is read of it for somebody else."""
    return State(
        phase=status.phase,
        reason=status.reason,
        transitioned_at=status.last_transition_time,
        applied=status.last_applied_spec,
        promoted=status.last_promoted_spec,
    )


def _peers(cache: Cache, canary: Canary, moving: Mapping[Key, State]) -> Iterator[Peer]:
    for key in cache.keys(CANARY.name):
        _, namespace, name = key
        if (namespace, name) == (canary.namespace, canary.name):
            continue
        if key in moving and moving[key].phase in UNDER_WAY:
            yield Peer(namespace, name, moving[key].phase)
            continue
        manifest = cache.get(key)
        if manifest is None or manifest["metadata"].get("deletionTimestamp"):
            continue
        raw = manifest.get("status") or {}
        if raw.get("queuedSince") or raw.get("phase") in UNDER_WAY:  # most Canaries are at rest
            status = _status(manifest)
            since = status.queued_since if in_line(status) else None
            if since or status.phase in UNDER_WAY:
                yield Peer(namespace, name, status.phase, since)


async def _find_dependency(kube: Kube, cache: Cache, facts: Facts, key: str) -> Peer | None:
    """Its revision is that of its target now: its own loop may not have seen that yet."""
    _, namespace, name = _key(key)
    manifest = cache.get(_key(key))
    if manifest is None:
        return None
    peer = Peer(namespace, name, _status(manifest).phase)
    try:
        canary = parse_canary(manifest)
    except InvalidObject:
        return peer
    target = find_target(cache, canary)
    configs, missing = await read_configs(kube, cache, canary, target)
    if target is None or missing:
        return peer
    revision, _ = revision_facts(Facts(facts.now, canary, target=target, configs=configs))
    return replace(peer, settled=is_settled(canary.status, revision))


def _needs(cache: Cache, key: str) -> tuple[str, ...]:
    manifest = cache.get(_key(key))
    return () if manifest is None else needs(manifest)


def _status(manifest: Manifest) -> CanaryStatus:
    raw = manifest.get("status") or {}
    try:
        return CanaryStatus.model_validate({name: raw[name] for name in _READ if name in raw})
    except ValidationError:
        return CanaryStatus()


def _label(canary: Canary) -> str:
    return f"{canary.namespace}/{canary.name}"


def _key(label: str) -> Key:
    namespace, _, name = label.partition("/")
    return CANARY.name, namespace, name
