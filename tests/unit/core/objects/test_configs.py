"""ConfigMaps and Secrets of a pod template."""

from __future__ import annotations

import random
from typing import Any

import pytest

from controller.core.model import Facts
from controller.core.objects.configs import (
    ConfigRef,
    build_config_copy,
    config_digests,
    config_refs,
    is_tracked,
    rename_configs,
)
from tests.builders import NOW, make_canary, make_config, make_deployment
from tests.golden_files import assert_golden

FACTS = Facts(NOW, make_canary())

POD_SPEC: dict[str, Any] = {
    "volumes": [
        {"name": "files", "configMap": {"name": "in-volume"}},
        {"name": "keys", "secret": {"secretName": "in-secret-volume", "optional": True}},
        {
            "name": "both",
            "projected": {
                "sources": [
                    {"configMap": {"name": "projected"}},
                    {"secret": {"name": "projected-secret"}},
                    {"serviceAccountToken": {"path": "token"}},
                ]
            },
        },
        {"name": "scratch", "emptyDir": {}},
    ],
    "initContainers": [{"name": "init", "envFrom": [{"configMapRef": {"name": "for-init"}}]}],
    "containers": [
        {
            "name": "backend",
            "image": "podinfo:1",
            "env": [
                {"name": "PLAIN", "value": "in-volume"},
                {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "by-key", "key": "a", "optional": True}}},
                {"name": "B", "valueFrom": {"secretKeyRef": {"name": "secret-by-key", "key": "b"}}},
                {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            ],
            "envFrom": [{"secretRef": {"name": "whole-secret"}}, {"configMapRef": {"name": "in-volume"}}],
        }
    ],
}
ALL = {
    ConfigRef("ConfigMap", "in-volume"),
    ConfigRef("Secret", "in-secret-volume", optional=True),
    ConfigRef("ConfigMap", "projected"),
    ConfigRef("Secret", "projected-secret"),
    ConfigRef("ConfigMap", "for-init"),
    ConfigRef("ConfigMap", "by-key", optional=True),
    ConfigRef("Secret", "secret-by-key"),
    ConfigRef("Secret", "whole-secret"),
}


def target(pod_spec: dict[str, Any] | None = None) -> dict[str, Any]:
    deployment = make_deployment()
    deployment["spec"]["template"]["spec"] = pod_spec or POD_SPEC
    return deployment


def test_every_place_that_names_a_config_is_found_and_each_config_once():
    found = config_refs(target())
    assert len(found) == len(ALL)
    assert set(found) == ALL


@pytest.mark.parametrize(
    ("first", "second", "optional"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_a_config_is_optional_where_every_use_is(first, second, optional):
    uses = [{"configMapRef": {"name": "shared", "optional": use}} for use in (first, second)]
    (reference,) = config_refs(target({"containers": [{"name": "backend", "envFrom": uses}]}))
    assert reference == ConfigRef("ConfigMap", "shared", optional=optional)


def test_tracked_configs_are_renamed_everywhere_and_others_nowhere():
    tracked = {reference.key for reference in ALL} - {"configmap/by-key", "secret/whole-secret"}
    renamed = rename_configs(POD_SPEC, tracked)
    assert_golden("core/pod-spec-with-renamed-configs", renamed)
    assert POD_SPEC["volumes"][0]["configMap"]["name"] == "in-volume"


@pytest.mark.parametrize(
    ("config", "tracked"),
    [
        (make_config("c", {}), True),
        (make_config("c", {}, kind="Secret", type="Opaque"), True),
        (make_config("c", {}, kind="Secret"), True),
        (make_config("c", {}, kind="Secret", type="kubernetes.io/basic-auth"), True),
        (make_config("c", {}, kind="Secret", type="kubernetes.io/ssh-auth"), True),
        (make_config("c", {}, kind="Secret", type="kubernetes.io/tls"), True),
        (make_config("c", {}, kind="Secret", type="kubernetes.io/dockerconfigjson"), False),
        (make_config("c", {}, kind="Secret", type="kubernetes.io/service-account-token"), False),
    ],
)
def test_configs_that_people_edit_are_tracked(config, tracked):
    assert is_tracked(config) is tracked


@pytest.mark.parametrize(
    ("place", "value", "tracked"),
    [
        ("annotations", "disabled", False),
        ("annotations", "disable", False),
        ("annotations", "enabled", True),
        ("labels", "disabled", True),
    ],
)
def test_a_config_opts_out_by_an_annotation(place, value, tracked):
    config = make_config("c", {"a": "1"})
    config["metadata"][place] = {"flagger.app/config-tracking": value}
    assert is_tracked(config) is tracked


SAME = {"data": {"a": "1", "b": "2"}, "binaryData": {"logo": "aGVsbG8="}}


def digest(**content: Any) -> str:
    config = {**make_config("shared", {}), **content}
    uses = {"containers": [{"name": "backend", "envFrom": [{"configMapRef": {"name": "shared"}}]}]}
    return config_digests(target(uses), {"configmap/shared": config})["configmap/shared"]


def test_a_digest_depends_on_the_content_alone():
    shuffled = list(SAME["data"].items())
    random.Random(1).shuffle(shuffled)
    same = digest(data=dict(reversed(shuffled)), binaryData=SAME["binaryData"], metadata={"name": "x", "labels": {}})
    assert same == digest(**SAME)


@pytest.mark.parametrize(
    "changed",
    [
        {"data": {"a": "1", "b": "3"}},
        {"data": {"a": "1"}},
        {"data": {"a": "1", "b": "2"}, "binaryData": {"logo": "Ynll"}},
        {"data": {"logo": "aGVsbG8=", "a": "1", "b": "2"}},
        {},
    ],
)
def test_a_digest_tells_contents_apart(changed):
    assert digest(**{"data": {}, "binaryData": {}, **changed}) != digest(**SAME)


def test_a_digest_is_there_for_configs_that_exist_and_are_tracked():
    configs = {
        "configmap/in-volume": make_config("in-volume", {"a": "1"}),
        "secret/whole-secret": make_config("whole-secret", {}, kind="Secret", type="kubernetes.io/dockercfg"),
        "configmap/of-somebody-else": make_config("of-somebody-else", {}),
    }
    assert list(config_digests(target(), configs)) == ["configmap/in-volume"]


def test_copies_have_the_content_and_belong_to_the_canary():
    config = make_config("backend-config", {"greeting": "hello"}, binaryData={"logo": "aGVsbG8="}, immutable=True)
    secret = make_config("backend-secret", {"token": "czNjcjN0"}, kind="Secret", type="Opaque")
    built = [build_config_copy(FACTS, source, None) for source in (config, secret)]
    assert_golden("core/config-copies", *built)
    assert [
        build_config_copy(FACTS, source, live) for source, live in zip((config, secret), built, strict=True)
    ] == built


def test_what_a_config_has_no_more_its_copy_loses():
    source = make_config("backend-config", {})
    live = {**make_config("backend-config-primary", {"old": "1"}), "binaryData": {"old": "MQ=="}}
    built = build_config_copy(FACTS, source, live)
    assert built == {key: value for key, value in live.items() if key not in ("data", "binaryData")}
