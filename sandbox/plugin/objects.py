"""Kubernetes objects as Pulumi resources: typed resources and CustomResources alike, by server-side apply."""

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

from sandbox.plugin import property_path
from sandbox.plugin.awaiting import DEFAULT_SECONDS, WaitError, wait_until_gone, wait_until_ready
from sandbox.plugin.cluster import Cluster, Object
from sandbox.plugin.diff import Difference, find_difference
from sandbox.plugin.errors import ApiError, NotReadyError, PluginError, UnreachableError
from sandbox.plugin.immutable import immutable_paths
from sandbox.plugin.live_inputs import drifted_inputs, imported_inputs
from sandbox.plugin.metadata import (
    AUTONAMED,
    DELETION_PROPAGATION,
    FIELD_MANAGER,
    PATCH_FIELD_MANAGER,
    PATCH_FORCE,
    SKIP_AWAIT,
    TIMEOUT_SECONDS,
    WAIT_FOR,
    Kind,
    annotations_of,
    autoname,
    describe,
    id_of,
    is_set,
    kind_of,
    kind_of_token,
    name_of,
    namespace_of,
    new_field_manager,
    to_manifest,
    with_metadata,
    without_nulls,
)
from sandbox.plugin.object_checks import check_annotations, check_served
from sandbox.plugin.refusals import explain_refusal, is_about_preview_only, is_not_served_yet, is_webhook_not_reached
from sandbox.plugin.resource import Found, Old, Outcome, Run, Target
from sandbox.plugin.served_kinds import ServedKinds
from sandbox.plugin.wait_for import parse_wait_for
from sandbox.plugin.wire import Properties, has_unknown

_PATIENCE_SECONDS = 5.0  # for a CRD that was just established, and for a webhook whose Pods just became ready
# Kinds whose deletion the official plugin, too, does not wait for under skipAwait.
_SKIP_AWAIT_ON_DELETE = {"Namespace", "Pod", "ReplicationController", "DaemonSet", "Deployment", "StatefulSet", "Job"}


@dataclasses.dataclass(frozen=True)
class ObjectSettings:
    """The provider inputs that bear on objects."""

    namespace: str = "default"
    force: bool = False
    upsert: bool = False
    delete_unreachable: bool = False
    skip_update_unreachable: bool = False
    mutable_config_maps: bool = False
    mutable_secrets: bool = False


