"""What the start of a rollout depends on in other Canaries: the places they take, and those in ``spec.dependsOn``."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from pydantic import ValidationError

from controller.api.canary import Canary
from controller.api.errors import InvalidObject
from controller.api.parse import parse_canary
from controller.api.status import CanaryStatus, Phase
from controller.core.model import Facts, Manifest, Peer
from controller.core.objects.dependencies import find_circle, needs, ways
from controller.core.objects.workload import revision_facts
from controller.core.rollout.phases import UNDER_WAY
from controller.core.rollout.turns import in_line, is_settled
from controller.shell.informer.cache import Cache
from controller.shell.kubernetes.client import Kube
from controller.shell.kubernetes.kinds import CANARY, Key
from controller.shell.reconciler.observe import find_target, read_configs

_READ = ("phase", "reason", "queuedSince", "lastAppliedSpec", "lastPromotedSpec", "revision")
"""Of a status that is read for somebody else: most of it is evidence."""


async def with_others(kube: Kube, cache: Cache, facts: Facts, beginning: Collection[Key]) -> Facts:
    """The facts with what the start of a rollout depends on in others.

    In ``beginning`` are Canaries whose rollout begins, but whose status does not say so yet.

    Raises:
        ClusterError: the body of a ConfigMap or Secret cannot be read.
    """
    canary = facts.canary
    if canary.status.phase in UNDER_WAY:
        return facts
    references = [reference.key(canary.namespace) for reference in canary.spec.depends_on]
    circle = find_circle(_label(canary), lambda key: _needs(cache, key))
    found = {key: await _find_dependency(kube, cache, facts, key) for key in references}
    return with_peers(cache, replace(facts, dependencies=found, circle=circle), beginning)


def with_peers(cache: Cache, facts: Facts, beginning: Collection[Key]) -> Facts:
    """The facts with those who have a place or wait for one, as it is known now; see `with_others`."""
    options = facts.options
    limited = options.max_rollouts or options.max_rollouts_per_namespace
    return replace(facts, peers=tuple(_peers(cache, facts.canary, beginning)) if limited else ())


def followed(cache: Cache, canary: Canary, beginning: Collection[Key]) -> Iterator[Key]:
    """The Canaries whose change may let a rollout of ``canary`` begin; see `with_others`."""
    for way in ways(_label(canary), lambda key: _needs(cache, key)):
        yield _key(way[-1])
    if in_line(canary.status):
        yield from ((CANARY.name, peer.namespace, peer.name) for peer in _peers(cache, canary, beginning))


def moves_others(before: Manifest, after: Manifest) -> bool:
    """Whether the status of a Canary has changed in what the start of another one depends on."""
    return _role(before) != _role(after)


def _role(manifest: Manifest) -> tuple[bool, bool, bool]:
    status = _status(manifest)
    return status.phase in UNDER_WAY, in_line(status), is_settled(status, status.revision)


def _peers(cache: Cache, canary: Canary, beginning: Collection[Key]) -> Iterator[Peer]:
    for key in cache.keys(CANARY.name):
        _, namespace, name = key
        if (namespace, name) == (canary.namespace, canary.name):
            continue
        if key in beginning:
            yield Peer(namespace, name, Phase.PROGRESSING)
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
