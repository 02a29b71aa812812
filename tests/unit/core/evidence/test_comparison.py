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
from controller.core.evidence.e_values import Counts, Line
from controller.core.evidence.question import EvidenceError, Question, Verdict
from controller.core.evidence.readings import Reading
from controller.core.evidence.sequential import SequentialTest
from tests.builders import NOW, WEIGHTED, make_canary
from tests.unit.core.mesh import CANARY, PRIMARY, Mesh

ERRORS: Mapping[str, Any] = {"name": "errors", "compare": {"errors": {}, "warmup": "0s"}}
LATENCY: Mapping[str, Any] = {"name": "latency", "compare": {"latency": {"edges": ["100ms", "1s"]}, "warmup": "0s"}}


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
BEGUN = SequentialTest.start()


def test_a_look_counts_what_came_since_the_look_before_and_not_what_was_before_the_rollout():
    run = Run()
    run.look(canary=(100, 1), primary=(900, 9))
    run.look(canary=(200, 2), primary=(800, 8))
    looks = (counted((100, 1), (900, 9)), counted((200, 2), (800, 8)))
    assert run.comparison.test == BEGUN.look(looks[:1]).look(looks[1:])
    assert run.seen == counted((300, 3), (1700, 17))


def restarted(run: Run) -> None:
    run.mesh.restart(CANARY)
    run.look(canary=(40, 1), primary=(900, 9))


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
        pytest.param(restarted, counted((140, 2), (1800, 18)), id="a proxy that restarted"),
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
    assert run.comparison.test == SequentialTest.start(Question(harmless=Line(1.2, 0.0005)), rates=2).look(looks)


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
]


@pytest.mark.parametrize(("run", "served", "reason"), SKIPS)
def test_a_look_that_does_not_count_says_why_and_changes_no_evidence(run, served, reason):
    before = run.comparison.test
    run.look(**served)
    assert run.comparison.test == before.skip(reason)
    assert run.seen == NOTHING
    assert run.said == f"nothing counted yet; the last look did not count: {reason}"


def test_an_edge_that_the_histogram_has_not_is_named():
    run = Run({"name": "latency", "compare": {"latency": {"edges": ["100ms", "123ms"]}}})
    for workload in (CANARY, PRIMARY):
        run.mesh.take(workload, {100.0: 60, math.inf: 10})
    run.look()
    assert (
        run.comparison.test.skipped
        == "the canary's histogram has no bucket up to 123 ms; of those asked it has 100, +Inf"
    )


def warming(warmup: str = "30s") -> Run:
    return Run({"name": "errors", "compare": {"errors": {}, "warmup": warmup}})


def test_what_came_in_the_warm_up_never_counts_and_teaches_the_primary_s_rate():
    run = warming()
    for number in (1, 2, 3):  # a look counts what came since the look before
        run.look(canary=(100, 90), primary=(900, 9))
        cold = "within the first 30s of the canary's traffic"
        assert run.comparison.test == BEGUN.learn((900 * number, 9 * number)).skip(cold)
    run.look(canary=(100, 1), primary=(900, 9))
    assert run.seen == counted((100, 1), (900, 9))
    assert run.comparison.test.skipped is None


@pytest.mark.parametrize("side", [CANARY, PRIMARY])
def test_each_pod_warms_up_for_itself_while_the_others_count(side):
    run, others = warming(), {CANARY: (100, 1), PRIMARY: (900, 9)}
    for _ in range(4):
        run.look(canary=(100, 1), primary=(900, 9))
    for number in range(2, 7):
        run.mesh.serve(side, 50, 50, pod="new")
        run.look(canary=(100, 1), primary=(900, 9))
        warm = max(0, number - 4)  # it may have begun right after the look before it was seen
        expected = {each: (total * number, bad * number) for each, (total, bad) in others.items()}
        expected[side] = expected[side][0] + 50 * warm, expected[side][1] + 50 * warm
        assert run.seen == counted(expected[CANARY], expected[PRIMARY])


