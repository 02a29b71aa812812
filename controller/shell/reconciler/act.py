"""Making a decision's actions true: the writes that are still missing, in order, up to the first that fails."""

from __future__ import annotations

from collections.abc import Sequence

from controller.core.model import Action, Facts, Manifest, Put, Write
from controller.core.objects.writes import plan_writes
from controller.shell.informer.cache import Cache
from controller.shell.kubernetes.client import Kube
from controller.shell.kubernetes.errors import Conflict, NotFound
from controller.shell.kubernetes.kinds import KINDS, Key, key_of
from controller.shell.reconciler.observe import with_written
from controller.shell.reporting.logs import canary_log


async def act(kube: Kube, cache: Cache, facts: Facts, actions: Sequence[Action]) -> None:
    """Do ``actions``. Each sees what the ones before it wrote; what is true already is not written.

    Raises:
        Conflict: an object is not as it was seen. By then the cache has the newer one: decide again at once.
        ClusterError: a write failed; nothing after it was tried.
    """
    log = canary_log(facts.canary.name, facts.canary.namespace, __name__)
    for action in actions:
        for write in plan_writes(action, facts):
            written = await _apply(kube, cache, write)
            facts = with_written(facts, written)
            log.info("%s", _in_words(write))


async def refresh(kube: Kube, cache: Cache, key: Key) -> None:
    """Take in an object as it is now.

    Raises:
        ClusterError: it cannot be read.
    """
    kind, namespace, name = key
    try:
        cache.put(await kube.get(KINDS[kind], namespace, name))
    except NotFound:
        cache.remove(key)


async def _apply(kube: Kube, cache: Cache, write: Write) -> Manifest:
    try:
        written = await _send(kube, write)
    except (Conflict, NotFound) as error:
        await refresh(kube, cache, _key(write))
        raise Conflict(error.request, error.status, error.reason) from error
    cache.put(written)
    return written


async def _send(kube: Kube, write: Write) -> Manifest:
    if not isinstance(write, Put):
        return await kube.scale(write.namespace, write.name, write.replicas)
    exists = write.manifest["metadata"].get("resourceVersion")
    return await (kube.replace(write.manifest) if exists else kube.create(write.manifest))


def _key(write: Write) -> Key:
    return key_of(write.manifest) if isinstance(write, Put) else ("Deployment", write.namespace, write.name)


def _in_words(write: Write) -> str:
    kind, namespace, name = _key(write)
    if not isinstance(write, Put):
        return f"{kind} {name}.{namespace} scaled to {write.replicas}"
    return f"{kind} {name}.{namespace} {'updated' if write.manifest['metadata'].get('resourceVersion') else 'created'}"
