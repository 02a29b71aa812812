"""The controller's own metrics: Flagger's, under Flagger's names, and a few of ours.

The series of a Canary are removed with it (Flagger's stay until it restarts).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from controller.api.analysis import Strategy
from controller.api.canary import Canary
from controller.api.status import Phase
from controller.core.model import Check, Evidence, State
from controller.core.rollout.outcomes import find_outcome
from controller.core.rollout.phases import UNDER_WAY

SUCCEEDED, FAILED, COMPLETED, SKIPPED = "succeeded", "failed", "completed", "skipped"

ROLLOUT_SECONDS = (30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400)

LATE_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Buckets of how late a reconciliation is."""
_STATUS = {Phase.PROGRESSING: 0, Phase.FAILED: 2}


class Metrics:
    """All series, in a registry of their own."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        canary = ("name", "namespace")
        self._total = self._gauge("flagger_canary_total", "Number of Canaries.", "namespace")
        self._status = self._gauge("flagger_canary_status", "0 progressing, 1 succeeded or at rest, 2 failed.", *canary)
        self._weight = self._gauge("flagger_canary_weight", "Share of the traffic, percent.", "workload", "namespace")
        self._duration = Histogram(
            "flagger_canary_duration_seconds",
            "Duration of one reconciliation of a Canary.",
            canary,
            registry=self.registry,
        )
        self._analysis = self._gauge("flagger_canary_metric_analysis", "Last value of a metric.", *canary, "metric")
        compared = (*canary, "metric")
        self._p_value = self._gauge(
            "canary_comparison_p_value", "Always-valid p-value of a canary no worse than harmlessRatio.", *compared
        )
        self._evidence = self._gauge(
            "canary_comparison_evidence",
            "fail: that the canary is worse, it fails from metrics/risk; pass: that it is no harm, from 1/risk.",
            *compared,
            "direction",
        )
        self._ratio = self._gauge(
            "canary_comparison_ratio", "How many times the primary's bad rate, or value, the canary's was.", *compared
        )
        self._counted = self._gauge(
            "canary_comparison_requests", "Requests that counted in this rollout.", *compared, "side", "result"
        )
        self._limit = self._gauge(
            "canary_metric_limit",
            "What a metric is judged by: min and max of a value, harmless and harmful of a ratio.",
            *compared,
            "bound",
        )
        self._state = self._gauge(
            "canary_state", "1 for the phase that a Canary is in, and what happened last.", *canary, "phase", "reason"
        )
        outcome = (*canary, "deployment_strategy", "analysis_status")
        self._successes = self._counter("flagger_canary_successes", "Canaries promoted.", *outcome)
        self._failures = self._counter("flagger_canary_failures", "Canaries rolled back.", *outcome)
        self._rollouts = Histogram(
            "canary_rollout_duration_seconds",
            "Time from the start of a rollout to its end: promoted, skipped (promoted without analysis), rolled_back, "
            "aborted, reverted, superseded or promotion_failed.",
            (*canary, "outcome"),
            registry=self.registry,
            buckets=ROLLOUT_SECONDS,
        )
        self._ended = self._counter(
            "canary_rollouts",
            "Rollouts that have ended, by outcome and reason.",
            *canary,
            "outcome",
            "reason",
        )
        self._ticks = self._counter("canary_ticks", "Reconciliations of a Canary, by result.", *canary, "result")
        self._lateness = Histogram(
            "canary_tick_lateness_seconds",
            "How long after its time the reconciliation of a Canary began.",
            registry=self.registry,
            buckets=LATE_SECONDS,
        )
        self._requests = self._counter("canary_api_requests", "Requests to the Kubernetes API.", "verb", "kind")
        self._reconciled = self._gauge(
            "canary_last_reconcile_timestamp_seconds", "When the last reconciliation of any Canary ended."
        )
        self._leader = self._gauge("canary_leader", "1 while this controller leads, 0 while it stands by.")
        self._gauge("flagger_info", "Version and mesh.", "version", "mesh_provider").labels(version, "istio").set(1)

    def set_leader(self, *, leads: bool) -> None:
        """Whether this process works, or stands by."""
        self._leader.set(leads)

    def count_request(self, verb: str, kind: str) -> None:
        """Count one request to the Kubernetes API."""
        self._requests.labels(verb, kind).inc()

    def set_totals(self, totals: Iterable[tuple[str, int]]) -> None:
        """Set the number of Canaries in each namespace."""
        self._total.clear()
        for namespace, total in totals:
            self._total.labels(namespace).set(total)

    def observe_tick(self, name: str, namespace: str, *, seconds: float, at: float, result: str) -> None:
        """A reconciliation has ended at Unix time ``at``; ``result`` is ok, or the class of the error."""
        self._duration.labels(name, namespace).observe(seconds)
        self._ticks.labels(name, namespace, result).inc()
        self._reconciled.set(at)

    def observe_lateness(self, seconds: float) -> None:
        """A reconciliation has begun so long after it was due."""
        self._lateness.observe(seconds)

    def observe_status(self, canary: Canary, before: State, after: State) -> None:
        """Publish what the status of a Canary says now."""
        target, namespace = canary.names.target, canary.namespace
        self._status.labels(target, namespace).set(_STATUS.get(after.phase, 1))
        self._weight.labels(canary.names.primary, namespace).set(after.routes.primary_weight)
        self._weight.labels(target, namespace).set(after.routes.canary_weight)
        self._standing(target, namespace, before, after)
        self._limits(canary, after)
        self._measured(canary, after.checks)
        self._compared(target, namespace, after.evidence)
        if after.phase is not before.phase:
            self._finished(canary, after.phase)
        self._lasted(canary, before, after)

    def remove(self, name: str, namespace: str, target: str) -> None:
        """Remove the series of a Canary that was deleted."""
        by_canary: tuple[MetricWrapperBase, ...] = (self._duration, self._ticks)
        by_target: tuple[MetricWrapperBase, ...] = (
            self._status,
            self._analysis,
            self._successes,
            self._failures,
            self._rollouts,
            self._ended,
            self._state,
            self._limit,
            *self._comparisons,
        )
        for metric, owner in (*((each, name) for each in by_canary), *((each, target) for each in by_target)):
            metric.remove_by_labels({"name": owner, "namespace": namespace})
        for workload in (target, f"{target}-primary"):
            self._weight.remove_by_labels({"workload": workload, "namespace": namespace})

    def _standing(self, name: str, namespace: str, before: State, after: State) -> None:
        """One series for each Canary: the one before goes."""
        if (before.phase, before.reason) != (after.phase, after.reason):
            self._state.remove_by_labels({"name": name, "namespace": namespace})
        self._state.labels(name, namespace, after.phase.value, after.reason).set(1)

    def _limits(self, canary: Canary, after: State) -> None:
        """While a rollout is under way: they are drawn beside what is measured."""
        labels = {"name": canary.names.target, "namespace": canary.namespace}
        self._limit.remove_by_labels(labels)
        for metric in canary.spec.analysis.metrics if after.phase in UNDER_WAY else ():
            low, high = metric.bounds or (None, None)
            harm = metric.compare.limits if metric.compare else None
            bounds = {"min": low, "max": high} | (
                {"harmless": harm.harmless_ratio, "harmful": harm.harmful_ratio} if harm else {}
            )
            for bound, value in bounds.items():
                if value is not None:
                    self._limit.labels(*labels.values(), metric.name, bound).set(value)

    def _measured(self, canary: Canary, checks: Iterable[Check]) -> None:
        """The values that thresholds judge; of a metric that compares too it is the first of two checks."""
        judged = {metric.name for metric in canary.spec.analysis.metrics if metric.bounds}
        for check in checks:
            if check.name in judged and check.value is not None:
                self._analysis.labels(canary.names.target, canary.namespace, check.name).set(check.value)
            judged.discard(check.name)

    @property
    def _comparisons(self) -> tuple[Gauge, ...]:
        return (self._p_value, self._evidence, self._ratio, self._counted)

    def _compared(self, target: str, namespace: str, evidence: Mapping[str, Evidence]) -> None:
        """The evidence of this rollout, and nothing of the one before."""
        for gauge in self._comparisons:
            gauge.remove_by_labels({"name": target, "namespace": namespace})
        for metric, comparison in evidence.items():
            labels = (target, namespace, metric)
            self._p_value.labels(*labels).set(comparison.p_value)
            self._evidence.labels(*labels, "fail").set(comparison.evidence)
            self._evidence.labels(*labels, "pass").set(comparison.pass_evidence)
            if comparison.ratio is not None:
                self._ratio.labels(*labels).set(comparison.ratio)
            seen = comparison.seen
            if seen is None:
                continue
            self._counted.labels(*labels, "canary", "total").set(seen.canary_total)
            self._counted.labels(*labels, "canary", "bad").set(seen.canary_bad)
            self._counted.labels(*labels, "primary", "total").set(seen.primary_total)
            self._counted.labels(*labels, "primary", "bad").set(seen.primary_bad)

    def _finished(self, canary: Canary, phase: Phase) -> None:
        counter = {Phase.SUCCEEDED: self._successes, Phase.FAILED: self._failures}.get(phase)
        if counter is not None:
            strategy: Strategy = canary.spec.analysis.strategy
            status = SKIPPED if canary.spec.skip_analysis else COMPLETED
            counter.labels(canary.names.target, canary.namespace, strategy.value, status).inc()

    def _lasted(self, canary: Canary, before: State, after: State) -> None:
        """A rollout has ended; one of a Canary that has another target now, or is deleted, has no outcome."""
        superseded = before.started_at != after.started_at
        outcome = find_outcome(after.phase, after.reason, analysed=before.begun_at is not None)
        ended_at = after.started_at if superseded else after.transitioned_at
        if before.phase not in UNDER_WAY or (after.phase in UNDER_WAY and not superseded) or outcome is None:
            return
        if before.started_at is None or ended_at is None:
            return
        seconds = (ended_at - before.started_at).total_seconds()
        self._rollouts.labels(canary.names.target, canary.namespace, outcome.value).observe(seconds)
        self._ended.labels(canary.names.target, canary.namespace, outcome.value, after.reason).inc()

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)
