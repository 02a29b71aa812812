"""The loop around ``decide``: it asks, somebody measures, it asks again with the answers, until it decides (ADR 1)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import TypeAlias

from controller.core.decision import Decision, Measure
from controller.core.model import Facts, Observation, State
from controller.core.probes import Probe, ProbeResult
from controller.core.rollout.decide import decide

Answers: TypeAlias = Mapping[str, ProbeResult]
"""Answers by ``Probe.key``."""


def deciding(state: State, facts: Facts) -> Generator[Measure, Answers, Decision]:
    """Yields what to measure, is sent the answers, and returns the decision.

    A generator, so that whoever measures may wait for the network or look into a recording.

    Raises:
        RuntimeError: ``decide`` asks for something that it knows; it would never end.
    """
    results: dict[str, ProbeResult] = {}
    while isinstance(outcome := decide(state, Observation(facts, results)), Measure):
        known = [probe.key for probe in outcome.probes if probe.key in results]
        if known or not outcome.probes:
            raise RuntimeError(f"decide asked again for {known or 'nothing'}")
        results |= yield outcome
    return outcome


def drive(state: State, facts: Facts, measure: Callable[[tuple[Probe, ...]], Answers]) -> Decision:
    """The decision, where ``measure`` answers at once."""
    steps = deciding(state, facts)
    try:
        asked = next(steps)
        while True:
            asked = steps.send(measure(asked.probes))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # what a generator returns is not typed
