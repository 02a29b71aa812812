"""Where the traffic goes when things change under the controller: never to a version that nobody has judged."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.apps import NAMESPACE, canary, deployment, metric, template
from tests.e2e.traffic import MeshUser
from tests.e2e.world import World

OLD, NEW = "6.1.0", "6.1.1"


def judged(name: str, **spec: Any) -> dict[str, Any]:
    """A Canary with a metric of its own: `verdict` says what that is."""
    made = canary(name, metrics=[metric(f"{name}-verdict")])
    made["spec"] |= spec
    return made


def verdict(name: str, *, good: bool) -> dict[str, Any]:
    return template(f"{name}-verdict", "vector(0)" if good else "vector(100)")


def user_of(world: World, name: str, port: int = 9898) -> MeshUser:
    return MeshUser(world.sandbox.node, f"http://{name}.{NAMESPACE}:{port}/version")


def test_a_rollback_loses_no_request(trials: World):
    trials.apply(verdict("steady", good=True), deployment("steady", tag=OLD), judged("steady"))
    trials.wait_for_phase("steady", "Initialized", seconds=60)
    mark = trials.mark()
    with user_of(trials, "steady") as inside:
        trials.apply(deployment("steady", tag=NEW))
        trials.wait_for("steady", "at 40%", lambda sight: sight.weight == 40, after=mark)
        trials.apply(verdict("steady", good=False))
        trials.wait_for_phase("steady", "Failed", after=mark, seconds=60)
        trials.kubectl(
            "wait", "--for=jsonpath={.spec.replicas}=0", "-n", NAMESPACE, "deployment/steady", "--timeout=60s"
        )
        trials.kubectl("wait", "--for=delete", "pod", "-l", "app=steady", "-n", NAMESPACE, "--timeout=60s")
    assert NEW in inside.versions
    assert inside.versions[-1] == OLD
    assert inside.versions.count("lost") == 0


def test_a_port_that_moves_takes_the_primary_nowhere(trials: World):
    """The new version listens on another port; it fails, and the old one served all the time."""
    trials.apply(
        verdict("moved", good=True),
        deployment("moved", tag=OLD, port=9898),
        judged("moved", service={"port": 80, "targetPort": 9898}),
    )
    trials.wait_for_phase("moved", "Initialized", seconds=60)
    mark = trials.mark()
    with user_of(trials, "moved", 80) as inside:
        trials.apply(deployment("moved", tag=NEW, port=9899), judged("moved", service={"port": 80, "targetPort": 9899}))
        trials.wait_for("moved", "at 20%", lambda sight: sight.weight == 20, after=mark)
        trials.apply(verdict("moved", good=False))
        trials.wait_for_phase("moved", "Failed", after=mark, seconds=60)
        inside.next_versions(10)  # the routes may take a moment
        afterwards = inside.next_versions(20)
    assert set(inside.versions) == {OLD, NEW}
    assert set(afterwards) == {OLD}


def test_apps_that_share_a_name_label_keep_their_users(trials: World):
    for name, tag in (("left", OLD), ("right", NEW)):
        labels = {"app.kubernetes.io/name": "podinfo", "app.kubernetes.io/instance": name}
        trials.apply(verdict(name, good=True), deployment(name, tag=tag, labels=labels), judged(name))
    for name in ("left", "right"):
        trials.wait_for_phase(name, "Initialized", seconds=60)
    for name, tag in (("left", OLD), ("right", NEW)):
        with user_of(trials, name) as inside:
            assert set(inside.next_versions(40)) == {tag}


def test_a_primary_that_is_deleted_comes_back_as_it_was(trials: World):
    """In the middle of a rollout, and after its rollback: the version under test never gets all users."""
    trials.apply(verdict("orphan", good=True), deployment("orphan", tag=OLD), judged("orphan"))
    trials.wait_for_phase("orphan", "Initialized", seconds=60)
    mark, routes = trials.mark(), len(trials.routes)
    trials.apply(deployment("orphan", tag=NEW))
    trials.wait_for("orphan", "at 20%", lambda sight: sight.weight == 20, after=mark)
    trials.apply(verdict("orphan", good=False))
    delete_primary(trials, "orphan")
    trials.wait_for_phase("orphan", "Failed", after=mark, seconds=90)
    assert image_of_primary(trials, "orphan") == OLD
    assert max(trials.weights_since("orphan", routes)) <= 30

    delete_primary(trials, "orphan")
    assert image_of_primary(trials, "orphan") == OLD
    with user_of(trials, "orphan") as inside:
        assert set(inside.next_versions(30)) == {OLD}


def delete_primary(world: World, name: str) -> None:
    """Delete it, and wait until it is there again with pods that serve."""
    before = json.loads(world.kubectl("get", "deployment", f"{name}-primary", "-n", NAMESPACE, "-o", "json"))
    world.kubectl("delete", "deployment", f"{name}-primary", "-n", NAMESPACE)
    world.kubectl("wait", "--for=create", f"deployment/{name}-primary", "-n", NAMESPACE, "--timeout=60s")
    world.kubectl("rollout", "status", f"deployment/{name}-primary", "-n", NAMESPACE, "--timeout=90s")
    after = json.loads(world.kubectl("get", "deployment", f"{name}-primary", "-n", NAMESPACE, "-o", "json"))
    assert before["metadata"]["uid"] != after["metadata"]["uid"]


def image_of_primary(world: World, name: str) -> str:
    """The tag that the primary runs."""
    primary = world.get("deployment", f"{name}-primary", NAMESPACE)
    return str(primary["spec"]["template"]["spec"]["containers"][0]["image"]).rpartition(":")[2]
