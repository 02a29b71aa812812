"""`make bench` on the smallest scale: every figure is measured."""

from __future__ import annotations

import math
from dataclasses import replace

from bench.cost.__main__ import OURS
from bench.cost.cluster import open_cluster
from bench.cost.table import ROWS, render
from bench.cost.trial import Sizes, Trial
from bench.cost.world import open_world

SMALLEST = Sizes(canaries=3, rollouts=5, interval=1, start=15, idle=2, progress=8, patience=60)


async def test_every_figure_is_measured(istio_api_server, tmp_path):
    controller = replace(OURS, command=(*OURS.command, "--minimum-interval=1s"))
    async with open_cluster(istio_api_server, tmp_path) as cluster, open_world(cluster, "cost") as world:
        figures = await Trial(controller, SMALLEST, world, tmp_path / "log").run()
    expected = {name for row in ROWS for name in row.names}
    assert figures.keys() == expected
    assert all(map(math.isfinite, figures.values())), figures
    assert figures["rollouts"] == 5
    assert figures["idle_requests"] < 60
    assert 0.8 < figures["step"] < 3
    assert figures["back"] < 15
    assert len(render({("canary", 3): figures}).splitlines()) == 2 + len(ROWS)