class ObjectHandler:
    def __init__(self, cluster: Cluster, settings: ObjectSettings) -> None:
        self._cluster = cluster
        self._settings = settings
        self._kinds = ServedKinds(cluster)
        self._replaced: set[tuple[Kind, str]] = set()

    def check(self, target: Target, old_inputs: Properties, inputs: Properties) -> Properties:
        obj: Properties = without_nulls(inputs)
        check_served(target, obj)
        self._kinds.note_declared(obj)
        obj = autoname(obj, old_inputs, target.proposed_name)
        if self._kinds.is_namespaced(kind_of(obj)) and not namespace_of(obj):
            obj = with_metadata(obj, namespace=self._settings.namespace)
        check_annotations(obj)
        return obj

    def diff(self, target: Target, old: Old, inputs: Properties) -> Difference:  # noqa: ARG002 - the Handler protocol
        kind, before, after = kind_of(inputs), old.inputs, inputs
        if not self._kinds.is_namespaced(kind):
            # A namespace may have been assumed when the CRD, and so the scope, was not known yet.
            before, after = (with_metadata(side, namespace=None) for side in (before, after))
        immutable = immutable_paths(
            kind,
            inputs,
            mutable_config_maps=self._settings.mutable_config_maps,
            mutable_secrets=self._settings.mutable_secrets,
        )
        found = find_difference(before, after, immutable)
        same_place = id_of(before) == id_of(after) and not is_set(after, AUTONAMED)
        if found.replaces and same_place:
            self._replaced.add((kind, id_of(after)))
        return dataclasses.replace(found, delete_before_replace=bool(found.replaces) and same_place)

    def create(self, target: Target, inputs: Properties, run: Run) -> Outcome:
        obj = self._placed(to_manifest(inputs))
        manager = annotations_of(obj).get(PATCH_FIELD_MANAGER) or new_field_manager(target.urn)
        if run.preview:
            self._kinds.note_changing(obj)
            if self._kinds.can_be_tried(obj) and not self._warn_of_existing(obj, run):
                self._try(obj, manager)
            return Outcome("", inputs)
        if not self._settings.upsert and self._get(obj) is not None:
            raise PluginError(
                f"{describe(obj)} already exists. Import it (resource option import_='{id_of(obj)}'), delete it, give "
                "a renamed resource an alias, or set kubernetes:upsertExistingObjects to true to take it over."
            )
        return self._apply_and_wait(obj, manager, run)

    def update(self, target: Target, old: Old, inputs: Properties, ignored: list[str], run: Run) -> Outcome:
        obj = self._placed(to_manifest(inputs))
        manager = (
            annotations_of(obj).get(PATCH_FIELD_MANAGER)
            or old.outputs.get(FIELD_MANAGER)
            or new_field_manager(target.urn)
        )
        try:
            if ignored and not has_unknown(obj):
                obj = _with_live_values(obj, self._get(obj), ignored)
            if run.preview:
                self._kinds.note_changing(obj)
                tried = self._try(obj, manager) if self._kinds.can_be_tried(obj) else None
                return Outcome(old.id, inputs if tried is None else _outputs(tried, manager), _secrets(obj))
            return self._apply_and_wait(obj, manager, run)
        except UnreachableError as error:
            if not self._settings.skip_update_unreachable:
                raise
            run.warn(f"not updated, since kubernetes:skipUpdateUnreachable is set: {error}")
            return Outcome(old.id, old.outputs, _secrets(obj))

    def read(self, target: Target, old: Old) -> Found | None:
        kind = kind_of(old.inputs) if old.inputs else kind_of_token(target.type)
        namespace, _, name = old.id.rpartition("/")
        if not namespace and self._kinds.is_namespaced(kind):
            namespace = self._settings.namespace
        live = self._cluster.get(kind, namespace, name)
        if live is None:
            return None
        manager = old.outputs.get(FIELD_MANAGER) or new_field_manager(target.urn)
        outcome = Outcome(id_of(live), _outputs(live, manager), _secrets(live))
        if not old.inputs:
            return Found(outcome, imported_inputs(live))
        return Found(outcome, drifted_inputs(old.inputs, old.outputs, outcome.outputs))

    def delete(self, target: Target, old: Old, run: Run) -> None:  # noqa: ARG002 - the Handler protocol
        obj = old.outputs
        kind, namespace, name = kind_of(obj), namespace_of(obj), name_of(obj)
        policy = annotations_of(obj).get(DELETION_PROPAGATION, "foreground").capitalize()
        try:
            self._cluster.delete(kind, namespace, name, propagation=policy)
            if not (is_set(obj, SKIP_AWAIT) and kind.name in _SKIP_AWAIT_ON_DELETE):
                wait_until_gone(self._cluster, kind, namespace, name, run=run, seconds=_timeout(obj, run))
        except UnreachableError as error:
            if not self._settings.delete_unreachable:
                raise
            run.warn(f"only forgotten, since kubernetes:deleteUnreachable is set: {error}")

    def _apply_and_wait(self, obj: Object, manager: str, run: Run) -> Outcome:
        live = self._apply(obj, manager, run)
        try:
            wait_for = parse_wait_for(annotations_of(obj)[WAIT_FOR]) if WAIT_FOR in annotations_of(obj) else ()
            if not is_set(obj, SKIP_AWAIT):
                live = wait_until_ready(self._cluster, live, wait_for, run, _timeout(obj, run))
        except WaitError as failure:
            raise NotReadyError(
                str(failure),
                resource_id=id_of(live),
                outputs=_outputs(failure.live, manager),
                reasons=failure.reasons,
            ) from None
        return Outcome(id_of(live), _outputs(live, manager), _secrets(live))

    def _apply(self, obj: Object, manager: str, run: Run) -> Object:
        """Apply for real. Patient with what becomes true a moment after the thing it depends on was ready."""
        end = time.monotonic() + _PATIENCE_SECONDS
        force = self._forces(obj)
        while True:
            run.check_cancelled()
            try:
                return self._cluster.apply(obj, manager=manager, force=force, dry_run=False)
            except ApiError as error:
                passing = is_not_served_yet(error) or is_webhook_not_reached(error)
                if not passing or time.monotonic() > end:
                    raise explain_refusal(error, obj) from error
            run.status("the API server is not ready for it yet; trying again")
            run.cancelled.wait(0.5)

    def _try(self, obj: Object, manager: str) -> Object | None:
        """The dry run of a preview: what the object would be, or None where the API server can only tell at `up`."""
        try:
            return self._cluster.apply(obj, manager=manager, force=self._forces(obj), dry_run=True)
        except ApiError as error:
            if is_about_preview_only(error):
                return None
            raise explain_refusal(error, obj) from error

    def _warn_of_existing(self, obj: Object, run: Run) -> bool:
        """At preview, an object in the way may still be going to be deleted by another resource, so it is no error
        yet.
        """
        if self._settings.upsert or self._get(obj) is None:
            return False
        if (kind_of(obj), id_of(obj)) not in self._replaced:
            run.warn(f"{describe(obj)} exists already; creating it will fail unless this update deletes it first")
        return True

    def _get(self, obj: Object) -> Object | None:
        return self._cluster.get(kind_of(obj), namespace_of(obj), name_of(obj))

    def _forces(self, obj: Object) -> bool:
        return annotations_of(obj).get(PATCH_FORCE, str(self._settings.force).lower()) == "true"

    def _placed(self, obj: Object) -> Object:
        """Without a namespace where the kind has turned out to have none."""
        return obj if self._kinds.is_namespaced(kind_of(obj)) else with_metadata(obj, namespace=None)


def _timeout(obj: Mapping[str, Any], run: Run) -> float:
    """Seconds to wait: the resource option customTimeouts, else the annotation, else ten minutes."""
    annotated = annotations_of(obj).get(TIMEOUT_SECONDS)
    return run.timeout or (float(annotated) if annotated else DEFAULT_SECONDS)


def _with_live_values(obj: Object, live: Object | None, ignored: list[str]) -> Object:
    """For `ignore_changes`: apply what is there now, so that a field which another manager changed meanwhile stays as
    it is.
    """
    if live is None:
        return obj
    for pattern in ignored:
        for path in property_path.resolve(obj, property_path.parse(pattern)):
            if next(property_path.resolve(live, path), None) is not None:
                obj = property_path.replace(obj, path, property_path.get(live, path))
    return obj


def _outputs(live: Mapping[str, Any], manager: str) -> Properties:
    """The live object less the bookkeeping of its managers, with ours under a key that Pulumi does not show."""
    return {**with_metadata(live, managedFields=None), FIELD_MANAGER: manager}


def _secrets(obj: Mapping[str, Any]) -> frozenset[str]:
    is_secret = kind_of(obj) == Kind("", "v1", "Secret")
    return frozenset({"data", "stringData"}) if is_secret else frozenset()
