"""The metrics with ``compare``, of whatever kind: what each asks, what the answers say, and the evidence they begin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from controller.api.canary import Canary
from controller.api.compare import Compare
from controller.api.metric import Metric
from controller.core.analysis.counters import begin, plan_counters, plan_history, read_samples
from controller.core.analysis.thresholds import TemplateError, Templates
from controller.core.analysis.values import begin_values, plan_values, read_values
from controller.core.evidence.comparison import Comparison
from controller.core.evidence.readings import Reading
from controller.core.model import Evidence
from controller.core.probes import CounterProbe, History, HistoryProbe, MetricProbe, ProbeResult, QueryFailed, Samples

Plan = tuple[CounterProbe] | tuple[MetricProbe, MetricProbe]
"""One query for the counters of both sides, or one for the number of each."""


def plan_comparison(canary: Canary, metric: Metric, templates: Templates) -> Plan | QueryFailed:
    """What to ask for a metric's ``compare``, or why nothing can be asked."""
    try:
        if metric.compare and metric.compare.value:
            return plan_values(canary, metric, templates)
        return (plan_counters(canary, metric),)
    except TemplateError as error:
        return QueryFailed(str(error))


@dataclass(frozen=True, slots=True)
class Compared:
    """A metric with ``compare``, and what to ask for it."""

    metric: Metric
    compare: Compare
    plan: Plan | QueryFailed

    @property
    def probes(self) -> tuple[CounterProbe | MetricProbe, ...]:
        return () if isinstance(self.plan, QueryFailed) else self.plan

    def read(self, canary: Canary, results: Mapping[str, ProbeResult]) -> Reading | QueryFailed:
        """What the answers say of the two sides."""
        if isinstance(self.plan, QueryFailed):
            return self.plan
        if len(self.plan) == 2:
            return read_values(*(results[probe.key] for probe in self.plan))
        answer = results[self.plan[0].key]
        if isinstance(answer, QueryFailed):
            return answer
        if not isinstance(answer, Samples):
            raise TypeError(f"counters are answered by Samples or QueryFailed, not by {answer!r}")
        return read_samples(canary, answer.samples, self.compare.edges_ms)

    def past(self, canary: Canary, interval: float) -> HistoryProbe | None:
        """What to ask for how the primary's counters were before; None where there are none."""
        counts = not isinstance(self.plan, QueryFailed) and not self.compare.value
        return plan_history(canary, self.metric, interval) if counts else None

    def begin(
        self, canary: Canary, reading: Reading, now: datetime, results: Mapping[str, ProbeResult] | None = None
    ) -> Evidence:
        """The evidence that counts from a first reading on; the answer to `past` may be in ``results``."""
        if self.compare.value:
            return begin_values(canary, self.metric, now, self.probes[0].query)
        history = (results or {}).get(HistoryProbe.key_of(self.metric.name))
        times = history.times if isinstance(history, History) else ()
        past = [read_samples(canary, each.samples, self.compare.edges_ms) for each in times]
        return begin(canary, self.metric, reading, now).seed(past)


def still_asked(canary: Canary, metric: Metric, evidence: Evidence) -> bool:
    """Whether evidence is for what the metric's ``compare`` asks now."""
    compares_values = metric.compare is not None and metric.compare.value is not None
    try:
        if isinstance(evidence, Comparison):
            return not compares_values and evidence.answers(begin(canary, metric, Reading(), evidence.since))
        return compares_values and evidence.answers(begin_values(canary, metric, evidence.since))
    except TemplateError:
        return False
