"""The cluster as the watches and our own writes have shown it."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from controller.api.names import FIELD_MANAGER
from controller.api.parse import without_nulls
from controller.core.model import Manifest
from controller.core.objects.ownership import base_names, owner_of
from controller.core.objects.selectors import pod_labels
from controller.shell.kubernetes.kinds import (
    AUTOSCALER,
    CANARY,
    CONFIG_NAMES,
    SCALED_OBJECT,
    WORKLOADS,
    Key,
    key_of,
    version_of,
)

_LABELLED = frozenset(kind.name for kind in WORKLOADS)

Listener = Callable[[Key, Manifest | None, Manifest | None], None]
"""Called with key, object before, object after; None where there is no object."""


class Cache:
    """Objects by kind, namespace and name.

    A write's answer goes in at once, so the next tick sees what the last one wrote; the watch event of the same write,
    or of an older one, comes later and is ignored by its resource version.

    `witness` hears of every version that is newer, and of what was deleted. It must not raise.

    `listener` hears of changes that mean something: neither of an object that is equal but for its version, nor of the
    status of an HPA, which moves every 15 seconds and which nothing here depends on.

    Of ConfigMaps and Secrets the watches give the version only (`note`); a body is here once somebody put it.

    A namespace may have hundreds of Canaries, and each asks at every tick which others come into its way: an index has
    the bodies of a kind and namespace by `_words`.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._objects: dict[str, dict[tuple[str, str], Manifest]] = defaultdict(dict)
        self._versions: dict[str, dict[tuple[str, str], int]] = defaultdict(dict)
        self._by_word: defaultdict[tuple[str, str, str], dict[str, Manifest]] = defaultdict(dict)
        self._authors: dict[Key, tuple[str, str]] = {}
        self._witnesses: list[Listener] = []
        self._owners: dict[Key, str] = {}
        self._owned: defaultdict[str, set[Key]] = defaultdict(set)

    def witness(self, witness: Listener) -> Callable[[], None]:
        """Have ``witness`` hear of all versions of all objects with a body; returns what ends that."""
        self._witnesses.append(witness)
        return lambda: self._witnesses.remove(witness)

    def get(self, key: Key) -> Manifest | None:
        """The object at ``key``."""
        kind, *place = key
        return self._objects[kind].get((place[0], place[1]))

    def of_kind(self, kind: str, namespace: str) -> list[Manifest]:
        """All objects of a kind in one namespace, in no order."""
        return list(self._having(kind, namespace, "").values())

    def labelled(self, kind: str, namespace: str, labels: Mapping[str, str]) -> list[Manifest]:
        """At least those workloads of a kind whose pods have all these labels."""
        words = [f"{label}={value}" for label, value in labels.items()]
        found = (self._having(kind, namespace, word) for word in words)
        return list(min(found, key=len, default=self._having(kind, namespace, "")).values())

    def rivals(self, namespace: str, names: Iterable[str]) -> list[Manifest]:
        """The Canaries with one of these among their `base_names`, each once."""
        found: dict[str, Manifest] = {}
        for name in names:
            found |= self._having(CANARY.name, namespace, name)
        return list(found.values())

    def version(self, key: Key) -> int:
        """The newest version known of the object at ``key``; 0 where there is none."""
        kind, *place = key
        return self._versions[kind].get((place[0], place[1]), 0)

    def keys(self, kind: str, namespace: str = "") -> list[Key]:
        """Every object known of a kind, of one namespace if given."""
        return [(kind, where, name) for where, name in self._versions[kind] if namespace in ("", where)]

    def author(self, key: Key) -> tuple[str, str]:
        """The field manager that changed the pod template of a workload last, and when; empty where no watch said."""
        return self._authors.get(key, ("", ""))

    def owned_by(self, *owners: str) -> list[Key]:
        """Every object of these owners (see `owner_of`), in order."""
        return sorted(key for owner in owners for key in self._owned.get(owner, ()))

    def put(self, manifest: Mapping[str, Any], *, quietly: bool = False) -> bool:
        """Take in an object; False if it is not newer than what is known. ``quietly``: nobody is notified."""
        key = key_of(manifest)
        before, version = self.get(key), version_of(manifest)
        if version < self.version(key) or (before is not None and version == version_of(before)):
            return False
        after = _trimmed(manifest)
        kind, *place = key
        self._objects[kind][place[0], place[1]] = after
        self._index(key, before, after)
        self._versions[kind][place[0], place[1]] = version
        self._note_owner(key, owner_of(manifest))
        if author := _author(manifest):
            self._authors[key] = author
        for witness in tuple(self._witnesses):
            witness(key, before, after)
        if not quietly and (before is None or _meaning(before) != _meaning(after)):
            self._listener(key, before, after)
        return True

    def note(self, metadata: Mapping[str, Any]) -> bool:
        """Take in the version of an object whose body is not known; False if it is not newer than what is known."""
        key = key_of(metadata)
        if version_of(metadata) <= self.version(key):
            return False
        kind, *place = key
        self._versions[kind][place[0], place[1]] = version_of(metadata)
        self._note_owner(key, owner_of(metadata))
        self._listener(key, self.get(key), metadata)
        return True

    def remove(self, key: Key, version: int | None = None) -> bool:
        """Forget an object, unless what is known is newer than ``version``: then it was created again meanwhile."""
        known = self.version(key)
        if not known or (version is not None and known > version):
            return False
        kind, *place = key
        before = self._objects[kind].pop((place[0], place[1]), None)
        del self._versions[kind][place[0], place[1]]
        self._index(key, before, None)
        self._note_owner(key, "")
        self._authors.pop(key, None)
        for witness in tuple(self._witnesses):
            witness(key, before, None)
        self._listener(key, before, None)
        return True

    def drop_bodies(self, keys: Iterable[Key]) -> None:
        """Forget the bodies of those ConfigMaps and Secrets that are among ``keys``."""
        for kind, *place in keys:
            if kind in CONFIG_NAMES:
                self._objects[kind].pop((place[0], place[1]), None)

    def _having(self, kind: str, namespace: str, word: str) -> Mapping[str, Manifest]:
        return self._by_word.get((kind, namespace, word), {})

    def _index(self, key: Key, before: Manifest | None, after: Manifest | None) -> None:
        kind, namespace, name = key
        if kind in CONFIG_NAMES:
            return
        for word in _words(before) if before is not None else ():
            found = self._by_word[kind, namespace, word]
            found.pop(name, None)
            if not found:
                del self._by_word[kind, namespace, word]
        for word in _words(after) if after is not None else ():
            self._by_word[kind, namespace, word][name] = after or {}

    def _note_owner(self, key: Key, owner: str) -> None:
        before = self._owners.pop(key, "")
        if before:
            self._owned[before].discard(key)
            if not self._owned[before]:
                del self._owned[before]
        if owner:
            self._owners[key] = owner
            self._owned[owner].add(key)


