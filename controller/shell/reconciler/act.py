"""Making a decision's actions true: the writes that are still missing, in order, up to the first that fails."""

from __future__ import annotations

from collections.abc import Sequence

from controller.core.decision import Action, Delete, Patch, Put, RemoveLeftovers, Write
from controller.core.model import Facts, Manifest
from controller.core.objects.writes import plan_writes
from controller.shell.informer.cache import Cache
from controller.shell.kubernetes.client import Kube
from controller.shell.kubernetes.errors import Conflict, NotFound, Rejected
from controller.shell.kubernetes.kinds import KINDS, Key, key_of
from controller.shell.reconciler.observe import with_written
from controller.shell.reporting.logs import canary_log


async def act(kube: Kube, cache: Cache, facts: Facts, actions: Sequence[Action]) -> Facts:
    """Do ``actions`` and return the facts with what was written.

    Each action sees what the ones before it wrote; what is true already is not written.

    Leftovers that may not be removed are logged: nothing depends on them.

    Raises:
        Conflict: an object is not as it was seen. By then the cache has the newer one: decide again at once.
        ClusterError: a write failed; nothing after it was tried.
    """
    log = canary_log(facts.canary.name, facts.canary.namespace, __name__)
    for action in actions:
        for write in plan_writes(action, facts):
            try:
                written = await apply_write(kube, cache, write)
            except Rejected as error:
                if not isinstance(action, RemoveLeftovers):
                    raise
                log.warning("not removed: %s", error)
                continue
            facts = with_written(facts, written) if written is not None else facts
            if not _is_tried(write):
                log.info("%s", _in_words(write))
    return facts


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


async def apply_write(kube: Kube, cache: Cache, write: Write) -> Manifest | None:
    """Do one write; returns the object as it is now, None where it was deleted, or only tried.

    Raises:
        ClusterError: it failed; after a Conflict the cache has the object as it is.
    """
    try:
        written = await _send(kube, write)
    except (Conflict, NotFound) as error:
        await refresh(kube, cache, _key(write))
        raise Conflict(error.request, error.status, error.reason) from error
    if _is_tried(write):
        return None
    if written is None:
        cache.remove(_key(write))
    else:
        cache.put(written)
    return cache.get(_key(write))


async def _send(kube: Kube, write: Write) -> Manifest | None:
    match write:
        case Delete():
            await kube.delete(KINDS[write.kind], write.namespace, write.name, write.version)
            return None
        case Patch():
            return await kube.patch(KINDS[write.kind], write.namespace, write.name, write.patch)
        case Put(manifest, dry_run):
            send = kube.replace if manifest["metadata"].get("resourceVersion") else kube.create
            return await send(manifest, dry_run=dry_run)


def _is_tried(write: Write) -> bool:
    return isinstance(write, Put) and write.dry_run


def _key(write: Write) -> Key:
    match write:
        case Delete() | Patch():
            return write.kind, write.namespace, write.name
        case Put(manifest):
            return key_of(manifest)


def _in_words(write: Write) -> str:
    kind, namespace, name = _key(write)
    match write:
        case Delete():
            done = "deleted"
        case Patch():
            done = write.done
        case Put(manifest):
            done = "updated" if manifest["metadata"].get("resourceVersion") else "created"
    return f"{kind} {name}.{namespace} {done}"
