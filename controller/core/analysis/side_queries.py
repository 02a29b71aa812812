"""Queries that are asked for the canary and for the primary: what their placeholders stand for on each side."""

from __future__ import annotations

from controller.api.canary import Canary
from controller.api.metric import Metric
from controller.core.analysis.thresholds import TemplateError, query_values, render_query
from controller.core.objects.kinds import pod_names


def workloads(canary: Canary) -> tuple[str, str]:
    """The workloads of the two sides, the canary's first."""
    return canary.names.target, canary.names.primary


def render_sides(canary: Canary, metric: Metric, query: str) -> tuple[str, str]:
    """A query for the canary and for the primary; ``{{ target }}`` is the workload too, so that a template serves both.

    Raises:
        TemplateError: a placeholder is unknown, or the two are the same.
    """
    values, kind = query_values(canary, metric), canary.spec.target_ref.kind
    of_canary, of_primary = (
        render_query(query, {**values, "workload": each, "target": each, "pods": pod_names(kind, each)})
        for each in workloads(canary)
    )
    if of_canary == of_primary:
        raise TemplateError("the query is the same for canary and primary; {{ workload }} must be in it")
    return of_canary, of_primary