def _words(manifest: Manifest) -> Iterator[str]:
    """What an object is asked for by: nothing for all of a kind, the names or the labels that others may have, too."""
    yield ""
    if manifest["kind"] == CANARY.name:
        yield from filter(None, set(base_names(manifest)))
    elif manifest["kind"] in _LABELLED:
        yield from (f"{label}={value}" for label, value in pod_labels(manifest).items())


def _author(manifest: Mapping[str, Any]) -> tuple[str, str] | None:
    """The newest manager of a pod template, unless that is this controller: all that is kept of ``managedFields``."""
    entries = manifest["metadata"].get("managedFields") if manifest["kind"] in _LABELLED else None
    owning = [
        (str(entry.get("time", "")), sys.intern(str(entry.get("manager", ""))))
        for entry in entries or ()
        if "f:template" in (entry.get("fieldsV1") or {}).get("f:spec", {})
    ]
    at, manager = max(owning, default=("", ""))
    return (manager, at) if manager and manager != FIELD_MANAGER else None


def _trimmed(manifest: Mapping[str, Any]) -> Manifest:
    """Without nulls, and without what nobody reads here: ``managedFields`` is up to half of an object."""
    with suppress(RecursionError):  # the parser refuses an object that is nested too deeply, with a message
        manifest = without_nulls(manifest)
    metadata = {name: value for name, value in manifest["metadata"].items() if name != "managedFields"}
    dropped = {"status"} if manifest["kind"] in (AUTOSCALER.name, SCALED_OBJECT.name) else set()
    return {**{name: value for name, value in manifest.items() if name not in dropped}, "metadata": metadata}


def _meaning(manifest: Manifest) -> Manifest:
    metadata = {name: value for name, value in manifest["metadata"].items() if name != "resourceVersion"}
    return {**manifest, "metadata": metadata}
