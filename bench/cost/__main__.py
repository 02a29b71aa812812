"""`make bench`: what the controller costs, beside Flagger, on one API server with simulated nodes."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from bench.cost.cluster import open_cluster
from bench.cost.flagger import VERSION, build_flagger
from bench.cost.table import machine, render, write
from bench.cost.trial import Controller, Figures, Sizes, Trial
from bench.cost.world import open_world
from controller import __version__
from sandbox.node.apiserver import ApiServer, api_server
from sandbox.paths import REPO, Cache
from tests.apiserver.stage import install_crds

# As the program runs it: with the page.
OURS = Controller("canary", (str(Path(sys.executable).with_name("canary")), "run", "--page-port=0"), compares=True)
console = Console(highlight=False)


async def measure(server: ApiServer, controllers: list[Controller], options: argparse.Namespace) -> None:
    """Every controller with every number of Canaries, one at a time; the page has what is measured so far."""
    await install_crds(server.kubeconfig)
    results: dict[tuple[str, int], Figures] = {}
    where = machine((f"Flagger {VERSION}", f"canary {__version__}"))
    options.logs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="canary-bench-") as folder:
        async with open_cluster(server, Path(folder)) as cluster:
            for canaries in options.canaries:
                for controller in controllers:
                    began = time.monotonic()
                    label = f"{controller.name}-{canaries}".lower()
                    sizes = Sizes(canaries, options.rollouts if canaries == max(options.canaries) else 0)
                    log = options.logs / f"{label}.log"
                    log.unlink(missing_ok=True)
                    async with open_world(cluster, label) as world:
                        figures = await Trial(controller, sizes, world, log).run()
                    results[controller.name, canaries] = figures
                    taken = f"{time.monotonic() - began:.0f} s"
                    console.print(f"{label}: {taken}", {name: round(value, 2) for name, value in figures.items()})
                    write(options.page, f"{render(results)}\nMeasured on {where}\n")
    console.print(render(results))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--canaries", type=_numbers, default=[100, 200, 500], help="how many (default 100,200,500)")
    parser.add_argument("--rollouts", type=int, default=1000, help="with most canaries, for memory (default 1000)")
    parser.add_argument("--only", choices=("Flagger", OURS.name), help="one of the two (default both)")
    parser.add_argument("--page", type=Path, default=REPO / "docs/cost.md", help="gets the table")
    parser.add_argument("--logs", type=Path, default=REPO / "bench/out", help="folder of the controllers' logs")
    options = parser.parse_args()
    controllers = [] if options.only == OURS.name else [Controller("Flagger", (str(build_flagger(Cache.default())),))]
    controllers += [] if options.only == "Flagger" else [OURS]
    with api_server() as server:
        asyncio.run(measure(server, controllers, options))


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


if __name__ == "__main__":
    main()
