"""One snapshot of all that a Canary's next step depends on, out of the cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from controller.api.canary import Canary
from controller.api.errors import InvalidObject
from controller.api.metric_template import MetricTemplate
from controller.api.names import ACTION_ANNOTATION
from controller.api.parse import parse_metric_template
from controller.core.model import Facts, Manifest, Options, Rival
from controller.core.objects.configs import copied_refs
from controller.core.objects.ownership import find_rival, owner_reference, rival_names
from controller.core.objects.selectors import SelectorError, service_selectors
from controller.core.objects.workload import generated_names
from controller.shell.informer.cache import Cache
from controller.shell.kubernetes.client import Kube
from controller.shell.kubernetes.errors import NotFound
from controller.shell.kubernetes.kinds import (
    CANARY,
    CONFIG_NAMES,
    KINDS,
    METRIC_TEMPLATE,
    SECRET,
    WORKLOADS,
    Key,
    key_of,
)


async def observe(kube: Kube, cache: Cache, canary: Canary, now: datetime, options: Options) -> Facts:
    """The facts at ``now``. Asks the API only for the bodies of ConfigMaps and Secrets that have changed.

    Raises:
        ClusterError: a body cannot be read.
    """
    namespace = canary.namespace
    target, primary = find_target(cache, canary), _find(cache, canary, canary.primary_key)
    generated = {
        (kind, name): found
        for kind, name in generated_names(canary, target)
        if (found := await _read(kube, cache, (kind, namespace, name))) is not None
    }
    configs, missing = await read_configs(kube, cache, canary, target)
    return Facts(
        now=now,
        canary=canary,
        target=target,
        primary=primary,
        target_autoscaler=_target_autoscaler(cache, canary),
        generated=generated,
        owned=_owned(cache, canary),
        workloads=_alike(cache, target, primary, options) if target is not None else (),
        configs=configs,
        missing_configs=missing,
        templates=_templates(cache, canary),
        rival=_rival(cache, canary),
        options=options,
    )


async def read_configs(
    kube: Kube, cache: Cache, canary: Canary, target: Manifest | None
) -> tuple[dict[str, Manifest], tuple[str, ...]]:
    """The ConfigMaps and Secrets of a Canary, and which of them are missing; see `Facts`.

    Raises:
        ClusterError: a body cannot be read.
    """
    configs, missing = dict[str, Manifest](), list[str]()
    for reference in copied_refs(canary, target):
        body = await read_config(kube, cache, (reference.kind, canary.namespace, reference.name))
        if body is not None:
            configs[reference.key] = body
        elif not reference.optional:
            missing.append(reference.key)
    return configs, tuple(missing)


async def find_actor(kube: Kube, canary: Canary) -> str:
    """The field manager that wrote the action's annotation, which the caches leave out; empty where there is none.

    Raises:
        ClusterError: the Canary cannot be read.
    """
    live, field = await kube.get(CANARY, canary.namespace, canary.name), f"f:{ACTION_ANNOTATION}"
    for entry in live["metadata"].get("managedFields") or ():
        if field in entry.get("fieldsV1", {}).get("f:metadata", {}).get("f:annotations", {}):
            return str(entry.get("manager", ""))
    return ""


def find_target(cache: Cache, canary: Canary) -> Manifest | None:
    """The workload that ``targetRef`` names."""
    return _find(cache, canary, canary.target_key)


def _find(cache: Cache, canary: Canary, key: tuple[str, str]) -> Manifest | None:
    """A workload, if it is of a kind that a target can be."""
    kind, name = key
    known = kind in {each.name for each in WORKLOADS}
    return cache.get((kind, canary.namespace, name)) if known else None


def dependencies(cache: Cache, canary: Canary) -> frozenset[Key]:
    """Every object whose change may matter to ``canary``, whether it exists or not."""
    return frozenset(_dependencies(cache, canary))


def _dependencies(cache: Cache, canary: Canary) -> Iterator[Key]:
    namespace, target = canary.namespace, find_target(cache, canary)
    for kind, name in (canary.target_key, canary.primary_key):
        yield kind, namespace, name
    if canary.spec.autoscaler_ref is not None:
        yield canary.spec.autoscaler_ref.kind, namespace, canary.spec.autoscaler_ref.name
    for kind, name in generated_names(canary, target):
        yield kind, namespace, name
    for reference in copied_refs(canary, target):
        yield reference.kind, namespace, reference.name
    for where, name in _template_places(canary):
        yield METRIC_TEMPLATE.name, where, name
        template = cache.get((METRIC_TEMPLATE.name, where, name)) or {}
        secret = ((template.get("spec") or {}).get("provider") or {}).get("secretRef") or {}
        if secret.get("name"):
            yield SECRET.name, where, str(secret["name"])


async def read_config(kube: Kube, cache: Cache, key: Key) -> Manifest | None:
    """A ConfigMap or Secret with its body, read from the API only if it is newer than the one at hand.

    Raises:
        ClusterError: it cannot be read.
    """
    known = cache.version(key)
    held = cache.get(key)
    if not known or (held is not None and int(held["metadata"]["resourceVersion"]) >= known):
        return held
    kind, namespace, name = key
    try:
        cache.put(await kube.get(KINDS[kind], namespace, name), quietly=True)
    except NotFound:
        cache.remove(key, known)
    return cache.get(key)


def with_written(facts: Facts, written: Manifest) -> Facts:
    """The facts after a write of our own."""
    kind, _, name = key_of(written)
    if (kind, name) == facts.canary.target_key:
        return replace(facts, target=written)
    if (kind, name) == facts.canary.primary_key:
        return replace(facts, primary=written)
    scaler = facts.canary.spec.autoscaler_ref
    if scaler is not None and (kind, name) == (scaler.kind, scaler.name):
        return replace(facts, target_autoscaler=written)
    return replace(facts, generated={**facts.generated, (kind, name): written})


async def _read(kube: Kube, cache: Cache, key: Key) -> Manifest | None:
    return await read_config(kube, cache, key) if key[0] in CONFIG_NAMES else cache.get(key)


def _target_autoscaler(cache: Cache, canary: Canary) -> Manifest | None:
    reference = canary.spec.autoscaler_ref
    return None if reference is None else cache.get((reference.kind, canary.namespace, reference.name))


def _template_places(canary: Canary) -> Iterator[tuple[str, str]]:
    for metric in canary.spec.analysis.metrics:
        for reference in metric.template_refs.values():
            namespace, _, name = reference.key(canary.namespace).partition("/")
            yield namespace, name


def _templates(cache: Cache, canary: Canary) -> dict[str, MetricTemplate | str]:
    found = ((place, cache.get((METRIC_TEMPLATE.name, *place))) for place in _template_places(canary))
    return {"/".join(place): _template(manifest) for place, manifest in found if manifest is not None}


def _template(manifest: Manifest) -> MetricTemplate | str:
    """The template, or what is wrong with it: a canary with traffic is judged all the same."""
    try:
        return parse_metric_template(manifest)
    except InvalidObject as error:
        return str(error)


def _owned(cache: Cache, canary: Canary) -> dict[tuple[str, str], Manifest]:
    """Everything that the Canary controls or has adopted; of a ConfigMap or Secret only kind and metadata."""
    namespace, owned = canary.namespace, {}
    for key in cache.owned_by(canary.metadata.uid, f"{namespace}/{canary.name}"):
        if key[1] == namespace:
            owned[key[0], key[2]] = (
                _metadata_only(cache, canary, key) if key[0] in CONFIG_NAMES else cache.get(key) or {}
            )
    return owned


def _metadata_only(cache: Cache, canary: Canary, key: Key) -> Manifest:
    kind, namespace, name = key
    metadata = {
        "name": name,
        "namespace": namespace,
        "resourceVersion": str(cache.version(key)),
        "ownerReferences": [owner_reference(canary)],
    }
    return {"kind": kind, "metadata": metadata}


def _rival(cache: Cache, canary: Canary) -> Rival | None:
    own = cache.get((CANARY.name, canary.namespace, canary.name))
    return find_rival(own, cache.rivals(canary.namespace, rival_names(own))) if own is not None else None


def _alike(cache: Cache, target: Manifest, primary: Manifest | None, options: Options) -> tuple[Manifest, ...]:
    """The workloads that the Services of the two sides may select."""
    namespace = target["metadata"]["namespace"]
    try:
        selectors = service_selectors(target, primary, options.selector_labels).values()
    except SelectorError:  # the core says so, and asks for no others
        return ()
    found = (cache.labelled(kind.name, namespace, labels) for kind in WORKLOADS for labels in selectors)
    return tuple({key_of(item): item for items in found for item in items}.values())
