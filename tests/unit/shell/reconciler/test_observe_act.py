"""From the cache to facts, and from actions to writes."""

from __future__ import annotations

from typing import Any

import pytest

from controller.core.decision import (
    EnsureApex,
    EnsurePrimary,
    EnsureServices,
    PromoteSpec,
    RemoveLeftovers,
    ScaleTarget,
    SetRoutes,
)
from controller.core.model import Facts, Options, Rival, Routes
from controller.core.objects.ownership import ADOPTED_BY, owner_reference
from controller.core.objects.workload import revision_facts
from controller.shell.informer.cache import Cache
from controller.shell.kubernetes.errors import Conflict, Rejected, Transient
from controller.shell.reconciler.act import act
from controller.shell.reconciler.observe import dependencies, observe
from tests.builders import (
    ERROR_RATE,
    NOW,
    WEIGHTED,
    canary_manifest,
    make_autoscaler,
    make_canary,
    make_config,
    make_deployment,
    make_scaled_object,
)
from tests.unit.shell.fakes import FakeKube


def cache_of(*manifests: dict[str, Any]) -> tuple[FakeKube, Cache]:
    """A cluster and a cache that has seen all of it, of ConfigMaps and Secrets the versions."""
    kube, cache = FakeKube(*manifests), Cache(lambda key, before, after: None)
    for kind in {manifest["kind"] for manifest in manifests}:
        for manifest in kube.objects(kind):
            (cache.note if kind in ("ConfigMap", "Secret") else cache.put)(manifest)
    return kube, cache


def target(**config: Any) -> dict[str, Any]:
    deployment = make_deployment()
    source = {"configMapRef": {"name": "backend-config", **config}}
    deployment["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [source]
    return deployment


REFERENCE = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "backend"}


async def look(kube: FakeKube, cache: Cache, **canary: Any) -> Facts:
    return await observe(kube, cache, make_canary(**canary), NOW, Options(minimum_interval=1.0))


async def test_the_facts_are_all_that_the_cluster_has():
    template = {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "MetricTemplate",
        "metadata": {"name": "error-rate", "namespace": "istio-system"},
        "spec": {"provider": {"type": "prometheus", "address": "http://p:9090"}, "query": "up"},
    }
    kube, cache = cache_of(
        target(),
        make_deployment("backend-primary"),
        make_autoscaler(),
        make_config("backend-config", {"a": "b"}),
        make_config("backend-config-primary", {"a": "old"}),
        template,
    )
    facts = await look(kube, cache, autoscalerRef=REFERENCE, analysis={**WEIGHTED, "metrics": [ERROR_RATE]})
    assert facts.now == NOW
    assert (facts.target or {})["metadata"]["name"] == "backend"
    assert (facts.primary or {})["metadata"]["name"] == "backend-primary"
    assert (facts.target_autoscaler or {})["kind"] == "HorizontalPodAutoscaler"
    assert facts.configs["configmap/backend-config"]["data"] == {"a": "b"}
    assert list(facts.generated) == [("ConfigMap", "backend-config-primary")]
    assert list(facts.templates) == ["istio-system/error-rate"]
    assert (facts.missing_configs, facts.rival) == ((), None)


async def test_a_body_is_read_once_for_each_version():
    kube, cache = cache_of(target(), make_config("backend-config", {"a": "b"}))
    read = ("get", "ConfigMap/backend-config")
    for _ in range(3):
        await look(kube, cache)
    assert kube.requests == [read]
    cache.note(kube.set(make_config("backend-config", {"a": "c"})))
    facts = await look(kube, cache)
    assert facts.configs["configmap/backend-config"]["data"] == {"a": "c"}
    assert kube.requests == [read, read]


@pytest.mark.parametrize(
    ("config", "missing"), [({}, ("configmap/backend-config",)), ({"optional": True}, ())], ids=["required", "optional"]
)
async def test_a_config_that_is_not_there_is_missing_unless_it_is_optional(config, missing):
    kube, cache = cache_of(target(**config))
    assert (await look(kube, cache)).missing_configs == missing
    assert kube.requests == []


async def test_a_config_that_vanished_before_it_was_read_is_missing():
    kube, cache = cache_of(target(), make_config("backend-config", {"a": "b"}))
    kube.remove("ConfigMap", "prod", "backend-config")
    assert (await look(kube, cache)).missing_configs == ("configmap/backend-config",)


async def test_a_config_that_may_not_be_read_is_an_error():
    kube, cache = cache_of(target(), make_config("backend-config", {"a": "b"}))
    kube.failures["get"] = [Rejected("GET", 403, "forbidden")]
    with pytest.raises(Rejected):
        await look(kube, cache)


