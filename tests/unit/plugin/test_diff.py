"""Which changes are found between two sets of inputs, and which of them replace the object."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.plugin.diff import Change, Difference, changes_between, find_difference
from sandbox.plugin.immutable import immutable_paths
from sandbox.plugin.metadata import kind_of
from sandbox.plugin.property_path import Path, parse, render
from sandbox.plugin.wire import UNKNOWN


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        pytest.param({"a": 1}, {"a": 1}, {}, id="nothing"),
        pytest.param({"a": 1}, {"a": 2}, {"a": Change.UPDATE}, id="a scalar"),
        pytest.param({"a": 1}, {"a": True}, {"a": Change.UPDATE}, id="a number that becomes a boolean"),
        pytest.param({}, {"a": {"b": 1}}, {"a": Change.ADD}, id="a mapping that appears is one change"),
        pytest.param({"a": {"b": 1}}, {}, {"a": Change.DELETE}, id="a mapping that vanishes is one change"),
        pytest.param({"a": {"b": 1, "c": 1}}, {"a": {"b": 1}}, {"a.c": Change.DELETE}, id="a key that vanishes"),
        pytest.param({"a": [1, 2]}, {"a": [1, 3, 4]}, {"a[1]": Change.UPDATE, "a[2]": Change.ADD}, id="a list"),
        pytest.param({"a": [1, 2]}, {"a": [1]}, {"a[1]": Change.DELETE}, id="a shorter list"),
        pytest.param({"a": [1]}, {"a": {"b": 1}}, {"a": Change.UPDATE}, id="another shape"),
        pytest.param({"a": UNKNOWN}, {"a": UNKNOWN}, {"a": Change.UPDATE}, id="an unknown value counts as changed"),
        pytest.param({"a": {"x/y.z": 1}}, {"a": {"x/y.z": 2}}, {'a["x/y.z"]': Change.UPDATE}, id="a key with dots"),
    ],
)
def test_changes_are_found(old: Any, new: Any, changes: dict[str, Change]) -> None:
    assert {render(path): change for path, change in changes_between(old, new).items()} == changes


objects = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=12,
)


@given(objects)
def test_an_object_does_not_differ_from_its_copy(value: Any) -> None:
    assert changes_between(value, copy.deepcopy(value)) == {}


@given(objects, objects)
def test_objects_that_differ_have_a_change_and_the_change_is_seen_from_both_sides(old: Any, new: Any) -> None:
    there, back = changes_between(old, new), changes_between(new, old)
    assert bool(there) == (old != new)
    assert there.keys() == back.keys()


def _object(api_version: str, kind: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x", "namespace": "prod"}, **fields}


DEPLOYMENT = _object(
    "apps/v1", "Deployment", spec={"selector": {"matchLabels": {"app": "x"}}, "template": {"spec": {"containers": []}}}
)
SERVICE = _object("v1", "Service", spec={"selector": {"app": "x"}, "ports": [{"port": 80}]})
JOB = _object("batch/v1", "Job", spec={"template": {"spec": {"containers": [{"image": "a"}]}}})
POD = _object("v1", "Pod", spec={"containers": [{"name": "c", "image": "a"}]})
CONFIG = _object("v1", "ConfigMap", data={"a": "1"})
SECRET = _object("v1", "Secret", type="Opaque", data={"a": "MQ=="})
BINDING = _object("rbac.authorization.k8s.io/v1", "RoleBinding", roleRef={"name": "r"}, subjects=[])
CANARY = _object("flagger.app/v1beta1", "Canary", spec={"targetRef": {"name": "x"}})


def _with(obj: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(obj)
    *parents, last = parse(path)
    place: Any = changed
    for step in parents:
        place = place[step]
    place[last] = value
    return changed


def _difference(old: dict[str, Any], new: dict[str, Any], *, mutable: bool = False) -> Difference:
    rules: list[Path] = immutable_paths(kind_of(new), new, mutable_config_maps=mutable, mutable_secrets=mutable)
    return find_difference(old, new, rules)


@pytest.mark.parametrize(
    ("obj", "path", "value"),
    [
        pytest.param(DEPLOYMENT, "spec.selector.matchLabels.app", "y", id="a Deployment's selector"),
        pytest.param(DEPLOYMENT, "spec.selector", {"matchLabels": {}}, id="a Deployment's whole selector"),
        pytest.param(DEPLOYMENT, "metadata.name", "y", id="a name"),
        pytest.param(DEPLOYMENT, "metadata.namespace", "other", id="a namespace"),
        pytest.param(SERVICE, "spec.clusterIP", "None", id="a Service that becomes headless"),
        pytest.param(JOB, "spec.template.spec.containers[0].image", "b", id="a Job's template"),
        pytest.param(POD, "spec.containers[0].image", "b", id="a Pod's container"),
        pytest.param(CONFIG, "data.a", "2", id="a ConfigMap's content"),
        pytest.param(CONFIG, "data.b", "2", id="a new key of a ConfigMap"),
        pytest.param(SECRET, "data.a", "Mg==", id="a Secret's content"),
        pytest.param(BINDING, "roleRef.name", "s", id="a binding's role"),
        pytest.param(CANARY, "kind", "Rollout", id="the kind"),
    ],
)
def test_an_immutable_field_replaces(obj: dict[str, Any], path: str, value: Any) -> None:
    assert _difference(obj, _with(obj, path, value)).replaces


@pytest.mark.parametrize(
    ("obj", "path", "value"),
    [
        pytest.param(DEPLOYMENT, "spec.template.spec.containers", [{"image": "b"}], id="a Deployment's template"),
        pytest.param(DEPLOYMENT, "spec.replicas", 2, id="a Deployment's replicas"),
        pytest.param(SERVICE, "spec.ports[0].port", 81, id="a Service's port"),
        pytest.param(SERVICE, "spec.selector.app", "y", id="a Service's selector"),
        pytest.param(CONFIG, "metadata.labels", {"a": "b"}, id="a ConfigMap's labels"),
        pytest.param(BINDING, "subjects", [{"name": "u"}], id="a binding's subjects"),
        pytest.param(CANARY, "spec.targetRef.name", "y", id="any field of a custom resource"),
    ],
)
def test_any_other_field_updates(obj: dict[str, Any], path: str, value: Any) -> None:
    difference = _difference(obj, _with(obj, path, value))
    assert difference.changes
    assert not difference.replaces


def test_configmaps_and_secrets_update_in_place_where_the_provider_says_so() -> None:
    assert not _difference(CONFIG, _with(CONFIG, "data.a", "2"), mutable=True).replaces
    assert not _difference(SECRET, _with(SECRET, "data.a", "Mg=="), mutable=True).replaces
    assert _difference(SECRET, _with(SECRET, "type", "kubernetes.io/tls"), mutable=True).replaces


def test_an_immutable_configmap_is_replaced_even_then() -> None:
    frozen = {**CONFIG, "immutable": True}
    assert _difference(frozen, _with(frozen, "data.a", "2"), mutable=True).replaces


def test_a_whole_that_appears_with_an_immutable_field_in_it_replaces() -> None:
    without = {key: value for key, value in DEPLOYMENT.items() if key != "spec"}
    assert _difference(without, DEPLOYMENT).replaces == {("spec",)}
    assert not _difference(without, {**without, "spec": {"replicas": 2}}).replaces
