"""What a comparison should ask of a service: tried on the service's own recorded traffic.

Candidates are tried from the one that finds a doubling of bad requests soonest. The first that raises no more false
alarms than the metric's ``risk`` is proposed: `null_canaries` counts them, `expectations` foresees the doubling with
the measured rates and clumps. Each is tried with the interval that it needs for that, since a plan that ends before a
comparison could find anything raises no alarms either.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

from controller.api.analysis import Analysis
from controller.api.canary import Canary
from controller.api.compare import SENSITIVITIES, Limits, Sensitivity
from controller.api.metric import Metric
from controller.core.analysis.thresholds import Templates
from controller.core.simulation.advice import longer, with_compare
from controller.core.simulation.expectations import Expectation, Outlook, Traffic
from controller.core.simulation.null_canaries import try_null_canaries
from controller.core.simulation.recording import Recording, traffic_query
from controller.core.simulation.replay import find_spans
from controller.core.simulation.run import Outcome
from controller.core.simulation.steps import plan_looks

DOUBLING = 2.0
WARMUPS = ("0s", "1m", "2m", "5m")


@dataclass(frozen=True, slots=True)
class Setting:
    """What may be asked: a ``sensitivity`` and a ``warmup``."""

    sensitivity: Sensitivity
    warmup: str

    def on(self, canary: Canary, metric: Metric) -> Canary:
        """The Canary with this setting of one metric, in place of limits of its own."""
        update = {"sensitivity": self.sensitivity, "warmup": self.warmup, **dict.fromkeys(Limits._fields)}
        analysis = with_compare(canary.spec.analysis, metric.name, update)
        return canary.model_copy(update={"spec": canary.spec.model_copy(update={"analysis": analysis})})


SETTINGS = tuple(Setting(*each) for each in product(SENSITIVITIES, WARMUPS))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A setting within which a doubling is found.

    Attributes:
        setting: the setting.
        interval: the shortest of `advice.INTERVALS`, or that of the spec, with which it is found before the plan ends.
        doubling: when that is.
    """

    setting: Setting
    interval: str
    doubling: Expectation

    def on(self, canary: Canary, metric: Metric) -> Canary:
        """The Canary with the setting of this metric, and the interval."""
        tuned = self.setting.on(canary, metric)
        return with_interval(tuned, self.interval)


@dataclass(frozen=True, slots=True)
class Trial:
    """What one candidate would have done: of ``runs`` null canaries it would have rolled back ``alarms``."""

    candidate: Candidate
    runs: int
    alarms: int

    def holds(self, risk: float) -> bool:
        """Whether no more than this part of them are false alarms."""
        return self.alarms <= risk * self.runs


def find_candidates(canary: Canary, traffic: Traffic, metric: Metric) -> tuple[Candidate, ...]:
    """The settings with which a doubling of this metric's bad requests is found, the quickest first."""
    found = (_fit(setting, setting.on(canary, metric).spec.analysis, traffic, metric) for setting in SETTINGS)
    return tuple(sorted((each for each in found if each), key=lambda each: each.doubling.seconds or math.inf))


def _fit(setting: Setting, analysis: Analysis, traffic: Traffic, metric: Metric) -> Candidate | None:
    for edited in (analysis, *(edited for _, _, edited in longer(analysis))):
        doubling = foresee(edited, traffic, metric)
        if doubling and doubling.look is not None:
            return Candidate(setting, edited.interval, doubling)
    return None


def foresee(analysis: Analysis, traffic: Traffic, metric: Metric) -> Expectation | None:
    """When the analysis finds a doubling of this metric's bad requests; None where nothing can be expected."""
    now = next(each for each in analysis.metrics if each.name == metric.name)
    outlook = Outlook.of(analysis, plan_looks(analysis), traffic, now)
    return outlook.fail(DOUBLING) if outlook else None


def try_candidates(
    canary: Canary,
    templates: Templates,
    recording: Recording,
    metric: Metric,
    candidates: Iterable[Candidate],
    *,
    most_runs: int = 200,
) -> Iterator[Trial]:
    """Each candidate on the quiet times of the recording; none for one whose plan does not fit into them.

    Raises:
        RecordingError: the recording does not hold the answers.
    """
    for candidate in candidates:
        alone = _alone(candidate.on(canary, metric), metric)
        looked = recording.every(alone.spec.analysis.tick_seconds())
        counted = dict(looked.counted(canary, traffic_query(canary)))
        spans = find_spans(counted, looked.points)
        nulls = try_null_canaries(alone, templates, looked, counted, spans, most=most_runs)
        if nulls:
            yield Trial(candidate, len(nulls), sum(null.run.outcome is Outcome.HARM for null in nulls))


def with_interval(canary: Canary, interval: str) -> Canary:
    """The Canary with another ``analysis.interval``."""
    analysis = canary.spec.analysis.model_copy(update={"interval": interval})
    return canary.model_copy(update={"spec": canary.spec.model_copy(update={"analysis": analysis})})


def _alone(canary: Canary, metric: Metric) -> Canary:
    """The Canary with nothing but this comparison, which decides."""
    alone = next(each for each in canary.spec.analysis.metrics if each.name == metric.name)
    thresholds = dict.fromkeys(("threshold", "threshold_range", "query", "template_ref"))
    alone = alone.model_copy(update={**thresholds, "dry_run": False})
    analysis = canary.spec.analysis.model_copy(update={"metrics": (alone,)})
    return canary.model_copy(update={"spec": canary.spec.model_copy(update={"analysis": analysis})})
