"""False alarms: one pod of the primary plays the canary against the others while there is no canary.

The primary's own values meet the thresholds. Nothing is wrong then, so whatever fails is a false alarm. With two pods
this is the pair of them; with more the others stay together, since a comparison learns from the pods of a side how
much errors clump, and would alarm too often without.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from controller.api.canary import Canary
from controller.api.metric import Metric
from controller.core.analysis.thresholds import Templates, plan_query
from controller.core.evidence.readings import Reading, is_pod
from controller.core.probes import (
    CounterProbe,
    HistoryProbe,
    MetricProbe,
    Probe,
    ProbeResult,
    QueryFailed,
    Sample,
    Samples,
)
from controller.core.simulation.recording import LULL, Recording, requests_of
from controller.core.simulation.run import Ask, ReplayError, Run, ask_history, ask_recording, run
from controller.core.simulation.steps import plan_looks


@dataclass(frozen=True, slots=True)
class NullRun:
    """One pod of the primary taken for a canary, while there was none."""

    pod: str
    run: Run


def try_null_canaries(
    canary: Canary,
    templates: Templates,
    recording: Recording,
    traffic: Mapping[int, Reading],
    busy: tuple[range, ...],
    *,
    most: int,
) -> tuple[NullRun, ...]:
    """Up to ``most`` runs in the times between the rollouts (``busy``)."""
    null = _null_canary(canary, templates)
    if not null.spec.analysis.metrics:
        return ()
    trials = _trials(traffic, busy, len(plan_looks(null.spec.analysis).looks))
    return tuple(
        NullRun(pod, run(null, templates, _ask_null(canary, templates, recording, pod), recording, window))
        for _, (pod, window) in zip(range(most), trials, strict=False)
    )


def _trials(traffic: Mapping[int, Reading], spans: tuple[range, ...], looks: int) -> Iterator[tuple[str, range]]:
    """Pods of the primary and windows to try them in: one a window, then the next pod in every window, and so on."""
    windows = [(window, _pods(traffic, window)) for window in _quiet_windows(traffic, spans, looks)]
    for turn in range(max((len(pods) for _, pods in windows), default=0)):
        for number, (window, pods) in enumerate(windows):
            if len(pods) > max(turn, 1):
                yield pods[(number + turn) % len(pods)], window


def _quiet_windows(traffic: Mapping[int, Reading], spans: tuple[range, ...], looks: int) -> Iterator[range]:
    """Windows without a canary in which a rollout fits, side by side."""
    taken = {point for span in spans for point in range(span.start, span.stop + LULL)}
    taken |= {point for point, reading in traffic.items() if requests_of(reading.canary) > 0}
    begin = 0
    for point in range(len(traffic) + 1):
        if point in taken:
            begin = point + 1
        elif point - begin == looks:
            yield range(begin, point + 1)
            begin = point


def _pods(traffic: Mapping[int, Reading], window: range) -> list[str]:
    """Pods of the primary that served requests in every part of the window."""
    served = [
        {key for key, counts in traffic[point].primary.items() if is_pod(key) and counts[0] > 0} for point in window[1:]
    ]
    return sorted(key.partition("/")[2] for key in set.intersection(*served))


def _ask_null(canary: Canary, templates: Templates, recording: Recording, pod: str) -> Ask:
    """The recorded answers with ``pod`` of the primary as the canary, and the primary's values for the canary's."""
    queries = {
        metric.name: rendered(as_primary(canary), metric, templates)
        for metric in canary.spec.analysis.metrics
        if metric.bounds
    }
    live = ask_recording(recording)

    def ask(probe: Probe, point: int) -> ProbeResult:
        if isinstance(probe, CounterProbe):
            return Samples(tuple(_as_null(canary, recording.samples(probe.query, point), pod)))
        if isinstance(probe, HistoryProbe):
            return ask_history(
                probe, point, lambda past: tuple(_as_null(canary, recording.samples(probe.query, past), pod))
            )
        return live(replace(probe, query=queries[probe.name]) if isinstance(probe, MetricProbe) else probe, point)

    return ask


def _as_null(canary: Canary, samples: tuple[Sample, ...], pod: str) -> Iterator[Sample]:
    names = canary.names
    for sample in samples:
        labels = sample.labels
        if labels.get("destination_workload") == names.primary and labels.get("reporter") != "source":
            # By the host alone: a pod's own counters come from another port than those of its proxy.
            workload = names.target if _host(labels.get("instance", "")) == _host(pod) else names.primary
            yield Sample({**labels, "destination_workload": workload}, sample.value)


def _host(instance: str) -> str:
    return instance.rpartition(":")[0] or instance


def as_primary(canary: Canary) -> Canary:
    """A Canary whose queries ask for the primary."""
    spec, names = canary.spec, canary.names
    target = spec.target_ref.model_copy(update={"name": names.primary})
    service = spec.service.model_copy(update={"name": names.service})
    return canary.model_copy(update={"spec": spec.model_copy(update={"target_ref": target, "service": service})})


def _null_canary(canary: Canary, templates: Templates) -> Canary:
    """The same analysis without the thresholds that the primary's values cannot be put to, and numbers of each side."""
    without_query = unbounded(canary, templates)
    no_bounds = {"threshold": None, "threshold_range": None, "query": None, "template_ref": None}
    metrics: list[Metric] = []
    for metric in canary.spec.analysis.metrics:
        bounds = metric.bounds is not None and metric not in without_query
        compare = metric.compare if metric.compare and not metric.compare.value else None
        if bounds or compare:
            metrics.append(metric.model_copy(update={"compare": compare, **({} if bounds else no_bounds)}))
    analysis = canary.spec.analysis.model_copy(update={"metrics": tuple(metrics)})
    return canary.model_copy(update={"spec": canary.spec.model_copy(update={"analysis": analysis})})


def untried(canary: Canary, templates: Templates) -> tuple[str, ...]:
    """The metrics that quiet times cannot try, since no query of theirs is answered pod by pod or names the target."""
    without_query = unbounded(canary, templates)
    return tuple(
        metric.name
        for metric in canary.spec.analysis.metrics
        if metric in without_query or (metric.compare and metric.compare.value)
    )


def unbounded(canary: Canary, templates: Templates) -> tuple[Metric, ...]:
    """The metrics whose thresholds quiet times cannot try: their query does not name the target."""
    primary = as_primary(canary)
    bounded = (metric for metric in canary.spec.analysis.metrics if metric.bounds)
    return tuple(
        metric for metric in bounded if rendered(canary, metric, templates) == rendered(primary, metric, templates)
    )


def rendered(canary: Canary, metric: Metric, templates: Templates) -> str:
    """The query of a metric's threshold. Raises ReplayError where there is none."""
    planned = plan_query(canary, metric, templates)
    if isinstance(planned, QueryFailed):
        raise ReplayError(f"metric {metric.name}: {planned.reason}")
    return planned.query
