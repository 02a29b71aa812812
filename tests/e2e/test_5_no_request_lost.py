"""However a rollout ends, no request is lost: 100 a second, counted at the client, of an app that stops at once.

What such an app has in hand when it is told to end is lost whoever tells it, as in every rolling update of Kubernetes:
one request a connection at most, each time that pods end which have users. With a preStop hook that lets the proxies
hear of it first nothing is. ``CANARY_E2E_RUNS`` says how often each end is tried. It is a measurement for a machine
that does nothing else.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import product
from typing import Any

import pytest

from tests.e2e.apps import NAMESPACE, canary, deployment, metric, template
from tests.e2e.world import World

RUNS = int(os.environ.get("CANARY_E2E_RUNS", "0"))
pytestmark = pytest.mark.skipif(not RUNS, reason="400 requests a second for two minutes: set CANARY_E2E_RUNS")
SECONDS = 100
"""Longer than any of these rollouts takes."""
CONNECTIONS = 4
HOOKS: Mapping[str, Any] = {"at once": {}, "after its hook": {"preStop": {"sleep": {"seconds": 5}}}}


def app(world: World, name: str, revision: str) -> dict[str, Any]:
    """An app that is gone in the moment in which it is told to end, with every request that it still had."""
    hook = HOOKS["after its hook" if name.startswith("hooked") else "at once"]
    made = deployment(name, revision)
    container = made["spec"]["template"]["spec"]["containers"][0]
    tester = world.get("deployment", "flagger-loadtester")["spec"]["template"]["spec"]["containers"][0]
    container |= {
        "image": tester["image"],
        "command": ["sh", "-c", "trap 'exit 0' TERM; ./loadtester -port=9898 & wait"],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 9898}, "periodSeconds": 1},
        "lifecycle": hook,
    }
    return made


@contextmanager
def users(world: World, name: str) -> Iterator[subprocess.Popen[str]]:
    """100 requests a second from inside the mesh, until the rollout is over and for some seconds more."""
    command = [
        str(world.sandbox.node.cache.bin / "kubectl"), f"--kubeconfig={world.sandbox.node.instance.kubeconfig}",
        "exec", "--namespace=prod", "deploy/flagger-loadtester", "--container=loadtester", "--",
        "hey", "-z", f"{SECONDS}s", "-c", f"{CONNECTIONS}", "-q", "25", "-t", "10", f"http://{name}.{NAMESPACE}:9898/healthz",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        yield running


def lost(report: str) -> tuple[int, str]:
    """How many requests had a good answer, and what became of the others, as hey counts them."""
    answered = {int(code): int(count) for code, count in re.findall(r"\[(\d+)\]\s+(\d+) responses", report)}
    errors = report.partition("Error distribution:")[2].strip()
    return answered.pop(200, 0), "; ".join(filter(None, (str(answered) if answered else "", errors)))


def promote(world: World, name: str, mark: int) -> None:
    world.wait_for_phase(name, "Succeeded", after=mark, seconds=SECONDS)


def roll_back(world: World, name: str, mark: int) -> None:
    world.wait_for(name, "at 30%", lambda sight: sight.weight == 30, after=mark)
    world.apply(template(f"{name}-verdict", "vector(100)"))
    world.wait_for_phase(name, "Failed", after=mark, seconds=SECONDS)


def revert(world: World, name: str, mark: int) -> None:
    world.wait_for(name, "at 30%", lambda sight: sight.weight == 30, after=mark)
    world.apply(app(world, name, "1"))
    world.wait_for_phase(name, "Initialized", after=mark, seconds=SECONDS)


def supersede(world: World, name: str, mark: int) -> None:
    world.wait_for(name, "at 30%", lambda sight: sight.weight == 30, after=mark)
    world.apply(app(world, name, "3"))
    world.wait_for_phase(name, "Succeeded", after=mark, seconds=SECONDS)


ENDING_IN_USE: Mapping[str, int] = {"promotion": 1, "supersede": 2}
"""How often pods end that have users: the primary's in a promotion, before that the canary's that is superseded."""
COURSES: dict[str, Callable[[World, str, int], None]] = {
    "promotion": promote,
    "rollback": roll_back,
    "revert": revert,
    "supersede": supersede,
}


def roll_out(world: World, end: str, stops: str, run: int) -> str:
    """A rollout under load, from nothing to its end; what its users saw."""
    name = f"{'abrupt' if stops == 'at once' else 'hooked'}-{end}-{run}"
    analysis = canary(name, metrics=[metric(f"{name}-verdict")])
    world.apply(template(f"{name}-verdict", "vector(0)"), app(world, name, "1"), analysis)
    world.wait_for_phase(name, "Initialized", seconds=90)
    mark = world.mark()
    with users(world, name) as running:
        world.apply(app(world, name, "2"))
        COURSES[end](world, name, mark)
        world.kubectl(
            "wait", "--for=jsonpath={.spec.replicas}=0", "-n", NAMESPACE, f"deployment/{name}", "--timeout=60s"
        )
        report, _ = running.communicate(timeout=SECONDS + 30)
    world.kubectl("delete", "canary,deployment", name, "-n", NAMESPACE)
    return report


@pytest.fixture(scope="module", params=list(product(range(RUNS or 1), HOOKS)), ids=str)
def reports(trials: World, request: pytest.FixtureRequest) -> tuple[str, dict[str, Future[str]]]:
    """How the app stops, and what the users saw, by the end of the rollout; all ends at once."""
    run, stops = request.param
    with ThreadPoolExecutor(len(COURSES)) as pool:
        return stops, {end: pool.submit(roll_out, trials, end, stops, run) for end in COURSES}


@pytest.mark.parametrize("end", COURSES)
def test_no_request_is_lost(reports, end):
    stops, reported = reports
    report = reported[end].result()
    answered, others = lost(report)
    times = ENDING_IN_USE.get(end, 0) if stops == "at once" else 0
    assert answered > 50 * SECONDS, report
    assert others in ["", *(f"{{503: {number}}}" for number in range(1, times * CONNECTIONS + 1))], report