def test_requests_that_reached_no_pod_count_once_a_pod_of_their_side_does():
    run = warming()
    for _ in range(3):
        run.mesh.serve(CANARY, 5, 5, pod="gateway", reporter="source")
        run.look(canary=(100, 1), primary=(900, 9))
    assert run.seen == NOTHING
    run.mesh.serve(CANARY, 5, 5, pod="gateway", reporter="source")
    run.look(canary=(100, 1), primary=(900, 9))
    assert run.seen == counted((105, 6), (900, 9))
    run.mesh.restart(CANARY)
    run.mesh.serve(CANARY, 50, 50, pod="new")
    run.mesh.serve(CANARY, 5, 5, pod="gateway", reporter="source")
    run.look(primary=(900, 9))
    assert run.seen == counted((105, 6), (900, 9))


def test_a_canary_whose_pods_no_request_reaches_counts_after_its_warm_up():
    run = warming()
    for _ in range(4):
        run.mesh.serve(CANARY, 100, 100, pod="gateway", reporter="source")
        run.look(primary=(900, 9))
    assert run.seen == counted((100, 100), (900, 9))


def test_a_look_without_traffic_loses_no_evidence():
    run = Run()
    before = run.look(canary=(1000, 40), primary=(9000, 90)).test
    after = run.look(primary=(9000, 0)).test
    assert (after.evidence, after.peak) == (before.evidence, before.peak)


def test_there_is_no_verdict_before_both_sides_have_had_min_requests():
    run = Run({"name": "errors", "compare": {"errors": {}, "minRequests": 150, "warmup": "0s"}})
    for _ in range(2):
        run.look(canary=(70, 60), primary=(900, 9))
    assert (run.comparison.test.verdict, run.verdict) == (Verdict.FAIL, Verdict.INCONCLUSIVE)
    assert ": no verdict before 150 requests each (p = " in run.said
    run.look(canary=(10, 0), primary=(900, 9))
    assert run.verdict is Verdict.FAIL


def test_metrics_that_compare_share_the_risk():
    alone, together = Run(ERRORS), Run(ERRORS, LATENCY)
    assert alone.comparison.test.question.metrics == 1
    assert together.comparison.test.question.metrics == 2
    for run in (alone, together):
        for bad in (6, 7):
            run.look(canary=(100, bad), primary=(900, 15))
    assert alone.comparison.test.evidence == together.comparison.test.evidence
    assert (alone.verdict, together.verdict) == (Verdict.FAIL, Verdict.INCONCLUSIVE)


def test_the_primary_s_past_teaches_its_rate_and_how_its_errors_clump():
    run, past = Run(), []
    for bad in (0, 60) * 15:
        run.mesh.serve(PRIMARY, 1000, bad)
        past.append(run.reading())
    seeded = begin(run.canary, run.metric, run.reading(), NOW).seed(past).strongest
    assert seeded.primary == (29_000, 900)
    assert seeded.dispersion.value > 5
    assert seeded.seen == NOTHING


SENTENCES: list[Any] = [
    pytest.param(
        [{"canary": (1040, 14), "primary": (4160, 10)}] * 3,
        "errors 1.3% of 3,120 requests against the primary's 0.24% of 12,480, 5.6 times (1.8 or more):"
        " harmful (p = 0.0025, limit 0.05)",
        id="harm",
    ),
    pytest.param(
        [{"canary": (2000, 6), "primary": (8000, 20)}] * 2,
        "errors 0.3% of 4,000 requests against the primary's 0.25% of 16,000, 1.2 times (0.46 to 2.6):"
        " not harmful (p = 1, limit 0.05)",
        id="not harmful",
    ),
    pytest.param(
        [{"canary": (300, 3), "primary": (1200, 3)}] * 2,
        "errors 1% of 600 requests against the primary's 0.25% of 2,400, 4 times (0.56 or more): no"
        " verdict yet; 2 times the primary's plus 0.5 points cannot be ruled out before about 1,400 more"
        " requests (p = 0.35, limit 0.05)",
        id="no verdict yet",
    ),
    pytest.param(
        [{"canary": (100, 0), "primary": (900, 0)}],
        "errors 0% of 100 requests against the primary's 0% of 900: no sign of harm; 2 times the"
        " primary's plus 0.5 points cannot be ruled out before about 590 more requests (p = 1, limit"
        " 0.05)",
        id="no errors at all",
    ),
    pytest.param(
        [{"canary": (100, 0), "primary": (900, 0)}, {"primary": (900, 0)}],
        "errors 0% of 100 requests against the primary's 0% of 900: no sign of harm; 2 times the"
        " primary's plus 0.5 points cannot be ruled out before about 590 more requests (p = 1, limit"
        " 0.05); the last look did not count: the canary had no requests since the last look",
        id="a look that did not count",
    ),
    pytest.param(
        [{"canary": (1000, 4), "primary": (1000, 10)}, {"canary": (1000, 80), "primary": (1000, 10)}] * 2,
        "errors 4.2% of 4,000 requests against the primary's 1% of 4,000, 4.2 times (0.38 or more),"
        " dispersion 11.7: no verdict yet; 2 times the primary's plus 0.5 points cannot be ruled out"
        " before about 35,000 more requests (p = 0.5, limit 0.05)",
        id="errors that clump",
    ),
]


