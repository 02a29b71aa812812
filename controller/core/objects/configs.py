"""ConfigMaps and Secrets that a pod template uses: part of its revision, copied for the primary."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from controller.api.canary import Canary
from controller.api.names import CONFIG_TRACKING_ANNOTATION, primary_name
from controller.core.model import Facts, Manifest
from controller.core.objects.manifests import Metadata, build_object, canonical_json, copied_labels

TRACKED_SECRET_TYPES = frozenset({"Opaque", "kubernetes.io/basic-auth", "kubernetes.io/ssh-auth", "kubernetes.io/tls"})
"""Other types (service account tokens, registry logins) belong to the cluster, not to a revision (Flagger)."""

Kind = Literal["ConfigMap", "Secret"]


@dataclass(frozen=True, slots=True)
class ConfigRef:
    """A reference in a pod template; ``key`` is its name in ``status.trackedConfigs``."""

    kind: Kind
    name: str
    optional: bool = False

    @property
    def key(self) -> str:
        return f"{self.kind.lower()}/{self.name}"


def config_refs(target: Manifest) -> tuple[ConfigRef, ...]:
    """Every ConfigMap and Secret that the target's pods use, each once; optional if all uses are.

    Volumes, projected volumes, ``env`` and ``envFrom`` of containers and init containers.
    """
    found: dict[str, ConfigRef] = {}
    for reference in _references(target["spec"]["template"]["spec"]):
        known = found.get(reference.key)
        if known is None or known.optional:
            found[reference.key] = reference
    return tuple(found.values())


def copied_refs(canary: Canary, target: Manifest | None) -> tuple[ConfigRef, ...]:
    """What copies are made of: all that the target's pods use, and what the primary was promoted with (ADR 4)."""
    found = {reference.key: reference for reference in (config_refs(target) if target is not None else ())}
    for copy in (canary.status.promoted_primary or {}).get("configs") or ():
        kind, _, name = copy.partition("/")
        reference = ConfigRef(kind, name.removesuffix("-primary"), optional=True)
        found.setdefault(reference.key, reference)
    return tuple(found.values())


def _references(pod_spec: Manifest) -> Iterator[ConfigRef]:
    for kind, holder, name_key in _places(pod_spec):
        if holder.get(name_key):
            yield ConfigRef(kind, holder[name_key], bool(holder.get("optional")))


_PLACES: Mapping[str, Kind] = {
    "configMap": "ConfigMap",
    "configMapKeyRef": "ConfigMap",
    "configMapRef": "ConfigMap",
    "secret": "Secret",
    "secretKeyRef": "Secret",
    "secretRef": "Secret",
}


def _places(pod_spec: Manifest) -> Iterator[tuple[Kind, Any, str]]:
    """Each place that names one: its kind, the mapping that holds the name, and the key in it."""
    for source in _sources(pod_spec):
        for field, kind in _PLACES.items():
            if source.get(field):
                yield kind, source[field], "secretName" if "secretName" in source[field] else "name"


def _sources(pod_spec: Manifest) -> Iterator[Manifest]:
    for volume in pod_spec.get("volumes") or ():
        yield volume
        yield from (volume.get("projected") or {}).get("sources") or ()
    for container in (*(pod_spec.get("initContainers") or ()), *(pod_spec.get("containers") or ())):
        yield from (variable.get("valueFrom") or {} for variable in container.get("env") or ())
        yield from container.get("envFrom") or ()


def is_tracked(config: Manifest) -> bool:
    """Whether the object is part of the revision: not opted out, and a type of Secret that a person edits.

    It is opted out by an annotation that begins with ``disable`` (Flagger).
    """
    annotations = config["metadata"].get("annotations") or {}
    if annotations.get(CONFIG_TRACKING_ANNOTATION, "").startswith("disable"):
        return False
    return config.get("kind") != "Secret" or config.get("type", "Opaque") in TRACKED_SECRET_TYPES


def config_digests(target: Manifest, configs: Mapping[str, Manifest]) -> dict[str, str]:
    """Digest of the content, ``binaryData`` too, of each tracked config that exists, by key."""
    return {
        reference.key: config_digest(configs[reference.key])
        for reference in config_refs(target)
        if reference.key in configs and is_tracked(configs[reference.key])
    }


def config_digest(config: Manifest) -> str:
    """Digest of the content, as 16 hex digits."""
    content = {key: config[key] for key in ("data", "binaryData") if config.get(key)}
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()[:16]


def rename_configs(pod_spec: Manifest, tracked: Iterable[str]) -> dict[str, Any]:
    """The pod spec with every tracked config's name ending in ``-primary``."""
    copy = _deep_copy(pod_spec)
    for kind, holder, name_key in _places(copy):
        if f"{kind.lower()}/{holder.get(name_key)}" in tracked:
            holder[name_key] = primary_name(holder[name_key])
    return dict(copy)


def copied_configs(facts: Facts) -> Iterator[tuple[Manifest, Manifest | None]]:
    """Every config of the target that the primary gets a copy of, and that copy as it is."""
    for reference in config_refs(facts.target) if facts.target is not None else ():
        source = facts.configs.get(reference.key)
        if source is not None and is_tracked(source):
            yield source, facts.generated.get((reference.kind, primary_name(reference.name)))


def build_config_copy(facts: Facts, source: Manifest, live: Manifest | None) -> dict[str, Any]:
    """The primary's own copy of a ConfigMap or Secret; a revision under analysis cannot reach it."""
    body = {key: source[key] for key in ("data", "binaryData", "type") if source.get(key)}
    emptied = {key: value for key, value in (live or {}).items() if key not in ("data", "binaryData")}
    return build_object(
        facts.canary,
        emptied or None,
        api_version="v1",
        kind=source["kind"],
        name=primary_name(source["metadata"]["name"]),
        given=Metadata(copied_labels(source, facts.options.label_prefixes)),
        **body,
    )


def _deep_copy(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _deep_copy(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [_deep_copy(item) for item in node]
    return node
