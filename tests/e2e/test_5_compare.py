"""`backend`, compared with its primary by the snippet of the README, as it stands there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from sandbox.paths import REPO
from tests.e2e.comparison import fault
from tests.e2e.world import AT_REST, PROD, World

COUNTED = re.compile(r"of ([\d,]+) requests against the primary's \S+ of ([\d,]+)")
INTERVAL = "8s"
"""Ten steps are longer than the warm-up that a comparison has unless it sets another."""


@pytest.fixture(scope="module")
def compared() -> dict[str, Any]:
    """The analysis of an app with the README's metrics."""
    section = (REPO / "README.md").read_text().partition("## Compare with the primary")[2]
    snippet: dict[str, Any] = yaml.safe_load(section.partition("```yaml\n")[2].partition("```")[0])
    return {**snippet["analysis"], "interval": INTERVAL}


FAULTS: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "it fails requests": ({}, fault("backend", percent=30)),
    # Nobody waits for the answer: the pod's own sidecar has counted code 0, and only the caller a 504.
    "it hangs, and the route times out": ({"timeout": "1s"}, fault("backend", percent=30, hangs_for="5s")),
}
"""What is wrong with a version: `spec.service`, and what the sidecars of pods that are no primary do."""


def test_a_good_version_is_promoted(world: World, compared):
    world.settle("backend")
    mark, heard = world.mark(), len(world.events)
    world.deploy("backend", analysis=compared, env={"REVISION": "good"})
    world.wait_for_phase("backend", "Progressing", after=mark)
    world.wait_for_phase("backend", "Succeeded", after=world.mark(), seconds=240)
    # A look without requests of one side is told too, where Prometheus could not scrape its pod: the last one counts.
    counted = [COUNTED.search(message) for name, message in world.events[heard:] if name == "backend"]
    last = [found for found in counted if found][-1]
    assert min(int(requests.replace(",", "")) for requests in last.groups()) > 0


@pytest.mark.parametrize("name", FAULTS)
def test_a_bad_version_is_rolled_back(world: World, compared, name):
    service, broken = FAULTS[name]
    world.settle("backend")
    world.deploy("backend", service=service)
    world.settle("backend")
    world.apply(broken)
    try:
        mark, heard = world.mark(), len(world.events)
        world.deploy("backend", analysis=compared, env={"REVISION": name})
        world.wait_for_phase("backend", "Progressing", after=mark)
        failed = world.wait_for(
            "backend", "at its end", lambda sight: sight.phase in AT_REST, after=world.mark(), seconds=240
        )
        assert failed.phase == "Failed"
        world.wait_for_event("backend", "Rolling back backend.prod errors: ", after=heard)
    finally:
        world.kubectl("delete", "envoyfilter", broken["metadata"]["name"], "--namespace", PROD)
    primary = world.get("deployment", "backend-primary")["spec"]["template"]["spec"]["containers"][0]
    assert {"name": "REVISION", "value": name} not in primary.get("env", [])


def test_a_canary_whose_only_pod_stops_being_ready_gives_its_traffic_back_at_once(world: World, compared):
    """Istio sends endpoints that are not ready, and Envoy uses none of them: each request would be a 503 UH.

    Only the caller counts those, so thresholds on what the pods say would see nothing until the progress deadline.
    """
    world.settle("backend")
    mark, heard = world.mark(), len(world.events)
    world.deploy("backend", analysis=compared, env={"REVISION": "unready"})
    world.wait_for("backend", "with traffic", lambda sight: sight.weight > 0, after=mark)
    readiness = f"http://backend-canary.{PROD}:9898/readyz"
    tester = ("exec", f"--namespace={PROD}", "deploy/flagger-loadtester", "--container=loadtester")
    post = (*tester, "--", "curl", "--silent", "-X", "POST")
    mark = world.mark()
    world.kubectl(*post, f"{readiness}/disable")
    world.wait_for("backend", "without traffic", lambda sight: sight.weight == 0, after=mark, seconds=60)
    gone = "Halt backend.prod advancement no pod of backend.prod is available, routing all traffic to backend-primary"
    world.wait_for_event("backend", gone, after=heard)
    assert world.get("canary", "backend")["status"]["phase"] == "Progressing", "a failed check, and no more yet"
    pod = world.kubectl("get", "pods", f"--namespace={PROD}", "--selector=app=backend", "--output=name").split()[0]
    world.kubectl("delete", pod, f"--namespace={PROD}")
    world.wait_for_phase("backend", "Succeeded", after=mark, seconds=240)
