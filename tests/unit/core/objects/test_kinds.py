"""What the kinds of workload have in common, each read in its own words."""

from __future__ import annotations

from typing import Any

import pytest

from controller.core.objects.kinds import WORKLOADS, Counts, as_workload, pod_names
from controller.core.objects.workload import revision_of
from controller.shell.kubernetes import kinds
from tests.builders import daemon_status, make_daemon_set, make_deployment, make_target, ready_status, waiting_status
from tests.unit.core.cluster import merge

AT_REST = {"disk": "ssd", "flagger.app/scale-to-zero": "true"}


def daemon_set(**pod_spec: Any) -> dict[str, Any]:
    made = make_daemon_set()
    made["spec"]["template"]["spec"] |= pod_spec
    return made


def test_the_kinds_that_are_watched_are_those_that_can_be_read():
    assert tuple(kind.name for kind in kinds.WORKLOADS) == WORKLOADS


@pytest.mark.parametrize("kind", WORKLOADS)
def test_a_workload_that_is_scaled_to_zero_and_back_has_the_revision_that_it_had(kind):
    made = make_target(kind)
    before = revision_of(made, {})
    merge(made, as_workload(made).scaled(0))
    assert (as_workload(made).replicas, revision_of(made, {})) == (0, before)
    merge(made, as_workload(made).scaled(1))
    assert (as_workload(made).replicas, revision_of(made, {})) == (1, before)
    assert as_workload(made).template == make_target(kind)["spec"]["template"]


@pytest.mark.parametrize(
    ("selector", "shown", "replicas"),
    [
        ({}, {}, 1),
        ({"disk": "ssd"}, {"nodeSelector": {"disk": "ssd"}}, 1),
        (AT_REST, {"nodeSelector": {"disk": "ssd"}}, 0),
        ({"flagger.app/scale-to-zero": "true"}, {}, 0),
    ],
)
def test_a_daemon_set_rests_by_a_node_selector_that_is_no_part_of_its_template(selector, shown, replicas):
    workload = as_workload(daemon_set(nodeSelector=selector))
    chosen = workload.template["spec"].get("nodeSelector")
    assert ({"nodeSelector": chosen} if chosen else {}, workload.replicas) == (shown, replicas)


@pytest.mark.parametrize(
    ("made", "counts"),
    [
        (make_deployment(replicas=3), Counts(wanted=3, total=3, updated=3, available=3, ready=0)),
        (
            {**make_deployment(replicas=3), "status": waiting_status(3, 1)},
            Counts(wanted=3, total=4, updated=3, available=3, ready=0),
        ),
        ({**make_deployment(replicas=None), "status": {}}, Counts(wanted=1, total=0, updated=0, available=0, ready=0)),
        (make_daemon_set(), Counts(wanted=1, total=1, updated=1, available=1, ready=1)),
        (
            {**make_daemon_set(), "status": daemon_status(waiting_status(3, 1))},
            Counts(wanted=3, total=3, updated=2, available=3, ready=3),
        ),
        ({**make_daemon_set(), "status": {}}, Counts(wanted=0, total=0, updated=0, available=0, ready=0)),
    ],
)
def test_pods_are_counted_in_the_words_of_the_kind(made, counts):
    assert as_workload(made).counts == counts


@pytest.mark.parametrize(
    ("made", "leaving"),
    [
        ({**make_deployment(replicas=0), "status": ready_status(2, 1)}, 2),
        ({**make_daemon_set(), "status": {"currentNumberScheduled": 0, "numberMisscheduled": 2}}, 2),
        ({**make_daemon_set(), "status": {}}, 0),
    ],
)
def test_pods_that_are_still_there_at_rest_are_counted(made, leaving):
    assert as_workload(made).leaving == leaving


@pytest.mark.parametrize(
    ("strategy", "obstacle"),
    [
        ({}, ""),
        ({"type": "RollingUpdate"}, ""),
        (
            {"type": "OnDelete"},
            (
                "DaemonSet backend has spec.updateStrategy OnDelete, with which its primary never changes; "
                "use RollingUpdate"
            ),
        ),
    ],
)
def test_a_daemon_set_whose_pods_are_replaced_by_hand_is_no_target(strategy, obstacle):
    made = make_daemon_set()
    made["spec"]["updateStrategy"] = strategy
    assert as_workload(made).obstacle == obstacle


@pytest.mark.parametrize(
    ("kind", "pods"),
    [
        ("Deployment", "back[.]end-[a-z0-9]+-[a-z0-9]{5}"),
        ("DaemonSet", "back[.]end-[a-z0-9]{5}"),
    ],
)
def test_the_names_of_pods_are_those_of_the_kind(kind, pods):
    assert pod_names(kind, "back.end") == pods
