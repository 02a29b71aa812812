"""Canary against primary in an analysis: counters in, a sequential test, a verdict in words.

One ``Comparison`` a metric with ``compare``; it lives in ``status.evidence``, so a restart of the controller loses
nothing. The statistics are in ``evidence``, what is counted in ``counters``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from controller.api.canary import Canary
from controller.api.metric import Compare, Metric
from controller.api.metric_template import MetricProvider
from controller.core.analysis import counters
from controller.core.analysis.counters import BAD, TOTAL, Reading, bucket_key, is_pod, latest, since, total_of
from controller.core.evidence.dispersion import Dispersion
from controller.core.evidence.question import EvidenceError
from controller.core.evidence.sequential import LatencyTest, RateTest, Verdict
from controller.core.model import Check, CounterProbe


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The evidence of one metric so far; a value, ``look`` returns the next one.

    Attributes:
        test: the sequential test.
        dispersion: how much bad requests clump, from the pods.
        reading: the newest counters; the next look counts from there.
        since: when the canary got its first traffic; the warm-up begins there.
        query: what asks for the counters, and so says what they count.
    """

    test: RateTest | LatencyTest
    dispersion: Dispersion
    reading: Reading
    since: datetime
    query: str

    @classmethod
    def start(cls, canary: Canary, metric: Metric, reading: Reading, now: datetime) -> Comparison:
        """A comparison that counts from ``reading`` on. The risk is shared by all metrics that compare."""
        compare = metric.compare
        assert compare is not None  # noqa: S101  # only such metrics have a comparison
        compared = sum(1 for each in canary.spec.analysis.metrics if each.compare)
        asked = {
            "alpha": compare.risk,
            "harmless_ratio": compare.harmless_ratio,
            "harmful_ratio": compare.harmful_ratio,
        }
        test: RateTest | LatencyTest = (
            LatencyTest.start(edges_ms=compare.latency.edges_ms, metrics=compared, **asked)
            if compare.latency
            else RateTest.start(metrics=compared, **asked)
        )
        query = plan_counters(canary, metric).query
        return cls(test=test, dispersion=Dispersion(), reading=reading, since=now, query=query)

    def resume(self, compare: Compare, reading: Reading, now: datetime) -> Comparison:
        """The comparison as new pods of the same revision get their first traffic: one more look, and warm up again."""
        return replace(self.look(compare, reading, now), since=now)

    def look(self, compare: Compare, reading: Reading, now: datetime) -> Comparison:
        """The comparison after one more reading of the counters."""
        counted = since(self.reading, reading)
        moved = replace(self, reading=latest(self.reading, reading))
        if (now - self.since).total_seconds() < compare.warmup_seconds:
            return replace(moved, test=self.test.skip(f"within the first {compare.warmup} of the canary's traffic"))
        dispersion = self._dispersion(counted)
        return replace(moved, test=self._test(counted, dispersion.value), dispersion=dispersion)

    def _dispersion(self, counted: Reading) -> Dispersion:
        estimate = self.dispersion
        for side in (counted.canary, counted.primary):
            estimate = estimate.look([self._pod(counts) for key, counts in side.items() if is_pod(key)])
        return estimate

    def _pod(self, counts: counters.Counts) -> tuple[float, float]:
        """Requests and bad ones of a pod; for latency those above the lowest edge, which are the most."""
        if isinstance(self.test, LatencyTest):
            total = counts.get(bucket_key(math.inf), 0.0)
            return total, total - counts.get(bucket_key(self.test.edges_ms[0]), total)
        return counts.get(TOTAL, 0.0), counts.get(BAD, 0.0)

    def _test(self, counted: Reading, dispersion: float) -> RateTest | LatencyTest:
        canary, primary = total_of(counted.canary), total_of(counted.primary)
        if isinstance(self.test, LatencyTest):
            return self.test.look(
                canary_buckets=_buckets(self.test, canary),
                primary_buckets=_buckets(self.test, primary),
                dispersion=dispersion,
            )
        return self.test.look(
            canary_total=canary.get(TOTAL, 0.0),
            canary_bad=canary.get(BAD, 0.0),
            primary_total=primary.get(TOTAL, 0.0),
            primary_bad=primary.get(BAD, 0.0),
            dispersion=dispersion,
        )

    @property
    def counts(self) -> counters.Counts:
        """Requests and bad ones seen by the test: for latency at the edge with the most evidence."""
        seen = self._strongest.seen
        return {
            "canaryTotal": seen.canary_total,
            "canaryBad": seen.canary_bad,
            "primaryTotal": seen.primary_total,
            "primaryBad": seen.primary_bad,
        }

    @property
    def observed_ratio(self) -> float | None:
        """How many times the primary's rate the canary's was, by ``counts``; None while the primary has no bad ones."""
        return self._strongest.observed_ratio

    @property
    def _strongest(self) -> RateTest:
        if isinstance(self.test, LatencyTest):
            return max(self.test.tests, key=lambda test: test.log_evidence)
        return self.test

    def answers(self, asked: Comparison) -> bool:
        """Whether this evidence is for what ``asked`` asks, of the same counters: an edited ``compare`` starts anew."""
        return self.test.question == asked.test.question and self.query == asked.query

    def verdict(self, compare: Compare) -> Verdict:
        """The test's verdict; none before both sides have had ``minRequests``."""
        return Verdict.INCONCLUSIVE if self._too_few(compare) else self.test.verdict

    def _too_few(self, compare: Compare) -> bool:
        seen = self._strongest.seen
        return min(seen.canary_total, seen.primary_total) < compare.min_requests

    def describe(self, compare: Compare) -> str:
        """The evidence in a sentence: ``errors 5.4 times the primary's: 41 of 3,120 against 30 of 12,480, p = …``."""
        test, verdict, ratio = self._strongest, self.verdict(compare), self.observed_ratio
        what = f"requests over {self.test.strongest_edge_ms:g} ms" if isinstance(self.test, LatencyTest) else "errors"
        observed = f"{ratio:.1f} times the primary's" if ratio is not None else "against none of the primary's"
        canary = f"{test.seen.canary_bad:,.0f} of {test.seen.canary_total:,.0f}"
        primary = f"{test.seen.primary_bad:,.0f} of {test.seen.primary_total:,.0f}"
        waits = f"; no verdict before {compare.min_requests:,} requests each" if self._too_few(compare) else ""
        skipped = f"; the last look did not count: {self.test.skipped}" if self.test.skipped else ""
        counted = f"{what} {observed}: {canary} against {primary}, p = {self.test.p_value:.2g}"
        found = counted if test.looks else "nothing counted yet"
        return f"{found}, {verdict.lower()}{waits}{skipped}"

    def check(self, metric: Metric) -> Check:
        """The verdict as the check of a metric. Only FAIL fails it."""
        assert metric.compare is not None  # noqa: S101  # only such metrics have a comparison
        passed = self.verdict(metric.compare) is not Verdict.FAIL
        return Check(metric.name, passed, self.test.p_value, f"{metric.name}: {self.describe(metric.compare)}")

    def to_status(self) -> dict[str, Any]:
        return {
            "test": self.test.to_status(),
            "dispersion": self.dispersion.to_status(),
            "counters": self.reading.to_status(),
            "since": self.since.isoformat(),
            "query": self.query,
        }

    @classmethod
    def from_status(cls, status: Mapping[str, Any]) -> Comparison:
        """The comparison that ``to_status`` saved. Raises EvidenceError with what is missing or malformed."""
        test = _saved_object(status, "test")
        return cls(
            test=LatencyTest.from_status(test) if "edges" in test else RateTest.from_status(test),
            dispersion=Dispersion.from_status(_saved_object(status, "dispersion")),
            reading=Reading.from_status(_saved_object(status, "counters")),
            since=_saved_time(status, "since"),
            query=_saved_text(status, "query"),
        )


