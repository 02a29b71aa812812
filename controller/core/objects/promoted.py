"""What the primary was promoted to run, kept in the Canary's status, so that it can be rebuilt from that alone (ADR 4).

A primary that is deleted by hand must not come back as whatever the target runs by then: nobody has judged that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from controller.core.decision import Put, Write
from controller.core.model import Facts, Manifest
from controller.core.objects.configs import build_config_copy, config_digest, config_refs
from controller.core.objects.manifests import build_object
from controller.core.objects.ownership import may_write


def record_primary(primary: Manifest, facts: Facts, revision: str) -> dict[str, Any]:
    """The primary as it is now: its revision, labels, annotations, spec, and the digests of its config copies."""
    copies = {
        f"{reference.kind}/{reference.name}": config_digest(live)
        for reference in config_refs(primary)
        if (live := facts.generated.get((reference.kind, reference.name))) is not None and may_write(facts.canary, live)
    }
    metadata = primary["metadata"]
    return {
        "revision": revision,
        "labels": dict(metadata.get("labels") or {}),
        "annotations": dict(metadata.get("annotations") or {}),
        "spec": primary["spec"],
        "configs": copies,
    }


def rebuild_primary(facts: Facts, record: Manifest) -> dict[str, Any]:
    """The primary that ``record`` remembers, with one replica or more where it has a number of them."""
    spec = record["spec"]
    replicas = {"replicas": max(1, spec["replicas"])} if "replicas" in spec else {}
    return build_object(
        facts.canary,
        None,
        api_version="apps/v1",
        kind=facts.canary.spec.target_ref.kind,
        name=facts.canary.names.primary,
        labels=record.get("labels"),
        annotations=record.get("annotations"),
        spec={**spec, **replicas},
    )


def restore_copies(facts: Facts, record: Manifest) -> Iterator[Write]:
    """Copies that were deleted or changed, where the source still has the content that was promoted."""
    for copy in _damaged_copies(facts, record):
        if copy.restorable and copy.source is not None and may_write(facts.canary, copy.live):
            yield Put(build_config_copy(facts, copy.source, copy.live))


def lost_copies(facts: Facts, record: Manifest) -> tuple[str, ...]:
    """Copies whose content as it was promoted exists nowhere any more: what is wrong, and what to do."""
    return tuple(
        f"{copy.kind} {copy.name}.{facts.canary.namespace} of {facts.canary.names.primary} was "
        f"{'deleted' if copy.live is None else 'changed'}, and {copy.kind} {copy.original} does not have the content "
        f"that was promoted; restore that content in {copy.original}, or promote a new version"
        for copy in _damaged_copies(facts, record)
        if not copy.restorable
    )


@dataclass(frozen=True, slots=True)
class _Copy:
    """A copy that is not as it was promoted."""

    kind: str
    name: str
    original: str
    live: Manifest | None
    source: Manifest | None
    digest: str

    @property
    def restorable(self) -> bool:
        return self.source is not None and config_digest(self.source) == self.digest


def _damaged_copies(facts: Facts, record: Manifest) -> Iterator[_Copy]:
    digests: Mapping[str, str] = record.get("configs") or {}
    for key, digest in digests.items():
        kind, _, name = key.partition("/")
        original, live = name.removesuffix("-primary"), facts.generated.get((kind, name))
        if live is None or config_digest(live) != digest:
            yield _Copy(kind, name, original, live, facts.configs.get(f"{kind.lower()}/{original}"), digest)