@pytest.mark.parametrize(("looks", "sentence"), SENTENCES)
def test_the_evidence_in_a_sentence(looks, sentence):
    run = Run()
    for served in looks:
        run.look(**served)
    assert run.said == sentence


def test_where_no_number_of_requests_can_tell_the_sentence_says_so_and_margins_of_0_are_not_named():
    run = Run(errors(harmlessRatio=0.5, harmfulRatio=0.9, harmlessMargin=0, harmfulMargin=0, warmup="0s"))
    run.look(canary=(1000, 10), primary=(1000, 10))
    assert run.said == (
        "errors 1% of 1,000 requests against the primary's 1% of 1,000, 1 times (0.32 to 3.2): no"
        " verdict yet; 0.9 times the primary's cannot be ruled out with any number of requests (p ="
        " 0.41, limit 0.05)"
    )


def test_latency_is_reported_at_the_edge_with_the_most_evidence():
    run = Run(LATENCY)
    for _ in range(2):
        take(run, CANARY, 890, 60, 50)
        take(run, PRIMARY, 8900, 1000, 100)
        run.look()
    assert run.said == (
        "requests over 1000 ms 5% of 2,000 requests against the primary's 1% of 20,000, 5 times (1.5 or"
        " more): harmful (p = 0.037, limit 0.05)"
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"since": NOW.replace(tzinfo=None)}, "a time must have its zone, is 2026-"),
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


def test_new_pods_of_the_same_revision_add_to_the_evidence_and_warm_up_again():
    run = warming("10s")
    for _ in range(2):
        run.look(canary=(100, 3), primary=(900, 9))
    run.mesh.serve(CANARY, 20, 1)
    run.mesh.serve(PRIMARY, 80, 1)
    later = NOW + timedelta(seconds=60)
    resumed = run.comparison.resume(run.compare, run.reading(), later)
    assert (resumed.strongest.seen, resumed.since) == (counted((120, 4), (980, 10)), later)
    run.comparison, run.looks = resumed, 6
    run.mesh.restart(CANARY)
    for _ in range(2):
        run.mesh.serve(CANARY, 100, 1, pod="new")
        run.look(primary=(900, 9))
    assert run.seen == counted((220, 5), (1880, 19))


@pytest.mark.parametrize(
    ("compare", "harmless", "harmful"),
    [
        ({}, Line(1.25, 0.0005), Line(2, 0.005)),
        ({"harmfulRatio": 1000}, Line(1.25, 0.0005), Line(1000, 0.005)),
        ({"harmlessRatio": 1e-6, "harmlessMargin": 0}, Line(1e-6), Line(2, 0.005)),
        ({"harmlessRatio": 1, "harmfulRatio": 1.0001}, Line(1, 0.0005), Line(1.0001, 0.005)),
        ({"harmlessMargin": 50, "harmfulMargin": 50}, Line(1.25, 0.5), Line(2, 0.5)),
        ({"sensitivity": "low"}, Line(1.5, 0.002), Line(3, 0.01)),
        ({"sensitivity": "high", "harmfulRatio": 4}, Line(1.1, 0.0001), Line(4, 0.001)),
    ],
)
def test_every_line_that_the_api_takes_can_be_tested(compare, harmless, harmful):
    run = Run(errors(**compare, warmup="0s"))
    assert (run.comparison.test.question.harmless, run.comparison.test.question.harmful) == (harmless, harmful)
    assert run.look(canary=(100, 50), primary=(900, 9)).test.skipped is None


def test_every_edge_that_the_api_takes_can_be_tested():
    edges = ["0.0000000001ms", "9ms", "1000h"]
    run = Run({"name": "latency", "compare": {"latency": {"edges": edges}}})
    assert run.compare.edges_ms == (1e-10, 9.0, 3.6e9)
    assert len(run.comparison.test.rates) == 3