def _saved_object(status: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = status.get(key)
    if not isinstance(value, Mapping):
        raise EvidenceError(f"saved evidence: {key} must be an object, is {value!r}")
    return value


def _saved_text(status: Mapping[str, Any], key: str) -> str:
    value = status.get(key)
    if not isinstance(value, str):
        raise EvidenceError(f"saved evidence: {key} must be text, is {value!r}")
    return value


def _saved_time(status: Mapping[str, Any], key: str) -> datetime:
    text = _saved_text(status, key)
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise EvidenceError(f"saved evidence: {key} must be a time, is {text!r}") from error
    if time.tzinfo is None:
        raise EvidenceError(f"saved evidence: {key} must be a time with its zone, is {text!r}")
    return time


def _buckets(test: LatencyTest, counts: counters.Counts) -> dict[float, float]:
    """Cumulative counts by upper edge; a side of which nothing is to be seen has counted nothing."""
    edges = (*test.edges_ms, math.inf)
    if not counts:
        return dict.fromkeys(edges, 0.0)
    return {edge: counts[bucket_key(edge)] for edge in edges if bucket_key(edge) in counts}


def plan_counters(canary: Canary, metric: Metric) -> CounterProbe:
    """The query for the counters that a metric's ``compare`` looks at."""
    compare = metric.compare
    assert compare is not None  # noqa: S101  # only such metrics are planned
    if compare.latency:
        query = counters.latency_query(canary, compare.latency)
    else:
        assert compare.errors is not None  # noqa: S101  # the API lets exactly one of the two pass
        query = counters.errors_query(canary, compare.errors)
    address = canary.spec.metrics_server
    provider = MetricProvider(type="prometheus", address=address) if address else None
    return CounterProbe(metric.name, query, provider, canary.namespace)
