"""Side by side in the sandbox: what a threshold and a comparison make of the same faults, with real traffic.

    python -m tests.e2e.comparison [--keep]

Two apps with the same load and the same faults (Envoy's own fault filter in the sidecars, so the rate is exact): one is
judged by "error-rate max 1" as in the workshop, the other by ``compare``. Prints what each came to, and how long the
traffic took to go back. `--keep` leaves the sandbox, named `bench`, running.
"""

from __future__ import annotations

import argparse
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from sandbox.lifecycle import down
from tests.e2e.world import PROD, World

INTERVAL_SECONDS = 5
REQUESTS_PER_SECOND = 300
PER_MILLION = 1_000_000
RULE, COMPARISON = "by-threshold", "by-comparison"


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fault, as percent of requests that fail on either side, and how each app should end."""

    title: str
    primary: float
    canary: float
    expected: Mapping[str, str]


SCENARIOS = (
    Scenario("errors up from 0.1% to 0.6%", 0.1, 0.6, {RULE: "Succeeded", COMPARISON: "Failed"}),
    Scenario("noisy but healthy: 2% on both", 2, 2, {RULE: "Failed", COMPARISON: "Succeeded"}),
    Scenario("10 times the errors: 1% to 10%", 1, 10, {RULE: "Failed", COMPARISON: "Failed"}),
)


def app(metrics: Mapping[str, Any], **analysis: Any) -> dict[str, Any]:
    """An app as it stands in the stack."""
    return {
        "image": "ghcr.io/stefanprodan/podinfo",
        "tag": "6.1.0",
        "command": ["./podinfo", "--port=9898"],
        "minReadySeconds": 0,
        "hpa": {"enabled": False},
        "service": {"port": 9898},
        "analysis": {
            "interval": f"{INTERVAL_SECONDS}s",
            "threshold": 4,
            "stepWeight": 5,
            "maxWeight": 50,
            "metrics": metrics,
            **analysis,
        },
    }


STACK: Mapping[str, Any] = {
    "canary-on-istio:controller": {"minimumInterval": "2s"},
    "canary-on-istio:observability": {"prometheus": {"scrapeInterval": "2s"}},
    "canary-on-istio:apps": {
        "frontend": None,
        "backend": None,
        RULE: app({"latency": None, "error-rate": {"interval": "20s"}}),
        COMPARISON: app(
            {
                "latency": None,
                "error-rate": None,
                # the faults are the sidecars', so nothing has to warm up
                "errors": {"compare": {"with": "primary", "errors": {}, "warmup": "0s"}},
            }
        ),
    },
}


def fault(app_label: str, percent: float, *, hangs_for: str = "") -> dict[str, Any]:
    """Makes the sidecars of the pods with this label answer so many percent of the requests with 500.

    With ``hangs_for``, a time of protobuf's such as ``5s``, those are answered as the app does, so much later.
    """
    what = {"delay": {"fixed_delay": hangs_for}} if hangs_for else {"abort": {"http_status": 500}}
    share = {"numerator": round(percent / 100 * PER_MILLION), "denominator": "MILLION"}
    config = {kind: {**settings, "percentage": share} for kind, settings in what.items()}
    manager = {
        "name": "envoy.filters.network.http_connection_manager",
        "subFilter": {"name": "envoy.filters.http.router"},
    }
    kind = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"
    return {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": f"fault-{app_label}", "namespace": PROD},
        "spec": {
            "workloadSelector": {"labels": {"app": app_label}},
            "configPatches": [
                {
                    "applyTo": "HTTP_FILTER",
                    "match": {"context": "SIDECAR_INBOUND", "listener": {"filterChain": {"filter": manager}}},
                    "patch": {
                        "operation": "INSERT_BEFORE",
                        "value": {"name": "envoy.filters.http.fault", "typed_config": {"@type": kind, **config}},
                    },
                }
            ],
        },
    }


@contextmanager
def load(world: World) -> Iterator[None]:
    """Steady requests to both apps, through the mesh, from the load tester's pod."""
    node = world.sandbox.node
    workers = 4
    running = [
        subprocess.Popen(
            [
                str(node.cache.bin / "kubectl"), f"--kubeconfig={node.instance.kubeconfig}", "exec", "-n", PROD,
                "deploy/flagger-loadtester", "--", "hey", "-z", "15m", "-c", str(workers),
                "-q", str(REQUESTS_PER_SECOND // workers), f"http://{name}.{PROD}:9898/healthz",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name in (RULE, COMPARISON)
    ]  # fmt: skip
    try:
        yield
    finally:
        for each in running:
            each.terminate()
            each.wait()


def run(world: World, number: int, scenario: Scenario, table: Table) -> bool:
    """One scenario; whether both apps ended as they should."""
    for name in (RULE, COMPARISON):
        world.apply(fault(name, scenario.canary), fault(f"{name}-primary", scenario.primary))
    mark, routes = world.mark(), len(world.routes)
    revision = {"env": {"REVISION": str(number)}}
    world.deploy_apps({RULE: revision, COMPARISON: revision})
    right = True
    for name in (RULE, COMPARISON):
        world.wait_for_phase(name, "Progressing", after=mark)
        ended = world.wait_for(
            name, "at its end", lambda sight: sight.phase in ("Succeeded", "Failed"), after=mark + 1, seconds=300
        )
        right &= ended.phase == scenario.expected[name]
        seconds = seconds_with_traffic(world, name, routes)
        looks = f"{seconds:.1f} s = {seconds / INTERVAL_SECONDS:.1f} looks"
        table.add_row(scenario.title, name, scenario.expected[name], ended.phase, looks, ended.message)
    return right


def seconds_with_traffic(world: World, name: str, routes: int) -> float:
    """From the canary's first traffic to its last."""
    seen = [(weight, at) for app_name, _, weight, at in world.routes[routes:] if app_name == name]
    first = next(at for weight, at in seen if weight)
    return next(at for weight, at in seen if at > first and not weight) - first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="leave the sandbox running")
    keep = parser.parse_args().keep
    console, name = Console(width=160), "bench"
    table = Table(
        "Fault", "Judged", "Should be", "Came to", "Canary had traffic for", "Said", title="One fault, two judges"
    )
    world = World.from_nothing(name, STACK)
    right = True
    try:
        with load(world):
            time.sleep(INTERVAL_SECONDS)  # the primary's counters have to exist before the first rollout
            for number, scenario in enumerate(SCENARIOS, 1):
                console.print(f"{number} of {len(SCENARIOS)}: {scenario.title}")
                right &= run(world, number, scenario, table)
    finally:
        world.close()
        console.print(table)
        if not keep:
            down(name)
    if not right:
        raise SystemExit("Not every canary came to what it should.")


if __name__ == "__main__":
    main()