async def test_the_facts_name_the_canary_that_came_first():
    first, second = canary_manifest(name="first"), canary_manifest()
    first["spec"]["targetRef"]["name"] = "backend"
    second["metadata"]["creationTimestamp"] = "2026-01-01T00:00:01Z"
    kube, cache = cache_of(make_deployment(), first, second)
    assert (await look(kube, cache)).rival == Rival("first", "Deployment", "backend", "spec.targetRef")
    assert (await look(kube, cache, name="first", targetRef=first["spec"]["targetRef"])).rival is None


def owned(item: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    item["metadata"] |= {"ownerReferences": [owner_reference(make_canary())], **metadata}
    return item


def service(name: str, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "prod", **metadata}}


async def test_the_facts_have_all_that_the_canary_owns_or_has_adopted():
    kube, cache = cache_of(
        make_deployment(),
        owned(make_config("old-primary", {"a": "b"})),
        owned(service("old-canary")),
        service("old", annotations={ADOPTED_BY: "backend"}),
        service("adopted-by-another", annotations={ADOPTED_BY: "shop"}),
        service("nobodys"),
    )
    facts = await look(kube, cache)
    assert sorted(facts.owned) == [("ConfigMap", "old-primary"), ("Service", "old"), ("Service", "old-canary")]
    assert ("get", "ConfigMap/old-primary") not in kube.requests
    kube.remove("Service", "prod", "old")
    cache.remove(("Service", "prod", "old"))
    assert ("Service", "old") not in (await look(kube, cache)).owned


async def test_a_target_of_another_kind_is_no_target():
    kube, cache = cache_of(make_deployment())
    reference = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "backend"}
    assert (await look(kube, cache, targetRef=reference)).target is None


async def test_what_is_wrong_with_a_metric_template_is_a_fact():
    template = {"kind": "MetricTemplate", "metadata": {"name": "error-rate", "namespace": "istio-system"}, "spec": {}}
    kube, cache = cache_of(make_deployment(), template)
    facts = await look(kube, cache, analysis={**WEIGHTED, "metrics": [ERROR_RATE]})
    assert str(facts.templates["istio-system/error-rate"]).startswith(
        'The MetricTemplate "istio-system/error-rate" is invalid:'
    )


def test_a_canary_depends_on_what_it_names_whether_that_exists_or_not():
    template = {
        "kind": "MetricTemplate",
        "metadata": {"name": "error-rate", "namespace": "istio-system"},
        "spec": {"provider": {"type": "prometheus", "secretRef": {"name": "token"}}},
    }
    _, cache = cache_of(target(), template)
    canary = make_canary(autoscalerRef=REFERENCE, analysis={**WEIGHTED, "metrics": [ERROR_RATE]})
    assert dependencies(cache, canary) == {
        ("Deployment", "prod", "backend"),
        ("Deployment", "prod", "backend-primary"),
        ("HorizontalPodAutoscaler", "prod", "backend"),
        ("HorizontalPodAutoscaler", "prod", "backend-primary"),
        ("Service", "prod", "backend"),
        ("Service", "prod", "backend-primary"),
        ("Service", "prod", "backend-canary"),
        ("DestinationRule", "prod", "backend-primary"),
        ("DestinationRule", "prod", "backend-canary"),
        ("VirtualService", "prod", "backend"),
        ("ConfigMap", "prod", "backend-config"),
        ("ConfigMap", "prod", "backend-config-primary"),
        ("MetricTemplate", "istio-system", "error-rate"),
        ("Secret", "istio-system", "token"),
    }


async def primed() -> tuple[FakeKube, Cache, Facts]:
    kube, cache = cache_of(make_deployment())
    return kube, cache, await look(kube, cache)


def actions(facts: Facts) -> list[Any]:
    primary = EnsurePrimary(revision_facts(facts)[0])
    return [EnsureServices(), primary, EnsureApex(), SetRoutes(Routes(10)), ScaleTarget(0)]


WRITES = [
    ("create", "Service/backend-canary"),
    ("create", "Service/backend-primary"),
    ("create", "DestinationRule/backend-canary"),
    ("create", "DestinationRule/backend-primary"),
    ("create", "Deployment/backend-primary"),
    ("create", "Service/backend"),
    ("create", "VirtualService/backend"),
    ("patch", "Deployment/backend"),
]


async def test_the_writes_are_done_in_order_and_done_again_they_are_none():
    kube, cache, facts = await primed()
    await act(kube, cache, facts, actions(facts))
    assert kube.requests == WRITES
    again = await look(kube, cache)
    await act(kube, cache, again, actions(again))
    assert kube.requests == WRITES


