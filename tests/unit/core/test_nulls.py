"""What the API server serves as null, or leaves out, is absent: no such place stops the controller."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.api import InvalidObject, parse_canary, unsupported_fields
from controller.core.probes import Value
from tests.builders import ERROR_RATE, WEIGHTED, canary_manifest, make_autoscaler, make_config, make_deployment, webhook
from tests.unit.api.cases import GOOD
from tests.unit.core.cluster import Cluster, clone, settled

REQUIRED = {
    # by kind, what the API server never leaves out; "*" is any item
    "*": {
        "apiVersion",
        "kind",
        "metadata",
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "metadata.resourceVersion",
        "metadata.generation",
    },
    "Deployment": {
        "spec",
        "spec.selector",
        "spec.selector.matchLabels",
        "spec.selector.matchLabels.app",
        "spec.template",
        "spec.template.metadata",
        "spec.template.metadata.labels",
        "spec.template.metadata.labels.app",
        "spec.template.spec",
        "spec.template.spec.containers",
    },
    "Service": {"spec", "spec.ports.*.port"},
    "HorizontalPodAutoscaler": {"spec", "spec.scaleTargetRef", "spec.maxReplicas"},
}
NAMED = {"name", "containerPort", "kind"}
"""Of an item of a list, or of a reference."""

APP = {"app": "backend"}
ANALYSIS: Mapping[str, Any] = {
    **WEIGHTED,
    "metrics": [ERROR_RATE],
    "webhooks": [webhook("gate", "confirm-promotion")],
}


def target() -> dict[str, Any]:
    """A Deployment with something at every place that the controller reads."""
    made = make_deployment()
    pod = made["spec"]["template"]["spec"]
    pod["volumes"] = [
        {"name": "plain", "configMap": {"name": "backend-config", "optional": False}},
        {"name": "secret", "secret": {"secretName": "backend-secret"}},
        {"name": "both", "projected": {"defaultMode": 420, "sources": [{"configMap": {"name": "backend-config"}}]}},
    ]
    pod["initContainers"] = clone(pod["containers"])
    pod["affinity"] = {
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {
                    "labelSelector": {
                        "matchLabels": {"app": "backend"},
                        "matchExpressions": [{"key": "app", "values": ["backend"]}],
                    }
                }
            ],
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "podAffinityTerm": {"labelSelector": {"matchLabels": APP}}}
            ],
        }
    }
    pod["topologySpreadConstraints"] = [{"labelSelector": {"matchLabels": APP}}]
    reference = {"configMapKeyRef": {"name": "backend-config", "key": "a"}}
    pod["containers"][0] |= {
        "env": [{"name": "A", "valueFrom": reference}],
        "envFrom": [{"secretRef": {"name": "backend-secret"}}],
    }
    made["status"]["conditions"] = [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]
    return made


def a_cluster() -> Cluster:
    """A rollout under way, with every kind of object."""
    hpa = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "backend"}
    service = {
        "portDiscovery": True,
        "match": [{"uri": {"prefix": "/"}}],
        "trafficPolicy": {"tls": {"mode": "DISABLE"}},
    }
    canary = canary_manifest(analysis=ANALYSIS, service=service, autoscalerRef=hpa)
    configs = (make_config("backend-config", {"a": "1"}), make_config("backend-secret", {"b": "MQ=="}, kind="Secret"))
    cluster = Cluster.of(canary, target(), make_autoscaler(), *configs)
    settled(cluster)
    cluster.set_image("podinfo:2")
    cluster.tick(10)
    cluster.tick(10)
    return cluster


CLUSTER = a_cluster()


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield (*path, key)
        yield from places(value, (*path, key))


def may_be_null(kind: str, path: tuple[Any, ...]) -> bool:
    where = ".".join("*" if isinstance(key, int) else key for key in path)
    item = isinstance(path[-1], int) or (len(path) > 1 and path[-1] in NAMED)
    return not item and where not in REQUIRED["*"] | REQUIRED.get(kind, set())


PLACES = [
    (key, path) for key, item in sorted(CLUSTER.objects.items()) for path in places(item) if may_be_null(key[0], path)
]


def with_nulls(*nulls: tuple[tuple[str, str], tuple[Any, ...]]) -> Cluster:
    """The rollout under way with null at each of the places that is still there."""
    cluster = Cluster(clone(CLUSTER.canary), {key: clone(item) for key, item in CLUSTER.objects.items()}, CLUSTER.now)
    for key, path in nulls:
        node: Any = cluster.objects[key]
        for step in path[:-1]:
            node = None if node is None else node[step]
        if node is not None:
            node[path[-1]] = None
    return cluster


@pytest.mark.parametrize(("key", "path"), PLACES, ids=lambda part: ".".join(map(str, part)))
def test_a_null_wherever_the_api_server_may_serve_one_stops_nothing(key, path):
    cluster = with_nulls((key, path))
    for _ in range(12):
        cluster.tick(10)


@settings(deadline=None)
@given(st.lists(st.sampled_from(PLACES), min_size=2, max_size=5), st.booleans())
def test_several_nulls_stop_nothing(nulls, good):
    cluster = with_nulls(*nulls)
    cluster.answers["metric/error-rate"] = Value(0.5 if good else 50.0)
    for _ in range(12):
        cluster.tick(10)


def supported() -> Iterator[tuple[str, dict[str, Any]]]:
    """The Canaries of the API's tests that the controller acts on, for the target of this cluster."""
    for name, manifest in GOOD.items():
        if name.startswith("Canary ") and not unsupported_fields(parse_canary(manifest)):
            placed = clone(manifest)
            placed["metadata"] |= {key: CLUSTER.canary["metadata"][key] for key in ("name", "namespace", "uid")}
            placed["metadata"] |= {"generation": 1, "resourceVersion": "1"}
            placed["spec"]["targetRef"]["name"] = "backend"
            yield name, placed


CANARIES = dict(supported())
SPECS = [(name, path) for name, manifest in CANARIES.items() for path in places(manifest["spec"], ("spec",))]


@settings(deadline=None)
@given(st.lists(st.sampled_from(SPECS), min_size=1, max_size=3))
def test_a_null_in_a_canary_is_absent_or_refused(nulls):
    name = nulls[0][0]
    cluster = Cluster(clone(CANARIES[name]), {}, CLUSTER.now)
    cluster.objects["Deployment", "backend"] = target()
    for _, path in (null for null in nulls if null[0] == name):
        node: Any = cluster.canary
        for step in path[:-1]:
            node = None if node is None else node[step]
        if node is not None:
            node[path[-1]] = None
    try:
        parse_canary(cluster.canary)
    except InvalidObject:
        return
    for number in range(16):
        cluster.tick(60)
        if number == 4:
            cluster.set_image("podinfo:2")
