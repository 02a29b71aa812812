"""Helm's command lines and values from a Release's inputs."""

from typing import Any

import pytest

from sandbox.plugin import helm
from sandbox.plugin.processes import Completed
from sandbox.plugin.release import resource_names
from sandbox.plugin.wire import ASSET, SIGNATURE

MINIMAL: dict[str, Any] = {"name": "istiod", "namespace": "istio-system", "chart": "istiod"}
FULL: dict[str, Any] = {
    **MINIMAL,
    "version": "1.31.4",
    "repositoryOpts": {"repo": "https://charts.example.com", "username": "u"},
    "atomic": True,
    "cleanupOnFail": True,
    "createNamespace": True,
    "dependencyUpdate": True,
    "maxHistory": 3,
    "skipCrds": True,
    "timeout": 60,
    "waitForJobs": True,
}


def test_a_plain_install_waits_for_five_minutes() -> None:
    assert helm.install_arguments(MINIMAL) == (
        ["install", "istiod", "istiod", "--namespace", "istio-system", "--values", "-", "--wait", "--timeout", "300s"]
    )


def test_every_option_has_its_flag_at_install() -> None:
    assert helm.install_arguments(FULL) == [
        "install",
        "istiod",
        "istiod",
        "--version",
        "1.31.4",
        "--repo",
        "https://charts.example.com",
        "--username",
        "u",
        "--namespace",
        "istio-system",
        "--values",
        "-",
        "--skip-crds",
        "--dependency-update",
        "--atomic",
        "--wait-for-jobs",
        "--wait",
        "--timeout",
        "60s",
        "--create-namespace",
    ]


def test_an_upgrade_has_its_own_options() -> None:
    assert helm.upgrade_arguments(FULL)[-3:] == ["--cleanup-on-fail", "--history-max", "3"]
    assert "--create-namespace" not in helm.upgrade_arguments(FULL)


@pytest.mark.parametrize(
    ("inputs", "waits"),
    [({}, True), ({"skipAwait": True}, False), ({"skipAwait": True, "atomic": True}, True)],
)
def test_skip_await_skips_the_wait_unless_atomic(inputs: dict[str, Any], waits: bool) -> None:
    assert ("--wait" in helm.install_arguments({**MINIMAL, **inputs})) is waits


def test_files_come_first_and_values_are_merged_over_them() -> None:
    inputs = {
        **MINIMAL,
        "valueYamlFiles": [{SIGNATURE: ASSET, "text": "global: {hub: a, tag: b}\nlist: [1, 2]"}],
        "values": {"global": {"tag": "c", "drop": None}, "list": [3]},
    }
    assert helm.values_of(inputs) == {"global": {"hub": "a", "tag": "c"}, "list": [3]}
    assert helm.values_of({**inputs, "allowNullValues": True})["global"] == {"hub": "a", "tag": "c", "drop": None}


def test_helms_error_is_given_without_its_warnings() -> None:
    stderr = "WARNING: Kubernetes configuration file is group-readable\nError: INSTALLATION FAILED: no such chart\n"
    assert helm.error_of(Completed(1, "", stderr)) == "no such chart"


def test_the_objects_of_a_release_are_listed_by_kind() -> None:
    manifest = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: istiod, namespace: istio-system}
---
# an empty document
---
apiVersion: v1
kind: Service
metadata: {name: b}
---
apiVersion: v1
kind: Service
metadata: {name: a}
"""
    assert resource_names(manifest) == {
        "Deployment.apps/apps/v1": ["istio-system/istiod"],
        "Service/v1": ["a", "b"],
    }
