"""What the metrics of an analysis have come to: the checks of the last look, and the comparisons by their evidence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from controller.api.canary import Canary
from controller.api.compare import Compare
from controller.api.metric import Metric
from controller.core.model import Evidence, State


@dataclass(frozen=True, slots=True)
class Finding:
    """The latest result of one metric.

    Attributes:
        metric: its name.
        verdict: passed or failed for a threshold; FAIL, PASS or INCONCLUSIVE for a comparison.
        detail: the result in words.
        value: the measured value of a threshold; None for a comparison, or if there was no value.
        ratio: the canary's bad rate, or value, divided by the primary's; None for a threshold, or without any yet.
        p_value: of a comparison, valid at any look.
        interval: of the ratio, up to infinity; None where there is none.
        sides: of a comparison, the bad part (0-1) or the value of canary and primary; None before anything counted.
        requests: of the canary, that a comparison has counted; None where none are counted.
        dry_run: the result decides nothing.
    """

    metric: str
    verdict: str
    detail: str
    value: float | None = None
    ratio: float | None = None
    p_value: float | None = None
    interval: tuple[float, float] | None = None
    sides: tuple[float, float] | None = None
    requests: float | None = None
    dry_run: bool = False


def find_all(canary: Canary, state: State) -> Iterator[Finding]:
    """The checks in the order in which they were made, then the comparisons, from their evidence."""
    said: dict[str, str] = {}
    for check in state.checks:
        if check.name in state.evidence and check.detail.startswith(f"{check.name}: "):
            said[check.name] = check.detail.removeprefix(f"{check.name}: ")
            continue
        verdict = "passed" if check.passed else "failed"
        yield Finding(check.name, verdict, check.detail, value=check.value, dry_run=check.dry_run)
    for metric in canary.spec.analysis.metrics:
        if metric.compare and metric.name in state.evidence:
            yield _comparison(metric, metric.compare, state.evidence[metric.name], said.get(metric.name))


def _comparison(metric: Metric, compare: Compare, comparison: Evidence, said: str | None) -> Finding:
    return Finding(
        metric.name,
        str(comparison.verdict(compare)),
        said or comparison.describe(compare),
        ratio=comparison.ratio,
        p_value=comparison.p_value,
        interval=comparison.interval,
        sides=comparison.sides,
        requests=comparison.seen.canary_total if comparison.seen else None,
        dry_run=metric.dry_run,
    )
