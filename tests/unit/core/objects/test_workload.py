"""Revision, readiness, and the primary as a copy of the target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.model import Facts
from controller.core.objects.ownership import owner_reference
from controller.core.objects.ports import PORTS_ANNOTATION
from controller.core.objects.services import build_service
from controller.core.objects.workload import (
    UNKNOWN_REVISION,
    Readiness,
    build_primary,
    generated_names,
    is_own_revision,
    primary_revision,
    readiness_of,
    revision_facts,
    revision_of,
    runs_target,
)
from tests.builders import (
    NOW,
    daemon_status,
    make_canary,
    make_config,
    make_daemon_set,
    make_deployment,
    ready_status,
)
from tests.golden_files import assert_golden

AUTOSCALER_REF = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "backend"}
REVISION = "0123456789abcdef"


# --- revision ---

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=10,
)
TEMPLATES = st.dictionaries(st.text(max_size=4), JSON, min_size=1, max_size=5)


def turned(node: Any) -> Any:
    """The same value, the keys of every mapping in the opposite order."""
    if isinstance(node, dict):
        return {key: turned(value) for key, value in reversed(node.items())}
    return [turned(item) for item in node] if isinstance(node, list) else node


def target_of(template: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": "Deployment", "spec": {"template": template}}


@given(TEMPLATES, st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=4))
def test_a_revision_does_not_depend_on_the_order_of_keys(template, digests):
    assert revision_of(target_of(turned(template)), turned(digests)) == revision_of(target_of(template), digests)


@given(TEMPLATES, TEMPLATES)
def test_different_templates_are_different_revisions(first, second):
    same = revision_of(target_of(first), {}) == revision_of(target_of(second), {})
    assert same == (as_json(first) == as_json(second))


def as_json(node: Any) -> Any:
    """Python holds ``True == 1``, JSON does not."""
    if isinstance(node, dict):
        return {key: as_json(value) for key, value in node.items()}
    return [as_json(item) for item in node] if isinstance(node, list) else (type(node), node)


@pytest.mark.parametrize(
    ("revision", "own"),
    [(REVISION, True), (UNKNOWN_REVISION, True), ("7554554c66", False), ("9dccb99c5", False), ("", False)],
)
def test_revisions_of_flagger_are_distinguished(revision, own):
    assert is_own_revision(revision) is own


def test_what_is_not_in_the_pod_template_is_no_revision():
    facts = Facts(NOW, make_canary(), target=make_deployment())
    scaled = make_deployment(replicas=5)
    scaled["metadata"] |= {"labels": {"a": "b"}, "annotations": {"deployment.kubernetes.io/revision": "2"}}
    assert revision_facts(facts) == revision_facts(Facts(NOW, make_canary(), target=scaled))


def test_what_the_primary_runs_is_read_off_it():
    primary = make_deployment("backend-primary")
    assert primary_revision(primary) == ""
    annotations = primary["spec"]["template"]["metadata"]["annotations"]
    annotations["flagger-id"] = "48e6b134-d2f1-4f22-b53b-c7f2f6182119"
    assert primary_revision(primary) == ""
    annotations["flagger-id"] = REVISION
    assert primary_revision(primary) == REVISION


# --- readiness ---

UNOBSERVED = "observed deployment generation less than desired generation"
UNAVAILABLE = {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable"}
EXCEEDED = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
ROLLING = {"replicas": 4, "updatedReplicas": 4, "availableReplicas": 4}


def pending(detail: str, *, expired: bool = False) -> Readiness:
    return Readiness(ready=False, detail=f"waiting for rollout to finish: {detail}", expired=expired)


def since(seconds: float) -> dict[str, Any]:
    moment = (NOW - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
    return {"conditions": [{**UNAVAILABLE, "lastUpdateTime": moment, "lastTransitionTime": moment}]}


ROLLOUTS: Mapping[str, tuple[dict[str, Any], int, Readiness]] = {
    # name: (status of a Deployment of 4 at generation 1, threshold, outcome)
    "done": (ROLLING, 100, Readiness(ready=True)),
    "not looked at yet": ({**ROLLING, "observedGeneration": 0}, 100, pending(UNOBSERVED)),
    "no status": ({"observedGeneration": 0}, 100, pending(UNOBSERVED)),
    "old pods only": (
        {"replicas": 4, "updatedReplicas": 1, "availableReplicas": 4},
        100,
        pending("1 out of 4 new replicas have been updated"),
    ),
    "old pods still there": (
        {"replicas": 6, "updatedReplicas": 4, "availableReplicas": 6},
        100,
        pending("2 old replicas are pending termination"),
    ),
    "old pods still there, but enough is enough": (
        {"replicas": 5, "updatedReplicas": 2, "availableReplicas": 5},
        50,
        Readiness(ready=True),
    ),
    "not all available": (
        {**ROLLING, "availableReplicas": 3},
        100,
        pending("3 of 4 (readyThreshold 100%) updated replicas are available"),
    ),
    "as many available as asked for": ({**ROLLING, "availableReplicas": 3}, 75, Readiness(ready=True)),
    "a percent more than available": (
        {**ROLLING, "availableReplicas": 3},
        76,
        pending("3 of 4 (readyThreshold 76%) updated replicas are available"),
    ),
    "more than wanted": ({"replicas": 6, "updatedReplicas": 6, "availableReplicas": 6}, 100, Readiness(ready=True)),
    "past its own deadline": (
        {**ROLLING, "availableReplicas": 0, "conditions": [EXCEEDED]},
        100,
        Readiness(ready=False, detail='deployment "backend" exceeded its progress deadline', expired=True),
    ),
    "unavailable for a while": (
        {**ROLLING, "availableReplicas": 0, **since(60)},
        100,
        pending("0 of 4 (readyThreshold 100%) updated replicas are available"),
    ),
    "unavailable for longer than the Canary's deadline": (
        {**ROLLING, "availableReplicas": 0, **since(61)},
        100,
        pending("0 of 4 (readyThreshold 100%) updated replicas are available", expired=True),
    ),
}


@pytest.mark.parametrize("name", ROLLOUTS)
def test_rollout(name):
    status, threshold, expected = ROLLOUTS[name]
    deployment = make_deployment(replicas=4)
    deployment["status"] = {"observedGeneration": 1, **status}
    assert readiness_of(deployment, threshold=threshold, deadline=60, now=NOW) == expected


DAEMONS: Mapping[str, tuple[dict[str, Any], int, Readiness]] = {
    # name: (status of a DaemonSet of 4 nodes at generation 1, threshold, outcome)
    "done": ({}, 100, Readiness(ready=True)),
    "not looked at yet": (
        {"observedGeneration": 0},
        100,
        pending("observed daemonset generation less than desired generation"),
    ),
    "old pods": (
        {"updatedNumberScheduled": 1},
        100,
        replace(pending("1 out of 4 new pods have been updated"), progressed_at=NOW),
    ),
    "not all available": (
        {"numberAvailable": 3},
        100,
        replace(pending("3 of 4 (readyThreshold 100%) updated pods are available"), progressed_at=NOW),
    ),
    "as many available as asked for": ({"numberAvailable": 3}, 75, Readiness(ready=True)),
    "a pod on a node that took it before it was tainted": ({"numberMisscheduled": 1}, 100, Readiness(ready=True)),
    "no node": (
        {"desiredNumberScheduled": 0, "currentNumberScheduled": 0, "updatedNumberScheduled": 0, "numberAvailable": 0},
        100,
        replace(pending("no node fits its pods"), progressed_at=NOW),
    ),
}


@pytest.mark.parametrize("name", DAEMONS)
def test_rollout_of_a_daemon_set(name):
    status, threshold, expected = DAEMONS[name]
    made = make_daemon_set()
    made["status"] = {**daemon_status(ready_status(4, 1)), **status}
    assert readiness_of(made, threshold=threshold, deadline=60, now=NOW, waiting_since=NOW) == expected


@pytest.mark.parametrize(("seconds", "expired"), [(60, False), (61, True)])
def test_a_daemon_set_has_the_deadline_of_its_canary_from_when_it_was_waited_for(seconds, expired):
    made = make_daemon_set()
    made["status"]["numberAvailable"] = 0
    since = NOW - timedelta(seconds=seconds)
    seen = readiness_of(made, threshold=100, deadline=60, now=NOW, waiting_since=since)
    detail = "0 of 1 (readyThreshold 100%) updated pods are available"
    assert seen == replace(pending(detail, expired=expired), progressed_at=since)


def test_a_deployment_that_wants_nothing_is_ready():
    deployment = {**make_deployment(replicas=0), "status": {"observedGeneration": 1}}
    assert readiness_of(deployment, threshold=100, deadline=60, now=NOW) == Readiness(ready=True)


def test_a_deployment_that_does_not_say_how_many_wants_one():
    deployment = {**make_deployment(replicas=None), "status": ready_status(1, 1)}
    assert readiness_of(deployment, threshold=100, deadline=60, now=NOW) == Readiness(ready=True)


# --- the primary ---


def daemon_set_at_rest() -> dict[str, Any]:
    made = make_daemon_set()
    made["metadata"]["annotations"] = {"deprecated.daemonset.template.generation": "7"}
    made["spec"] |= {"minReadySeconds": 3, "revisionHistoryLimit": 2}
    made["spec"]["template"]["spec"]["nodeSelector"] = {"disk": "ssd", "flagger.app/scale-to-zero": "true"}
    return made


def spread_target() -> dict[str, Any]:
    """A target with all that a copy has to take care of."""
    target = make_deployment(replicas=3)
    target["metadata"] |= {
        "labels": {"app": "backend", "team": "web", "kustomize.toolkit.fluxcd.io/name": "apps"},
        "annotations": {
            "note": "kept",
            "deployment.kubernetes.io/revision": "4",
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
            "pulumi.com/waitFor": "true",
            "kustomize.toolkit.fluxcd.io/checksum": "1",
        },
    }
    target["spec"] |= {
        "progressDeadlineSeconds": 120,
        "minReadySeconds": 1,
        "revisionHistoryLimit": 10,
        "paused": False,
    }
    template = target["spec"]["template"]
    template["metadata"]["labels"]["toolkit.fluxcd.io/tenant"] = "a"
    selects = {"labelSelector": {"matchLabels": {"app": "backend"}}, "topologyKey": "kubernetes.io/hostname"}
    expression = {"key": "app", "operator": "In", "values": ["backend", "other"]}
    template["spec"] |= {
        "affinity": {
            "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []},
            "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [selects]},
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [selects],
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "weight": 100,
                        "podAffinityTerm": {**selects, "labelSelector": {"matchExpressions": [expression]}},
                    }
                ],
            },
        },
        "topologySpreadConstraints": [{"maxSkew": 1, **selects, "whenUnsatisfiable": "DoNotSchedule"}],
    }
    template["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "backend-config"}}]
    return target


def facts_of(target: dict[str, Any], primary: Mapping[str, Any] | None = None, **spec: Any) -> Facts:
    configs = {"configmap/backend-config": make_config("backend-config", {"greeting": "hello"})}
    return Facts(NOW, make_canary(**spec), target=target, primary=primary, configs=configs)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("plain", make_deployment()),
        ("with-everything", spread_target()),
        ("of-a-target-at-zero", make_deployment(replicas=0)),
        ("of-a-daemon-set", daemon_set_at_rest()),
        ("by-another-label", make_deployment(labels={"app.kubernetes.io/name": "backend", "tier": "web"})),
    ],
)
def test_primary(name, target):
    facts = facts_of(target)
    built = build_primary(facts, REVISION)
    assert_golden(f"core/primary-{name}", built)
    assert build_primary(facts_of(target, built), REVISION) == built


@pytest.mark.parametrize(
    ("spec", "seconds"),
    [
        ({}, 5),
        ({"minReadySeconds": 2}, 5),
        ({"minReadySeconds": 30}, 30),
        ({"progressDeadlineSeconds": 5}, 4),
        ({"progressDeadlineSeconds": 1}, 0),
        ({"progressDeadlineSeconds": 4, "minReadySeconds": 3}, 3),
    ],
    ids=str,
)
def test_a_former_pod_of_the_primary_stays_until_proxies_know_the_new_one_as_far_as_the_deadline_allows(spec, seconds):
    target = make_deployment()
    target["spec"] |= spec
    assert build_primary(facts_of(target), REVISION)["spec"]["minReadySeconds"] == seconds


def test_pods_are_kept_apart_by_the_value_of_their_label_whatever_the_name_of_the_target():
    target = make_deployment(labels={"app": "podinfo"})
    spread = {"maxSkew": 1, "labelSelector": {"matchLabels": {"app": "podinfo"}}, "topologyKey": "zone"}
    target["spec"]["template"]["spec"]["topologySpreadConstraints"] = [spread]
    (copied,) = build_primary(facts_of(target), REVISION)["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert copied == {**spread, "labelSelector": {"matchLabels": {"app": "podinfo-primary"}}}


@pytest.mark.parametrize(
    ("spec", "replicas"),
    [({}, 5), ({"autoscalerRef": AUTOSCALER_REF}, 2)],
    ids=["without autoscaler", "with autoscaler"],
)
def test_a_promotion_copies_replicas_only_where_no_autoscaler_counts_them(spec, replicas):
    live = build_primary(facts_of(make_deployment(replicas=2)), REVISION)
    promoted = build_primary(facts_of(make_deployment(image="podinfo:2", replicas=5), live, **spec), REVISION)
    assert promoted["spec"]["replicas"] == replicas
    assert promoted["spec"]["template"]["spec"]["containers"][0]["image"] == "podinfo:2"


def test_the_selector_of_a_primary_that_is_there_stays_since_it_cannot_change():
    live = build_primary(facts_of(make_deployment()), REVISION)
    live["spec"]["selector"] = {"matchLabels": {"app": "backend-primary", "made": "by flagger"}}
    built = build_primary(facts_of(make_deployment(), live), REVISION)["spec"]
    assert built["selector"] == live["spec"]["selector"]
    assert built["template"]["metadata"]["labels"] == {"app": "backend-primary", "made": "by flagger"}


def test_the_pods_of_a_primary_keep_its_selector_when_the_target_is_made_again_with_other_labels():
    live = build_primary(facts_of(make_deployment()), REVISION)
    again = make_deployment(labels={"app": "shop", "track": "a"})
    spread = {"maxSkew": 1, "labelSelector": {"matchLabels": {"app": "shop"}}, "topologyKey": "zone"}
    again["spec"]["template"]["spec"]["topologySpreadConstraints"] = [spread]
    template = build_primary(facts_of(again, live), REVISION)["spec"]["template"]
    assert template["metadata"]["labels"] == {"app": "backend-primary", "track": "a"}
    (copied,) = template["spec"]["topologySpreadConstraints"]
    assert copied == {**spread, "labelSelector": {"matchLabels": {"app": "backend-primary"}}}


def test_metadata_taken_out_of_the_target_goes_from_the_primary_with_the_next_promotion():
    target = make_deployment()
    target["metadata"] |= {"labels": {"app": "backend", "team": "web"}, "annotations": {"note": "old"}}
    live = build_primary(facts_of(target), REVISION)
    live["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "1"
    metadata = build_primary(facts_of(make_deployment(), live), REVISION)["metadata"]
    assert metadata["labels"] == {"app": "backend-primary"}
    assert set(metadata["annotations"]) == {PORTS_ANNOTATION, "deployment.kubernetes.io/revision"}


# --- the autoscaler ---


# --- a primary that somebody else made ---


def flaggers(target: dict[str, Any], **service: Any) -> Facts:
    """What Flagger leaves: no revision, no ports, an id of its own, and the configs as they were."""
    facts = facts_of(target, service=service)
    primary = build_primary(facts, "48e6b134-d2f1-4f22-b53b-c7f2f6182119")
    primary["metadata"]["annotations"] = {}
    copy = make_config("backend-config-primary", {"greeting": "hello"})
    live = {**primary, "status": ready_status(1, 0)}
    service_copy = owned(build_service(facts, "primary"))
    generated = {("ConfigMap", "backend-config-primary"): copy, ("Service", "backend-primary"): service_copy}
    return replace(facts, primary=live, generated=generated)


def owned(item: dict[str, Any]) -> dict[str, Any]:
    item["metadata"]["ownerReferences"] = [owner_reference(make_canary())]
    return item


def repainted(facts: Facts) -> Facts:
    target = spread_target()
    target["spec"]["template"]["spec"]["containers"][0]["image"] = "podinfo:2"
    return replace(facts, target=target)


SINCE: Mapping[str, tuple[Callable[[Facts], Facts], bool]] = {
    "nothing": (lambda facts: facts, True),
    "another image": (repainted, False),
    "another config": (
        lambda facts: replace(facts, configs={"configmap/backend-config": make_config("backend-config", {"a": "b"})}),
        False,
    ),
    "another port": (lambda facts: replace(facts, canary=make_canary(service={"targetPort": 8080})), False),
    "a config without its copy": (
        lambda facts: replace(
            facts, generated={key: item for key, item in facts.generated.items() if key[0] == "Service"}
        ),
        False,
    ),
    "pods spread under other names": (
        lambda facts: replace(
            facts, target=spread_target() | {"spec": without_spread(spread_target()["spec"])}, primary=facts.primary
        ),
        True,
    ),
}


def without_spread(spec: dict[str, Any]) -> dict[str, Any]:
    del spec["template"]["spec"]["topologySpreadConstraints"]
    return spec


@pytest.mark.parametrize("name", SINCE)
def test_whether_flaggers_primary_runs_what_the_target_would(name):
    change, same = SINCE[name]
    assert runs_target(change(flaggers(spread_target()))) is same


def test_everything_that_is_generated_has_a_name():
    canary = make_canary(autoscalerRef=AUTOSCALER_REF, service={"name": "shop"})
    assert generated_names(canary, spread_target()) == (
        ("Service", "shop"),
        ("Service", "shop-primary"),
        ("DestinationRule", "shop-primary"),
        ("Service", "shop-canary"),
        ("DestinationRule", "shop-canary"),
        ("VirtualService", "shop"),
        ("HorizontalPodAutoscaler", "backend-primary"),
        ("ConfigMap", "backend-config-primary"),
    )
