"""The loop around ``decide``."""

from __future__ import annotations

import pytest

from controller.core.decision import Measure
from controller.core.probes import MetricProbe, NoValues
from controller.core.rollout import drive
from tests.unit.core.cluster import initialized


@pytest.mark.parametrize(("probes", "known"), [((MetricProbe("x", "y"),), "metric/x"), ((), "nothing")])
def test_a_core_that_asks_for_nothing_new_is_stopped(monkeypatch, probes, known):
    cluster = initialized()
    monkeypatch.setattr(drive, "decide", lambda state, observation: Measure(probes))
    with pytest.raises(RuntimeError, match=known):
        drive.drive(cluster.state, cluster.facts(), lambda probes: {probe.key: NoValues() for probe in probes})
