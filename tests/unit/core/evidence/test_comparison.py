"""One comparison: which looks count, what the test is given, and what it says."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from controller.api.canary import Canary
from controller.api.metric import Metric
from controller.core.analysis.counters import begin, read_samples
from controller.core.evidence.comparison import Comparison
from controller.core.evidence.e_values import Counts
from controller.core.evidence.question import EvidenceError, Verdict
from controller.core.evidence.readings import Reading
from controller.core.evidence.sequential import SequentialTest
from tests.builders import NOW, WEIGHTED, make_canary
from tests.unit.core.mesh import CANARY, PRIMARY, Mesh

ERRORS: Mapping[str, Any] = {"name": "errors", "compare": {"errors": {}}}
LATENCY: Mapping[str, Any] = {"name": "latency", "compare": {"latency": {"edges": ["100ms", "1s"]}}}


class Run:
    """A comparison fed from a mesh, a look every ten seconds; the primary has served a thousand requests before."""

    def __init__(self, *metrics: Mapping[str, Any], spec: Mapping[str, Any] | None = None) -> None:
        self.canary: Canary = make_canary(analysis={**WEIGHTED, "metrics": list(metrics or (ERRORS,))}, **(spec or {}))
        self.metric: Metric = self.canary.spec.analysis.metrics[0]
        self.mesh, self.looks = Mesh(), 0
        self.mesh.serve(PRIMARY, 1000, 10)
        self.mesh.take(PRIMARY, {100.0: 900, 1000.0: 90, math.inf: 10})
        self.comparison = begin(self.canary, self.metric, self.reading(), NOW)

    @property
    def compare(self) -> Any:
        return self.metric.compare

    def reading(self) -> Reading:
        answer = self.mesh.latency() if self.compare.latency else self.mesh.errors()
        return read_samples(self.canary, answer.samples, self.compare.edges_ms)

    def look(self, **served: tuple[float, float]) -> Comparison:
        """One more look after ``canary`` and ``primary`` served so many requests and bad ones."""
        for side, (total, bad) in served.items():
            self.mesh.serve({"canary": CANARY, "primary": PRIMARY}[side], total, bad)
        self.looks += 1
        now = NOW + timedelta(seconds=10 * self.looks)
        self.comparison = self.comparison.look(self.compare, self.reading(), now)
        return self.comparison

    @property
    def verdict(self) -> Verdict:
        return self.comparison.verdict(self.compare)

    @property
    def seen(self) -> Counts:
        return self.comparison.strongest.seen

    @property
    def said(self) -> str:
        return self.comparison.describe(self.compare)


def counted(canary: tuple[float, float], primary: tuple[float, float]) -> Counts:
    return Counts(*canary, *primary)


NOTHING = Counts()


def test_a_look_counts_what_came_since_the_look_before_and_not_what_was_before_the_rollout():
    run = Run()
    run.look(canary=(100, 1), primary=(900, 9))
    run.look(canary=(200, 2), primary=(800, 8))
    looks = (counted((100, 1), (900, 9)), counted((200, 2), (800, 8)))
    assert run.comparison.test == SequentialTest.start().look(looks[:1]).look(looks[1:])
    assert run.seen == counted((300, 3), (1700, 17))


def restarted(run: Run) -> None:
    run.mesh.restart(CANARY)
    run.look(canary=(60, 1), primary=(900, 9))


def gone_for_a_scrape(run: Run) -> None:
    run.mesh.hidden = {"second"}
    run.mesh.serve(PRIMARY, 300, 3, pod="second")
    run.look(canary=(50, 0), primary=(600, 6))
    run.mesh.hidden = set()
    run.look(canary=(10, 1), primary=(0, 0))


def joined_by_another_canary_pod(run: Run) -> None:
    run.mesh.serve(CANARY, 40, 1, pod="another")
    run.look(canary=(20, 0), primary=(900, 9))


def replaced(run: Run) -> None:
    run.mesh.restart(CANARY)
    run.mesh.serve(CANARY, 60, 1, pod="successor")
    run.look(primary=(900, 9))


def unreached(run: Run) -> None:
    run.mesh.serve(CANARY, 10, 10, pod="gateway", reporter="source")
    run.look(canary=(50, 0), primary=(900, 9))


@pytest.mark.parametrize(
    ("happens", "counts"),
    [
        pytest.param(restarted, counted((160, 2), (1800, 18)), id="a proxy that restarted"),
        pytest.param(gone_for_a_scrape, counted((160, 2), (1800, 18)), id="a pod that missed a scrape"),
        pytest.param(joined_by_another_canary_pod, counted((160, 2), (1800, 18)), id="a new pod of the canary"),
        pytest.param(replaced, counted((160, 2), (1800, 18)), id="a pod that another replaced"),
        pytest.param(unreached, counted((160, 11), (1800, 18)), id="requests that reached no pod"),
    ],
)
def test_every_request_is_counted_once_whatever_happens_to_its_pod(happens: Callable[[Run], None], counts):
    run = Run()
    run.mesh.serve(PRIMARY, 5000, 50, pod="second")
    run.comparison = begin(run.canary, run.metric, run.reading(), NOW)
    run.look(canary=(100, 1), primary=(900, 9))
    happens(run)
    assert run.seen == counts


def take(run: Run, workload: str, fast: float, middling: float, slow: float) -> None:
    run.mesh.take(workload, {100.0: fast, 1000.0: middling, math.inf: slow})


@pytest.mark.parametrize("prometheus", [2, 3])
def test_latency_is_looked_at_by_the_edges_whichever_prometheus_spells_them(prometheus):
    run = Run(LATENCY)
    run.mesh.prometheus = prometheus
    take(run, CANARY, 60, 30, 10)
    take(run, PRIMARY, 700, 200, 100)
    run.look()
    looks = (counted((100, 40), (1000, 300)), counted((100, 10), (1000, 100)))
    assert run.comparison.test == SequentialTest.start(rates=2).look(looks)


def test_prometheus_may_be_upgraded_in_the_middle_of_a_rollout():
    run = Run(LATENCY)
    for prometheus in (2, 3):
        run.mesh.prometheus = prometheus
        take(run, CANARY, 60, 30, 10)
        take(run, PRIMARY, 700, 200, 100)
        run.look()
    assert run.seen.canary_total == 200


SKIPS: list[Any] = [
    pytest.param(Run(), {"primary": (900, 9)}, "the canary had no requests since the last look", id="idle canary"),
    pytest.param(Run(), {"canary": (90, 9)}, "the primary had no requests since the last look", id="idle primary"),
    pytest.param(Run(LATENCY), {}, "the canary had no requests since the last look", id="idle histograms"),
    pytest.param(
        Run(),
        {"canary": (math.nan, 0), "primary": (900, 9)},
        "nan is not a number of requests",
        id="NaN",
    ),
    pytest.param(
        Run({"name": "errors", "compare": {"errors": {}, "warmup": "30s"}}),
        {"canary": (100, 90), "primary": (900, 9)},
        "within the first 30s of the canary's traffic",
        id="warm-up",
    ),
]


@pytest.mark.parametrize(("run", "served", "reason"), SKIPS)
def test_a_look_that_does_not_count_says_why_and_changes_no_evidence(run, served, reason):
    before = run.comparison.test
    run.look(**served)
    assert run.comparison.test == before.skip(reason)
    assert run.seen == NOTHING
    assert run.said == f"nothing counted yet, inconclusive; the last look did not count: {reason}"


def test_an_edge_that_the_histogram_has_not_is_named():
    run = Run({"name": "latency", "compare": {"latency": {"edges": ["100ms", "123ms"]}}})
    for workload in (CANARY, PRIMARY):
        run.mesh.take(workload, {100.0: 60, math.inf: 10})
    run.look()
    assert (
        run.comparison.test.skipped
        == "the canary's histogram has no bucket up to 123 ms; of those asked it has 100, +Inf"
    )


def test_what_came_in_the_warm_up_never_counts():
    run = Run({"name": "errors", "compare": {"errors": {}, "warmup": "30s"}})
    for _ in range(2):
        run.look(canary=(100, 90), primary=(900, 9))
    run.look(canary=(100, 1), primary=(900, 9))
    assert run.seen == counted((100, 1), (900, 9))
    assert run.comparison.test.skipped is None


def test_a_look_without_traffic_loses_no_evidence():
    run = Run()
    before = run.look(canary=(1000, 40), primary=(9000, 90)).test
    after = run.look(primary=(9000, 0)).test
    assert (after.evidence, after.peak) == (before.evidence, before.peak)


def test_there_is_no_verdict_before_both_sides_have_had_min_requests():
    run = Run({"name": "errors", "compare": {"errors": {}, "minRequests": 150}})
    run.look(canary=(100, 90), primary=(900, 9))
    assert (run.comparison.test.verdict, run.verdict) == (Verdict.FAIL, Verdict.INCONCLUSIVE)
    assert run.said.endswith(", inconclusive; no verdict before 150 requests each")
    run.look(canary=(50, 0), primary=(900, 9))
    assert run.verdict is Verdict.FAIL


def test_metrics_that_compare_share_the_risk():
    alone, together = Run(ERRORS), Run(ERRORS, LATENCY)
    assert alone.comparison.test.question.metrics == 1
    assert together.comparison.test.question.metrics == 2
    for run in (alone, together):
        run.look(canary=(100, 8), primary=(900, 15))
    assert alone.comparison.test.evidence == together.comparison.test.evidence
    assert (alone.verdict, together.verdict) == (Verdict.FAIL, Verdict.INCONCLUSIVE)


def clumped(run: Run) -> None:
    """Both sides fail 2%, in one pod of four."""
    for pod in range(4):
        for workload, total in ((CANARY, 100), (PRIMARY, 300)):
            run.mesh.serve(workload, total, total * 0.08 if pod == 0 else 0, pod=f"{workload}-{pod}")


def test_bad_requests_that_clump_in_a_pod_divide_the_evidence():
    run = Run()
    for _ in range(3):
        clumped(run)
        run.look()
    assert run.comparison.dispersion.degrees == 3 + 3 + 3 + 3 + 3
    assert run.comparison.dispersion.value > 5


def test_what_a_gateway_could_not_deliver_is_no_pod_that_clumps():
    run = Run()
    run.mesh.serve(CANARY, 100, 1, pod="a")
    run.mesh.serve(CANARY, 100, 1, pod="b")
    run.mesh.serve(CANARY, 5, 5, pod="gateway", reporter="source")
    run.look(primary=(900, 9))
    assert run.comparison.dispersion.degrees == 1
    assert run.comparison.dispersion.value == 1.0


def test_the_slow_requests_of_the_lowest_edge_tell_how_they_clump():
    run = Run(LATENCY)
    for pod, slow in (("a", 20), ("b", 0)):
        run.mesh.take(CANARY, {100.0: 100 - slow, 1000.0: slow, math.inf: 0}, pod=pod)
    take(run, PRIMARY, 700, 200, 100)
    run.look()
    assert run.comparison.dispersion.degrees == 1
    assert run.comparison.dispersion.chi_square == pytest.approx(2 * (20 - 10) ** 2 / (100 * 0.1 * 0.9))


SENTENCES: list[Any] = [
    pytest.param(
        ERRORS,
        [{"canary": (3120, 41), "primary": (12480, 30)}],
        "errors 5.5 times the primary's: 41 of 3,120 against 30 of 12,480, p = 3.5e-10, fail",
        id="harm",
    ),
    pytest.param(
        ERRORS,
        [{"canary": (3120, 9), "primary": (12480, 30)}],
        "errors 1.2 times the primary's: 9 of 3,120 against 30 of 12,480, p = 1, inconclusive",
        id="in between",
    ),
    pytest.param(
        ERRORS,
        [{"canary": (12480, 31), "primary": (12480, 60)}],
        "errors 0.5 times the primary's: 31 of 12,480 against 60 of 12,480, p = 1, pass",
        id="no harm",
    ),
    pytest.param(
        ERRORS,
        [{"canary": (100, 2), "primary": (900, 0)}],
        "errors against none of the primary's: 2 of 100 against 0 of 900, p = 0.16, inconclusive",
        id="a primary without errors",
    ),
    pytest.param(
        ERRORS,
        [{"canary": (3120, 41), "primary": (12480, 30)}, {"primary": (12480, 30)}],
        "errors 5.5 times the primary's: 41 of 3,120 against 30 of 12,480, p = 3.5e-10, fail; the last look did not"
        " count: the canary had no requests since the last look",
        id="a look that did not count",
    ),
]


@pytest.mark.parametrize(("metric", "looks", "sentence"), SENTENCES)
def test_the_evidence_in_a_sentence(metric, looks, sentence):
    run = Run(metric)
    for served in looks:
        run.look(**served)
    assert run.said == sentence


def test_latency_is_reported_at_the_edge_with_the_most_evidence():
    run = Run(LATENCY)
    take(run, CANARY, 890, 60, 50)
    take(run, PRIMARY, 8900, 1000, 100)
    run.look()
    assert run.said.startswith("requests over 1000 ms 5.0 times the primary's: 50 of 1,000 against 100 of 10,000, p = ")
    assert run.said.endswith(", fail")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"since": NOW.replace(tzinfo=None)}, "since must be a time with its zone, is 2026-"),
        ({"reading": Reading({"destination/a": (1.0, 0.0, 0.0)})}, "counters must have 2 counts each"),
    ],
)
def test_evidence_that_contradicts_itself_is_refused(change, problem):
    with pytest.raises(EvidenceError, match=problem):
        replace(Run().comparison, **change)


def asks(*metrics: Mapping[str, Any], **spec: Any) -> Comparison:
    return Run(*metrics, spec=spec).comparison


def errors(**compare: Any) -> Mapping[str, Any]:
    return {"name": "errors", "compare": {"errors": {}, **compare}}


@pytest.mark.parametrize(
    ("edited", "same"),
    [
        pytest.param(asks(errors(minRequests=500)), True, id="minRequests only holds the verdict back"),
        pytest.param(asks(errors(warmup="1m")), True, id="a longer warm-up"),
        pytest.param(asks({**errors(), "thresholdRange": {"max": 1}}), True, id="a threshold beside it"),
        pytest.param(asks(errors(risk=0.1)), False, id="another risk"),
        pytest.param(asks(errors(harmlessRatio=1.1)), False, id="another harmless ratio"),
        pytest.param(asks(errors(harmfulRatio=3)), False, id="another harmful ratio"),
        pytest.param(asks(errors(errors={"responseCodes": "4..|5.."})), False, id="other codes are other counts"),
        pytest.param(asks(ERRORS, LATENCY), False, id="one more to share the risk with"),
        pytest.param(asks(ERRORS, service={"name": "front"}), False, id="another Service"),
    ],
)
def test_evidence_answers_only_the_question_it_was_gathered_for(edited, same):
    assert asks(ERRORS).answers(edited) is same


def test_other_edges_are_another_question():
    other = {"name": "latency", "compare": {"latency": {"edges": ["100ms", "500ms"]}}}
    assert asks(LATENCY).answers(asks(LATENCY))
    assert not asks(LATENCY).answers(asks(other))
    assert not asks(LATENCY).answers(asks(ERRORS))


def test_new_pods_of_the_same_revision_add_to_the_evidence():
    run = Run({"name": "errors", "compare": {"errors": {}, "warmup": "10s"}})
    run.look(canary=(100, 3), primary=(900, 9))
    run.mesh.serve(CANARY, 20, 1)
    run.mesh.serve(PRIMARY, 80, 1)
    later = NOW + timedelta(seconds=60)
    resumed = run.comparison.resume(run.compare, run.reading(), later)
    assert (resumed.strongest.seen, resumed.since) == (counted((120, 4), (980, 10)), later)
    run.comparison, run.looks = resumed, 6
    run.mesh.restart(CANARY)
    run.mesh.serve(CANARY, 100, 1, pod="new")
    run.look(primary=(900, 9))
    assert run.seen == counted((220, 5), (1880, 19))


@pytest.mark.parametrize("ratio", [1000, 1.0001])
def test_every_ratio_that_the_api_takes_can_be_tested(ratio):
    assert asks(errors(harmfulRatio=ratio)).test.question.harmful_ratio == ratio
    assert asks(errors(harmlessRatio=1e-6)).test.question.harmless_ratio == 1e-6


def test_every_edge_that_the_api_takes_can_be_tested():
    edges = ["0.0000000001ms", "9ms", "1000h"]
    run = Run({"name": "latency", "compare": {"latency": {"edges": edges}}})
    assert run.compare.edges_ms == (1e-10, 9.0, 3.6e9)
    assert len(run.comparison.test.rates) == 3
