"""Whether a comparison has requests on both sides, and alike: seen in the counters, and in the Canary beforehand."""

from __future__ import annotations

import re
from collections.abc import Iterator

from controller.api.analysis import Strategy
from controller.api.canary import Canary
from controller.api.metric import MetricSource
from controller.api.webhook import HookType
from controller.core.evidence.readings import Reading, since
from controller.core.model import Routes


def missing_traffic(canary: Canary, routes: Routes, before: Reading, now: Reading) -> str | None:
    """Which side served nothing from one reading to the next at ``routes``, and what to do; None: both did."""
    canary_served, primary_served = served(before, now)
    call = f"send the load test to the service as users do ({_address(canary)})"
    if canary_served and not primary_served:
        if routes.canary_weight == 100:
            return "the primary had no requests: the canary has all the traffic"
        return f"the primary had no requests: {call}, not to {canary.names.canary_service}"
    if primary_served and not canary_served:
        return f"the canary had no requests: {_call_the_canary(canary, routes) or call}"
    return None if canary_served else f"no requests were counted on either side: {call}"


def served(before: Reading, now: Reading) -> tuple[float, float]:
    """Requests of canary and primary from one reading to the next."""
    counted = since(before, now)
    canary, primary = (sum(counts[0] for counts in side.values()) for side in (counted.canary, counted.primary))
    return canary, primary


def _address(canary: Canary) -> str:
    return f"http://{canary.names.apex_service}.{canary.namespace}:{canary.spec.service.port}/"


def _call_the_canary(canary: Canary, routes: Routes) -> str:
    """What the strategy asks for so that the canary gets some of the users' requests."""
    if canary.spec.analysis.match:
        return "send requests that meet analysis.match"
    return "" if routes.canary_weight or routes.mirrored else "set analysis.mirror: true to copy the primary's"


def doubts(canary: Canary) -> Iterator[tuple[str, str]]:
    """Why metrics would have no requests to count, or comparisons unlike ones: the path of a field, and a sentence."""
    analysis = canary.spec.analysis
    if canary.spec.service.is_tcp:
        yield from _uncounted(canary)
    compare = next((f"spec.analysis.metrics[{n}].compare" for n, m in enumerate(analysis.metrics) if m.compare), "")
    if not compare:
        return
    biased = "these users may differ from the primary's, and so may their rate of failed requests"
    if analysis.strategy is Strategy.AB_TESTING:
        yield compare, f"with analysis.match the canary serves only the requests that match: {biased}"
    if analysis.session_affinity:
        yield compare, f"with analysis.sessionAffinity the canary keeps its users: {biased}"
    if analysis.strategy is Strategy.BLUE_GREEN and not analysis.mirror:
        no_traffic = "blue/green sends no user traffic to the canary during the analysis"
        yield compare, f"{no_traffic}; set analysis.mirror: true to copy it"
    if analysis.strategy is Strategy.WEIGHTED and analysis.weight_limit == 100:
        all_traffic = "at weight 100 the primary has no requests to compare with"
        yield compare, f"{all_traffic}; set analysis.maxWeight below 100"
    service, other = canary.names.apex_service, canary.names.canary_service
    for number, webhook in enumerate(analysis.webhooks):
        text = " ".join(webhook.metadata.values())
        if webhook.hook_type is HookType.ROLLOUT and _names(text, other) and not _names(text, service):
            reaches = f"{webhook.name} calls {other} only, and the primary may have no requests to compare with"
            yield f"spec.analysis.webhooks[{number}]", f"{reaches}; call the service ({_address(canary)}) as users do"


def _uncounted(canary: Canary) -> Iterator[tuple[str, str]]:
    """The metrics that count requests, where only connections are routed."""
    for number, metric in enumerate(canary.spec.analysis.metrics):
        compared = metric.compare is not None and (metric.compare.errors or metric.compare.latency)
        if compared or (metric.bounds and metric.source is MetricSource.BUILTIN):
            without = "counts HTTP requests, of which service.appProtocol: tcp has none; use a query of your own"
            yield f"spec.analysis.metrics[{number}]", without


def _names(text: str, service: str) -> bool:
    """Whether a command has this Service as a host, and not as a part of a longer name."""
    return re.search(rf"(?<![\w.-]){re.escape(service)}(?![\w-])", text) is not None
