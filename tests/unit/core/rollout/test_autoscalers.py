"""Autoscalers in whole rollouts: KEDA must not wake a target that rests, and the Canary's limits hold at once."""

from __future__ import annotations

import pytest

from controller.api.status import Phase
from tests.builders import canary_manifest, make_autoscaler, make_deployment, make_scaled_object
from tests.unit.core.cluster import Cluster, initialized, progressing, rolled_out, settled

HPA = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "backend"}
SCALED = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "backend"}
PAUSED = {"autoscaling.keda.sh/paused-replicas": "0"}


def paused(cluster: Cluster) -> bool:
    annotations = cluster.objects["ScaledObject", "backend"]["metadata"].get("annotations") or {}
    return bool(annotations.get("autoscaling.keda.sh/paused-replicas") == "0")


def test_keda_scales_the_target_during_a_rollout_only():
    cluster = initialized(canary_manifest(autoscalerRef=SCALED), make_deployment(), make_scaled_object())
    assert (paused(cluster), cluster.replicas("backend")) == (True, 0)
    primary = cluster.objects["ScaledObject", "backend-primary"]
    assert (primary["spec"]["scaleTargetRef"], primary["metadata"].get("annotations", {})) == (
        {"name": "backend-primary"},
        {},
    )
    cluster.set_image("podinfo:2")
    cluster.tick(10)
    assert (paused(cluster), cluster.replicas("backend")) == (False, 2)
    assert rolled_out(cluster)[-1] == (Phase.SUCCEEDED, 0)
    assert (paused(cluster), cluster.replicas("backend")) == (True, 0)


def test_keda_may_scale_the_target_again_once_the_canary_is_deleted():
    cluster = initialized(canary_manifest(autoscalerRef=SCALED), make_deployment(), make_scaled_object())
    cluster.delete()
    settled(cluster)
    settled(cluster, 10)
    assert (cluster.phase, paused(cluster)) == (Phase.TERMINATED, False)
    assert cluster.replicas("backend") > 0


def test_keda_that_is_not_paused_while_the_target_rests_is_paused():
    cluster = initialized(canary_manifest(autoscalerRef=SCALED), make_deployment(), make_scaled_object())
    cluster.edit("ScaledObject", "backend", lambda item: item["metadata"].pop("annotations"))
    cluster.tick()
    assert paused(cluster)


@pytest.mark.parametrize(
    ("reference", "source", "low", "high"),
    [
        (HPA, make_autoscaler(), "minReplicas", "maxReplicas"),
        (SCALED, make_scaled_object(), "minReplicaCount", "maxReplicaCount"),
    ],
)
def test_other_limits_hold_at_once_and_what_the_target_scales_by_comes_with_the_promotion(reference, source, low, high):
    cluster = progressing(20, canary_manifest(autoscalerRef=reference), make_deployment(), source)
    kind = reference["kind"]
    cluster.edit(kind, "backend", lambda item: item["spec"].update({high: 7}))
    cluster.edit_canary(autoscalerRef={**reference, "primaryScalerReplicas": {"minReplicas": 3}})
    cluster.tick(1)
    limits = cluster.objects[kind, "backend-primary"]["spec"]
    assert (limits[low], limits[high]) == (3, 4)
    rolled_out(cluster)
    limits = cluster.objects[kind, "backend-primary"]["spec"]
    assert (limits[low], limits[high]) == (3, 7)
