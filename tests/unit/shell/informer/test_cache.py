"""The cache takes in what is newer, and tells what means something."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.model import Manifest
from controller.core.objects.ownership import base_names
from controller.core.objects.selectors import pod_labels
from controller.shell.informer.cache import Cache

KEY = ("Deployment", "prod", "backend")


def deployment(version: int, **fields: Any) -> dict[str, Any]:
    return {
        "kind": "Deployment",
        "metadata": {"name": "backend", "namespace": "prod", "resourceVersion": str(version)},
        "spec": {"template": {}},
        **fields,
    }


def autoscaler(version: int, **fields: Any) -> dict[str, Any]:
    return {**deployment(version, **fields), "kind": "HorizontalPodAutoscaler"}


def secret(version: int, **fields: Any) -> dict[str, Any]:
    return {**deployment(version, **fields), "kind": "Secret"}


class Heard:
    def __init__(self) -> None:
        self.changes: list[tuple[Any, bool, bool]] = []
        self.cache = Cache(self)

    def __call__(self, key, before, after) -> None:
        self.changes.append((key, before is not None, after is not None))

    def object(self, key) -> Manifest:
        held = self.cache.get(key)
        assert held is not None
        return held


@pytest.mark.parametrize(
    ("events", "version", "heard"),
    [
        pytest.param([1], 1, 1, id="a new object is heard of"),
        pytest.param([2, 1], 2, 1, id="an older one is ignored: our own write came first"),
        pytest.param([2, 2], 2, 1, id="the same one again is ignored: it is the event of our own write"),
        pytest.param([9, 10], 10, 2, id="versions are compared as numbers"),
    ],
)
def test_of_two_versions_the_newer_one_stays(events, version, heard):
    it = Heard()
    for each in events:
        it.cache.put(deployment(each, spec={"replicas": each, "template": {}}))
    assert it.cache.version(KEY) == version
    assert it.object(KEY)["spec"]["replicas"] == version
    assert len(it.changes) == heard


def test_an_object_that_only_got_a_new_version_is_taken_in_silence():
    it = Heard()
    it.cache.put(deployment(1))
    assert it.cache.put(deployment(2))
    assert it.changes == [(KEY, False, True)]
    assert it.cache.version(KEY) == 2


def test_the_status_of_an_autoscaler_is_neither_kept_nor_notified():
    it = Heard()
    it.cache.put(autoscaler(1, status={"currentReplicas": 1}))
    it.cache.put(autoscaler(2, status={"currentReplicas": 2}))
    assert len(it.changes) == 1
    assert "status" not in it.object(("HorizontalPodAutoscaler", "prod", "backend"))


def test_managed_fields_are_dropped():
    it = Heard()
    manifest = deployment(1)
    manifest["metadata"]["managedFields"] = [{"manager": "kubectl"}]
    it.cache.put(manifest)
    assert "managedFields" not in it.object(KEY)["metadata"]


def test_nulls_are_dropped_since_the_api_server_serves_some_for_absent_fields():
    it = Heard()
    volumes = [{"name": "v", "projected": {"defaultMode": 420, "sources": None}}, None]
    it.cache.put(deployment(1, spec={"template": {"spec": {"volumes": volumes, "nodeSelector": None}}}))
    assert it.object(KEY)["spec"] == {
        "template": {"spec": {"volumes": [{"name": "v", "projected": {"defaultMode": 420}}, None]}}
    }


def test_an_object_that_is_nested_too_deeply_is_left_to_the_parser():
    deep: Any = None
    for _ in range(3000):
        deep = {"a": deep}
    it = Heard()
    it.cache.put(deployment(1, spec={"template": {"spec": deep}}))
    assert it.object(KEY)["spec"]["template"]["spec"] is deep


def test_what_is_put_quietly_notifies_nobody():
    it = Heard()
    it.cache.put(deployment(1), quietly=True)
    assert it.changes == []
    assert it.cache.get(KEY) is not None


def test_a_deletion_older_than_a_new_object_of_that_name_is_ignored():
    it = Heard()
    it.cache.put(deployment(5))
    assert not it.cache.remove(KEY, 4)
    assert it.cache.remove(KEY, 6)
    assert it.cache.get(KEY) is None
    assert it.changes == [(KEY, False, True), (KEY, True, False)]


def test_of_a_secret_the_version_is_known_before_its_body():
    it = Heard()
    key = ("Secret", "prod", "backend")
    assert it.cache.note(secret(3))
    assert not it.cache.note(secret(3))
    assert (it.cache.version(key), it.cache.get(key)) == (3, None)
    it.cache.put(secret(3, data={"a": "Yg=="}), quietly=True)
    assert it.object(key)["data"] == {"a": "Yg=="}
    it.cache.drop_bodies([KEY])
    assert it.cache.get(key) is not None
    it.cache.drop_bodies([KEY, key])
    assert (it.cache.version(key), it.cache.get(key)) == (3, None)
    assert it.changes == [(key, False, True)]


def test_a_body_older_than_the_version_known_is_refused():
    it = Heard()
    it.cache.note(secret(5))
    assert not it.cache.put(secret(4))
    assert it.cache.get(("Secret", "prod", "backend")) is None


OPERATIONS = st.lists(st.tuples(st.sampled_from(["put", "note", "remove"]), st.integers(1, 8)), max_size=30)


@given(OPERATIONS)
def test_the_version_known_never_goes_back_but_by_a_removal(operations):
    it, key, known = Heard(), ("Secret", "prod", "backend"), 0
    for operation, version in operations:
        if operation == "remove":
            it.cache.remove(key, version)
            known = 0 if it.cache.version(key) == 0 else known
        else:
            getattr(it.cache, operation)(secret(version))
            known = max(known, version)
        assert it.cache.version(key) == known
        assert (key in it.cache.keys("Secret", "prod")) == bool(known)


LABELS = st.dictionaries(st.sampled_from(["app", "tier"]), st.sampled_from(["a", "b"]))
NAMES = st.sampled_from(["a", "b", ""])
PLACES = st.tuples(st.sampled_from(["prod", "dev"]), st.sampled_from(["one", "two", "three"]))
WORKLOADS = st.tuples(st.sampled_from(["Deployment", "DaemonSet"]), PLACES, LABELS.map(lambda found: {"labels": found}))
CANARIES = st.tuples(st.just("Canary"), PLACES, st.fixed_dictionaries({"target": NAMES, "service": NAMES}))


def made(kind: str, place: tuple[str, str], version: int, has: dict[str, Any]) -> dict[str, Any]:
    references = {"targetRef": {"name": has.get("target")}, "service": {"name": has.get("service")}}
    spec = references if kind == "Canary" else {"template": {"metadata": has}}
    metadata = {"namespace": place[0], "name": place[1], "resourceVersion": str(version)}
    return {"kind": kind, "metadata": metadata, "spec": spec}


@given(st.lists(st.tuples(st.one_of(WORKLOADS, CANARIES), st.booleans()), max_size=20), LABELS)
def test_the_index_finds_what_a_search_through_all_would_find(changes, labels):
    cache, there = Cache(lambda *_: None), dict[tuple[str, str, str], Manifest]()
    for version, ((kind, place, has), removed) in enumerate(changes, 1):
        key = (kind, *place)
        if removed:
            cache.remove(key)
            there.pop(key, None)
        else:
            there[key] = made(kind, place, version, has)
            cache.put(there[key])
    for kind in ("Deployment", "DaemonSet", "Canary"):
        all_of_them = [item for (each, where, _), item in there.items() if (each, where) == (kind, "prod")]
        assert names_of(cache.of_kind(kind, "prod")) == names_of(all_of_them)
        if kind != "Canary":
            wanted = [item for item in all_of_them if labels.items() <= pod_labels(item).items()]
            found = [i for i in cache.labelled(kind, "prod", labels) if labels.items() <= pod_labels(i).items()]
            assert names_of(found) == names_of(wanted)
        else:
            wanted = [item for item in all_of_them if {"a", "b"}.intersection(base_names(item))]
            assert names_of(cache.rivals("prod", ["a", "b"])) == names_of(wanted)


def names_of(manifests: list[Manifest]) -> list[str]:
    return sorted(str(manifest["metadata"]["name"]) for manifest in manifests)


def managed(*managers: tuple[str, str, str]) -> list[dict[str, Any]]:
    return [
        {"manager": manager, "time": time, "fieldsV1": {"f:spec": {part: {}}}} if part else {"manager": manager}
        for manager, time, part in managers
    ]


@pytest.mark.parametrize(
    ("managers", "author"),
    [
        pytest.param(
            [("helm", "2026-01-01T00:00:00Z", "f:template"), ("kubectl", "2026-01-02T00:00:00Z", "f:template")],
            ("kubectl", "2026-01-02T00:00:00Z"),
            id="the newest manager of the pod template",
        ),
        pytest.param(
            [("helm", "2026-01-01T00:00:00Z", "f:template"), ("hpa", "2026-01-02T00:00:00Z", "f:replicas")],
            ("helm", "2026-01-01T00:00:00Z"),
            id="who scales it has not changed it",
        ),
        pytest.param([("canary-controller", "2026-01-01T00:00:00Z", "f:template")], ("", ""), id="not this controller"),
        pytest.param([("kube-controller-manager", "", "")], ("", ""), id="not who writes its status"),
    ],
)
def test_of_managed_fields_the_author_is_kept(managers, author):
    it = Heard()
    it.cache.put(deployment(1, metadata={**deployment(1)["metadata"], "managedFields": managed(*managers)}))
    assert it.cache.author(KEY) == author
    assert "managedFields" not in it.object(KEY)["metadata"]
    it.cache.remove(KEY)
    assert it.cache.author(KEY) == ("", "")


def test_a_witness_hears_of_our_own_writes_too_until_it_leaves():
    it, seen = Heard(), []
    leave = it.cache.witness(lambda key, before, after: seen.append((before is None, after is None)))
    it.cache.put(deployment(1), quietly=True)
    it.cache.put(deployment(1))
    it.cache.remove(KEY)
    leave()
    it.cache.put(deployment(9))
    assert seen == [(True, False), (False, True)]
