"""Queries of ``spec.analysis.metrics[].compare`` that are asked once for the canary and once for the primary."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from controller.api.base import Model
from controller.api.references import NamespacedRef
from controller.api.rules import Rule, exactly_one

_SIDE = r"\{\{-?\s*(workload|target|pods)\s*-?\}\}"
_PROCESSED = r"\b(rate|irate|increase|resets|changes|delta|idelta|deriv)\s*\("

PER_SIDE = Rule(
    message="must contain {{ workload }} or {{ pods }}, or it would be the same for canary and primary",
    cel="self.matches('{}')".format(_SIDE.replace("\\", "\\\\")),
    holds=lambda query: re.search(_SIDE, query, re.ASCII) is not None,
)
"""For a query that is asked for the canary and for the primary."""

RAW = Rule(
    message="must be counters as they are, without rate, increase and the like",
    cel="!self.matches('{}')".format(_PROCESSED.replace("\\", "\\\\")),
    holds=lambda query: re.search(_PROCESSED, query, re.ASCII) is None,
)

SideQuery = Annotated[str, Field(min_length=1, max_length=4000), PER_SIDE]
CounterQuery = Annotated[SideQuery, RAW]


class CompareCounters(Model):
    """Compares the share of bad events by counters of your own, pod by pod."""

    bad: CounterQuery = Field(
        description="PromQL for the counters of bad events of {{ workload }}, with the label instance. A pod that has"
        " none has had no bad event."
    )
    total: CounterQuery = Field(
        description="PromQL for the counters of all events of {{ workload }}, bad ones included, with the label"
        " instance."
    )


class CompareValue(Model):
    """Compares one number of each side, a look at a time: CPU of a pod, a mean, orders a minute."""

    rules: ClassVar[tuple[Rule, ...]] = (exactly_one("query", "templateRef", attributes=("query", "template_ref")),)

    query: SideQuery | None = Field(None, description="PromQL that gives one number of {{ workload }}, above 0.")
    template_ref: NamespacedRef | None = Field(
        None, description="MetricTemplate to query; its {{ target }} is the canary, then the primary."
    )
    better: Literal["lower", "higher", "either"] = Field(
        description="Which numbers are good. With higher, harmlessRatio and harmfulRatio are those of the primary's"
        " number to the canary's; with either, a change in any direction is harm."
    )