@pytest.mark.parametrize("failing", range(7))
async def test_after_a_write_that_fails_nothing_more_is_written_and_the_rest_is_done_later(failing):
    kube, cache, facts = await primed()
    kube.failures["create"] = [*[None] * failing, Transient("POST", 500, "etcd timeout")]
    with pytest.raises(Transient):
        await act(kube, cache, facts, actions(facts))
    assert kube.writes() == WRITES[: failing + 1]
    again = await look(kube, cache)
    await act(kube, cache, again, actions(again))
    assert kube.writes() == [*WRITES[: failing + 1], *WRITES[failing:]]


async def test_an_object_changed_by_somebody_is_a_conflict_and_then_known():
    kube, cache, facts = await primed()
    await act(kube, cache, facts, actions(facts))
    facts = await look(kube, cache)
    service = kube.object("VirtualService", "prod", "backend")
    service["metadata"]["labels"] = {"edited": "yes"}
    kube.set(service)
    with pytest.raises(Conflict):
        await act(kube, cache, facts, [SetRoutes(Routes(20))])
    await act(kube, cache, await look(kube, cache), [SetRoutes(Routes(20))])
    service = kube.object("VirtualService", "prod", "backend")
    assert service["metadata"]["labels"]["edited"] == "yes"
    assert [route["weight"] for route in service["spec"]["http"][0]["route"]] == [80, 20]


async def test_an_object_that_exists_unseen_is_a_conflict_and_then_known():
    kube, cache, facts = await primed()
    kube.set(
        {"kind": "Service", "metadata": {"name": "backend", "namespace": "prod"}, "spec": {"clusterIP": "10.0.0.1"}}
    )
    with pytest.raises(Conflict):
        await act(kube, cache, facts, [EnsureApex()])
    await act(kube, cache, await look(kube, cache), [EnsureApex()])
    assert kube.object("Service", "prod", "backend")["spec"]["clusterIP"] == "10.0.0.1"


async def test_a_promotion_that_is_tried_stores_nothing_and_is_not_taken_for_done():
    kube, cache, facts = await primed()
    await act(kube, cache, facts, actions(facts))
    kube.set(make_deployment(image="podinfo:2"))
    cache.put(kube.object("Deployment", "prod", "backend"))
    facts, before = await look(kube, cache), kube.object("Deployment", "prod", "backend-primary")
    kube.requests.clear()
    tried = await act(kube, cache, facts, [PromoteSpec(revision_facts(facts)[0], dry_run=True)])
    assert kube.requests == [("try to replace", "Deployment/backend-primary")]
    assert tried == facts
    assert (await look(kube, cache)).primary == before == kube.object("Deployment", "prod", "backend-primary")


async def renamed() -> tuple[FakeKube, Cache, Facts]:
    """A Canary whose service has another name now; its former Service is still there."""
    kube, cache, facts = await primed()
    await act(kube, cache, facts, actions(facts))
    cache.put(kube.set(owned(service("old-canary"))))
    kube.requests.clear()
    return kube, cache, await look(kube, cache)


async def test_leftovers_are_deleted():
    kube, cache, facts = await renamed()
    await act(kube, cache, facts, [RemoveLeftovers()])
    assert kube.requests == [("delete", "Service/old-canary")]
    assert (await look(kube, cache)).owned.keys() == facts.owned.keys() - {("Service", "old-canary")}


async def test_a_leftover_that_was_changed_meanwhile_is_a_conflict_and_then_known():
    kube, cache, facts = await renamed()
    kube.set(service("old-canary"))
    with pytest.raises(Conflict):
        await act(kube, cache, facts, [RemoveLeftovers()])
    assert ("Service", "old-canary") not in (await look(kube, cache)).owned


async def test_a_leftover_that_may_not_be_deleted_holds_nothing_up():
    kube, cache, facts = await renamed()
    kube.failures["delete"] = [Rejected("DELETE", 403, "forbidden")]
    await act(kube, cache, facts, [RemoveLeftovers(), ScaleTarget(1)])
    assert kube.requests == [("delete", "Service/old-canary"), ("patch", "Deployment/backend")]


async def test_keda_is_paused_before_the_target_is_scaled_to_zero_and_works_before_it_is_scaled_up():
    kube, cache = cache_of(make_deployment(), make_scaled_object())
    scaled = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "backend"}
    facts = await look(kube, cache, autoscalerRef=scaled)
    for _ in range(2):  # the second time all is done
        facts = await act(kube, cache, facts, [ScaleTarget(0), ScaleTarget(0)])
    annotations = kube.object("ScaledObject", "prod", "backend")["metadata"]["annotations"]
    assert annotations == {"autoscaling.keda.sh/paused-replicas": "0"}
    await act(kube, cache, facts, [ScaleTarget(2)])
    assert kube.object("ScaledObject", "prod", "backend")["metadata"]["annotations"] == {}
    assert kube.writes() == [("patch", "ScaledObject/backend"), ("patch", "Deployment/backend")] * 2
