"""What a Canary would have decided over recorded metrics, by the same `decide` as in a cluster.

Two questions. *PastRollouts*: at every span of the recording in which the canary served requests, what would this spec
have done, and at which look? *Quiet times*: how often would it have alarmed without a canary (`null_canaries`)?

The recorded weights are those of then, not those this spec would have set. For a comparison that is no matter: it
reads the requests that were measured, look by look. Once the recorded rollout was over nothing more is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from controller.api.canary import Canary
from controller.api.support import unsupported_fields
from controller.core.analysis.comparisons import plan_comparison
from controller.core.analysis.thresholds import Templates, missing_templates
from controller.core.evidence.readings import Reading
from controller.core.probes import QueryFailed
from controller.core.simulation.null_canaries import NullRun, as_primary, rendered, try_null_canaries, untried
from controller.core.simulation.recording import LULL, Recording, requests_of, traffic_query
from controller.core.simulation.run import ReplayError, Run, ask_recording, run


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRollout:
    """A span in which the canary served requests.

    Attributes:
        begins_at: the last look before its first request.
        ends_at: the first look after its last one.
        cut_off: whether it had begun before the recording did.
        canary_requests: in the whole span.
        primary_requests: in the whole span.
        run: what this spec would have done in it.
    """

    begins_at: datetime
    ends_at: datetime
    cut_off: bool
    canary_requests: float
    primary_requests: float
    run: Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a spec would have done.

    Attributes:
        rollouts: in the past rollouts, in order.
        quiet: in quiet times.
        left_out: metrics that quiet times cannot try: their query does not name the target, or knows no pods.
    """

    rollouts: tuple[PastRollout, ...]
    quiet: tuple[NullRun, ...]
    left_out: tuple[str, ...]


def plan_recording(canary: Canary, templates: Templates) -> tuple[str, ...]:
    """Every query whose answers a replay reads.

    Raises:
        ReplayError: the Canary cannot be replayed.
    """
    if canary.spec.skip_analysis:
        raise ReplayError("spec.skipAnalysis: this Canary promotes without an analysis, there is nothing to replay")
    if refused := unsupported_fields(canary):
        raise ReplayError(f"the controller would refuse this Canary: {'; '.join(refused)}")
    if missing := missing_templates(canary, templates):
        raise ReplayError(f"MetricTemplate {', '.join(missing)} is not among the files: give its file too")
    queries = [traffic_query(canary)]
    for metric in canary.spec.analysis.metrics:
        if metric.compare:
            planned = plan_comparison(canary, metric, templates)
            if isinstance(planned, QueryFailed):
                raise ReplayError(f"metric {metric.name}: {planned.reason}")
            queries += [probe.query for probe in planned]
        if metric.bounds:
            queries += [rendered(each, metric, templates) for each in (canary, as_primary(canary))]
    return tuple(dict.fromkeys(queries))


def replay(canary: Canary, templates: Templates, recording: Recording, *, most_quiet: int = 200) -> Replay:
    """Replay every rollout of the recording, and up to ``most_quiet`` runs without one.

    Raises:
        RecordingError: the recording does not hold the answers, or not often enough (``analysis.interval``).
    """
    recording = recording.every(canary.spec.analysis.tick_seconds())
    traffic = dict(recording.counted(canary, traffic_query(canary)))
    spans = find_spans(traffic, recording.points)
    rollouts = tuple(_rollout(canary, templates, recording, traffic, span) for span in spans)
    quiet = try_null_canaries(canary, templates, recording, traffic, spans, most=most_quiet)
    left_out = untried(canary, templates)
    return Replay(rollouts=rollouts, quiet=quiet, left_out=left_out)


def find_spans(traffic: Mapping[int, Reading], points: int) -> tuple[range, ...]:
    """The points of each rollout: from the one before the canary's first request to that of its last."""
    busy = [point for point in range(1, points) if requests_of(traffic[point].canary) > 0]
    spans: list[range] = []
    for point in busy:
        if spans and point - spans[-1].stop < LULL:
            spans[-1] = range(spans[-1].start, point + 1)
        else:
            spans.append(range(point - 1, point + 1))
    # A target without a primary beside it serves everybody: that is no rollout.
    return tuple(span for span in spans if any(requests_of(traffic[point].primary) > 0 for point in span[1:]))


def _rollout(
    canary: Canary, templates: Templates, recording: Recording, traffic: Mapping[int, Reading], span: range
) -> PastRollout:
    return PastRollout(
        begins_at=recording.time(span.start),
        ends_at=recording.time(span[-1]),
        cut_off=span.start == 0,
        canary_requests=sum(requests_of(traffic[point].canary) for point in span[1:]),
        primary_requests=sum(requests_of(traffic[point].primary) for point in span[1:]),
        run=run(canary, templates, ask_recording(recording), recording, span),
    )
