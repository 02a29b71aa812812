"""What the primary was promoted to run, kept in the Canary's status, so that it can be rebuilt from that alone (ADR 4).

A primary that is deleted by hand must not come back as whatever the target runs by then: nobody has judged that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from controller.api.names import primary_name
from controller.core.model import Facts, Manifest, Put, Write
from controller.core.objects.configs import build_config_copy, config_digest, config_refs, copied_configs
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
    """The primary that ``record`` remembers, with one replica or more."""
    spec = record["spec"]
    return build_object(
        facts.canary,
        None,
        api_version="apps/v1",
        kind="Deployment",
        name=facts.canary.names.primary,
        labels=record.get("labels"),
        annotations=record.get("annotations"),
        spec={**spec, "replicas": max(1, spec.get("replicas", 1))},
    )


def restore_copies(facts: Facts, record: Manifest) -> Iterator[Write]:
    """Copies that were deleted or changed, where the source still has the content that was promoted."""
    digests: Mapping[str, str] = record.get("configs") or {}
    for source, live in copied_configs(facts):
        promoted = digests.get(f"{source['kind']}/{primary_name(source['metadata']['name'])}")
        changed = live is None or config_digest(live) != promoted
        if changed and config_digest(source) == promoted and may_write(facts.canary, live):
            yield Put(build_config_copy(facts.canary, source, live))
