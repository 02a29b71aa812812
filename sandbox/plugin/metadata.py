"""Kinds, names and `pulumi.com/` annotations of Kubernetes objects; pure."""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from sandbox.plugin.wire import UNKNOWN

AUTONAMED = "pulumi.com/autonamed"
SKIP_AWAIT = "pulumi.com/skipAwait"
WAIT_FOR = "pulumi.com/waitFor"
TIMEOUT_SECONDS = "pulumi.com/timeoutSeconds"
PATCH_FORCE = "pulumi.com/patchForce"
PATCH_FIELD_MANAGER = "pulumi.com/patchFieldManager"
DELETION_PROPAGATION = "pulumi.com/deletionPropagationPolicy"

FIELD_MANAGER = "__fieldManager"
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


class Kind(NamedTuple):
    group: str
    version: str
    name: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def __str__(self) -> str:
        return f"{self.api_version} {self.name}"


def kind_of(obj: Mapping[str, Any]) -> Kind:
    group, _, version = str(obj["apiVersion"]).rpartition("/")
    return Kind(group, version, str(obj["kind"]))


def kind_of_token(token: str) -> Kind:
    """The kind that a resource type token names: `kubernetes:apps/v1:Deployment`, `kubernetes:core/v1:ConfigMap`."""
    _, module, name = token.split(":")
    group, _, version = module.rpartition("/")
    return Kind("" if group == "core" else group, version, name)


def _metadata_of(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = obj.get("metadata")
    return metadata if isinstance(metadata, dict) else {}  # it may be unknown as a whole, at preview


def name_of(obj: Mapping[str, Any]) -> str:
    return str(_metadata_of(obj).get("name") or "")


def namespace_of(obj: Mapping[str, Any]) -> str:
    return str(_metadata_of(obj).get("namespace") or "")


def annotations_of(obj: Mapping[str, Any]) -> dict[str, str]:
    annotations = _metadata_of(obj).get("annotations")
    return annotations if isinstance(annotations, dict) else {}


def is_set(obj: Mapping[str, Any], annotation: str) -> bool:
    return annotations_of(obj).get(annotation) == "true"


def id_of(obj: Mapping[str, Any]) -> str:
    """The Pulumi ID: `namespace/name`, or `name` for what has no namespace."""
    namespace = namespace_of(obj)
    return f"{namespace}/{name_of(obj)}" if namespace else name_of(obj)


def describe(obj: Mapping[str, Any]) -> str:
    """For messages: `Deployment prod/backend`."""
    return f"{obj.get('kind')} {id_of(obj)}"


def with_metadata(obj: Mapping[str, Any], **values: Any) -> dict[str, Any]:
    """A copy with metadata fields set, or removed where the value is None."""
    if obj.get("metadata") == UNKNOWN:
        return dict(obj)
    metadata = {**_metadata_of(obj), **values}
    return {**obj, "metadata": {key: value for key, value in metadata.items() if value is not None}}


def suffix(seed: bytes) -> str:
    """Eight characters that are the same for the same seed and valid in a DNS label."""
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in hashlib.sha256(seed).digest()[:8])


def autoname(obj: dict[str, Any], old: Mapping[str, Any], proposal: str) -> dict[str, Any]:
    """Give an object without `metadata.name` the name it had (if that was given by us) or the proposed one, and mark
    it.
    """
    if name_of(obj):
        return obj
    name = name_of(old) if is_set(old, AUTONAMED) else proposal
    annotations = _metadata_of(obj).get("annotations")
    if annotations == UNKNOWN:
        return with_metadata(obj, name=name)
    return with_metadata(obj, name=name, annotations={**(annotations or {}), AUTONAMED: "true"})


def new_field_manager(urn: str) -> str:
    """As official: `pulumi-kubernetes-` and eight hex digits. Derived from the URN, then kept in the state."""
    return f"pulumi-kubernetes-{hashlib.sha256(urn.encode()).hexdigest()[:8]}"


def without_nulls(value: Any) -> Any:
    """Without None in mappings, which to server-side apply is the same as not being there."""
    match value:
        case dict():
            return {key: without_nulls(item) for key, item in value.items() if item is not None}
        case list():
            return [without_nulls(item) for item in value]
        case _:
            return value


def to_manifest(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The object to send. The SDK spells a CRD schema's `x-kubernetes-*` with underscores, which Kubernetes does not
    know.
    """
    if inputs.get("kind") != "CustomResourceDefinition":
        return dict(inputs)
    renamed: dict[str, Any] = _rename_extensions(inputs)
    return renamed


def _rename_extensions(value: Any) -> Any:
    match value:
        case dict():
            return {
                key.replace("_", "-") if key.startswith("x_kubernetes_") else key: _rename_extensions(item)
                for key, item in value.items()
            }
        case list():
            return [_rename_extensions(item) for item in value]
        case _:
            return value
