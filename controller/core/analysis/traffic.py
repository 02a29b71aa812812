"""How many requests each side has had, by Istio's counters: whether the weights are there, and a canary is at rest.

Requests of those who match, or have a cookie or the group's header, do not follow the weights; mirrored ones are
nobody's.
"""

from __future__ import annotations

from dataclasses import replace

from controller.api import promql
from controller.api.analysis import Strategy
from controller.api.canary import Canary
from controller.core.analysis.matchers import own_prometheus, received_by
from controller.core.evidence.question import EvidenceError
from controller.core.evidence.split import Served, Split, Traffic
from controller.core.probes import ProbeResult, Samples, TrafficProbe
from controller.core.tick import Tick

_REQUESTS, _SCRAPED = "requests", "scraped"


def plan_traffic(canary: Canary) -> TrafficProbe:
    """The query for the requests of both sides, or their connections where these are what is routed."""
    series = promql.CONNECTIONS if canary.spec.service.is_tcp else promql.REQUESTS
    counter = f"{series}{{{received_by(canary)}}}"
    marked = " or ".join(
        f'label_replace({query}, "of", "{what}", "", "")'
        for what, query in (
            (_REQUESTS, f"sum by (destination_workload) ({counter})"),
            (_SCRAPED, f"avg by (destination_workload) (timestamp({counter}))"),
        )
    )
    return TrafficProbe("requests", marked, own_prometheus(canary), canary.namespace)


def read_traffic(canary: Canary, answer: ProbeResult) -> Traffic | None:
    """The answer to that query; None where it says nothing about the primary, or no numbers."""
    values = {
        (sample.labels.get("destination_workload"), sample.labels.get("of")): sample.value
        for sample in (answer.samples if isinstance(answer, Samples) else ())
    }
    try:
        primary, side = (
            Served(values[workload, _REQUESTS], values[workload, _SCRAPED]) if (workload, _REQUESTS) in values else None
            for workload in (canary.names.primary, canary.names.target)
        )
    except (KeyError, EvidenceError):
        return None
    return Traffic(side or Served(0.0, primary.scraped_at), primary) if primary else None


def follows_weights(canary: Canary) -> bool:
    """Whether the canary's weight is its share of all requests."""
    analysis = canary.spec.analysis
    weighted = analysis.strategy is Strategy.WEIGHTED and not analysis.mirror
    led = analysis.match or analysis.session_affinity or canary.spec.group_header
    return weighted and not led


def split_of(tick: Tick) -> Split | None:
    """How the requests were shared out, after one more reading; as it was where there is none."""
    before, weight = tick.state.split, tick.state.routes.canary_weight
    answer, since = tick.observation.results.get(plan_traffic(tick.canary).key), tick.state.analysed_at
    now = read_traffic(tick.canary, answer) if answer else None
    if now is None or not follows_weights(tick.canary):
        return before
    after = (before or Split()).look(weight, (since or tick.facts.now).timestamp(), now)
    return replace(after, said=(after.said or _mismatch_words(tick.canary, after)) if after.mismatch else "")


def _mismatch_words(canary: Canary, split: Split) -> str:
    """What is wrong where a side has more requests than the weights give it, and where to look."""
    seen = f"the canary had {split.observed:g}% of {split.requests:,.0f} at weight {split.weight}"
    why = f"is {canary.names.canary_service} called directly?"
    if split.mismatch == "less":
        why = "does istiod answer, and have all callers a sidecar, or pass a gateway of this service?"
    return f"Requests do not follow the weights: {seen}; {why}"
