"""The labels that copies have of what they are copied from, by ``-include-label-prefix``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from controller.core.model import Facts, Options
from controller.core.objects.autoscalers import build_autoscaler
from controller.core.objects.configs import build_config_copy
from controller.core.objects.workload import build_primary
from tests.builders import (
    NOW,
    make_autoscaler,
    make_canary,
    make_config,
    make_daemon_set,
    make_deployment,
    make_scaled_object,
)

LABELS = {
    "app": "backend",
    "app.kubernetes.io/part-of": "shop",
    "team": "web",
    "team.example.com/lead": "a",
    "kustomize.toolkit.fluxcd.io/name": "apps",
}


def labelled(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {**manifest, "metadata": {**manifest["metadata"], "labels": LABELS}}


def copy_of_workload(options: Options, target: dict[str, Any]) -> dict[str, Any]:
    canary = make_canary(kind=target["kind"])
    return build_primary(Facts(NOW, canary, target=labelled(target), options=options), "0123456789abcdef")


def copy_of_autoscaler(options: Options, source: dict[str, Any]) -> dict[str, Any]:
    reference = {"apiVersion": source["apiVersion"], "kind": source["kind"], "name": "backend"}
    canary = make_canary(autoscalerRef=reference)
    facts = Facts(NOW, canary, target=make_deployment(), target_autoscaler=labelled(source), options=options)
    return build_autoscaler(facts)


def copy_of_config(options: Options, kind: str) -> dict[str, Any]:
    facts = Facts(NOW, make_canary(), options=options)
    return build_config_copy(facts, labelled(make_config("config", {}, kind=kind)), None)


COPIES: Mapping[str, tuple[Callable[[Options], dict[str, Any]], dict[str, str]]] = {
    # what is copied: how, and the value of the telling label on the copy where it has one
    "Deployment": (lambda options: copy_of_workload(options, make_deployment()), {"app": "backend-primary"}),
    "DaemonSet": (lambda options: copy_of_workload(options, make_daemon_set()), {"app": "backend-primary"}),
    "HorizontalPodAutoscaler": (lambda options: copy_of_autoscaler(options, make_autoscaler()), {}),
    "ScaledObject": (lambda options: copy_of_autoscaler(options, make_scaled_object()), {}),
    "ConfigMap": (lambda options: copy_of_config(options, "ConfigMap"), {}),
    "Secret": (lambda options: copy_of_config(options, "Secret"), {}),
}
PREFIXES: Mapping[tuple[str, ...], set[str]] = {
    ("*",): {"app", "app.kubernetes.io/part-of", "team", "team.example.com/lead"},
    (): set(),
    ("app.kubernetes.io",): {"app.kubernetes.io/part-of"},
    ("team", "nobody"): {"team", "team.example.com/lead"},
    ("nobody", "*"): {"app", "app.kubernetes.io/part-of", "team", "team.example.com/lead"},
    ("kustomize",): set(),
}


@pytest.mark.parametrize("prefixes", PREFIXES, ids=",".join)
@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_has_the_labels_with_one_of_the_prefixes_and_those_that_it_needs(kind, prefixes):
    build, own = COPIES[kind]
    copied = {key: text for key, text in LABELS.items() if key in PREFIXES[prefixes]}
    assert build(Options(label_prefixes=prefixes))["metadata"].get("labels", {}) == {**copied, **own}
