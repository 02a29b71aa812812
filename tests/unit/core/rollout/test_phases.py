"""The table of phases: what is not in it is refused, and each of its lines is walked by a rollout here."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from controller.api.status import Phase
from controller.core.model import Passed, Refused, Value
from controller.core.rollout.phases import HOLDS, MOVES, IllegalTransition, Reason, draw_phases, next_phase
from controller.core.rollout.settle import settle
from controller.core.tick import Tick, Observation
from tests.builders import AB_TESTING, ERROR_RATE, WEIGHTED, canary_manifest, make_deployment, webhook
from tests.unit.core.cluster import Cluster, initialized, progressing, with_state

ARCHITECTURE = Path(__file__).parents[4] / "docs/architecture.md"
BEGIN, END = "<!-- phases: written by make generate -->\n", "<!-- end of phases -->\n"

GATES = [webhook(name, name) for name in ("confirm-rollout", "confirm-traffic-increase", "confirm-promotion", "rollback")]
ANALYSIS = {**WEIGHTED, "threshold": 1, "metrics": [ERROR_RATE], "webhooks": GATES}
IN_ANALYSIS = (Phase.PROGRESSING, Phase.WAITING_PROMOTION)
