"""What is accepted, what is rejected and with which message; and that no field is lost in the models."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from controller.api import (
    Analysis,
    Canary,
    CanaryError,
    CanarySpec,
    InvalidObject,
    ObjectMeta,
    Problem,
    ServiceSpec,
    TargetRef,
    parse_alert_provider,
    parse_canary,
    parse_metric_template,
    problems_of,
)
from tests.unit.api.bad_cases import BAD
from tests.unit.api.cases import ABSENT, GOOD, Bad, changed

PARSERS = {"Canary": parse_canary, "MetricTemplate": parse_metric_template, "AlertProvider": parse_alert_provider}


def parse(manifest: dict[str, Any]) -> Any:
    return PARSERS[manifest["kind"]](manifest)


@pytest.mark.parametrize("manifest", GOOD.values(), ids=GOOD)
def test_a_manifest_that_flagger_accepts_is_accepted_and_dumped_as_it_was_written(manifest):
    assert parse(manifest).to_dict() == manifest


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_a_bad_manifest_is_refused_with_the_path_and_what_is_allowed(bad: Bad):
    with pytest.raises(InvalidObject) as caught:
        parse(bad.manifest())
    said = [(problem.path, problem.message) for problem in caught.value.problems]
    assert [path for path, message in said if bad.words in message and path.startswith(bad.where)], said


def test_every_problem_is_listed_under_the_name_of_the_object():
    manifest = changed(GOOD["Canary weighted"], "spec.service.port", 0)
    manifest = changed(manifest, "spec.analysis.maxWeight", 101)
    manifest = changed(manifest, "spec.analysis.webhooks[1].name", ABSENT)
    with pytest.raises(CanaryError) as caught:
        parse_canary(manifest)
    assert str(caught.value) == (
        'The Canary "prod/weighted" is invalid:\n'
        "  spec.service.port: Invalid value: 0: must be 1 to 65535\n"
        "  spec.analysis.maxWeight: Invalid value: 101: must be 0 to 100 (percent)\n"
        "  spec.analysis.webhooks[1].name: Required value"
    )


def test_of_many_problems_the_first_are_shown_and_the_rest_counted():
    metrics = [{"name": "a", "query": "up", "interval": "soon"} for _ in range(100)]
    with pytest.raises(InvalidObject) as caught:
        parse_canary(changed(GOOD["Canary weighted"], "spec.analysis.metrics", metrics))
    lines = str(caught.value).split("\n")
    assert (len(caught.value.problems), len(lines), lines[-1]) == (100, 22, "  and 80 more")


def test_a_misspelt_field_is_refused_with_the_one_that_was_meant():
    with pytest.raises(InvalidObject) as caught:
        parse_canary(changed(GOOD["Canary weighted"], "spec.service.portname", "http"))
    (problem,) = caught.value.problems
    assert problem.path == "spec.service.portname"
    assert problem.message.startswith('unknown field; did you mean "portName"? (known: apex, appProtocol,')


@pytest.mark.parametrize("thing", [None, [], "canary", 3])
def test_a_value_that_is_not_an_object_is_refused(thing):
    with pytest.raises(InvalidObject) as caught:
        parse_canary(thing)
    assert "must be of type object" in str(caught.value)


def test_an_object_without_metadata_is_refused_by_kind():
    with pytest.raises(InvalidObject) as caught:
        parse_canary({"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": "x"})
    assert str(caught.value).startswith('The Canary "" is invalid:\n')


def test_a_model_built_in_python_is_refused_in_the_same_words():
    with pytest.raises(ValidationError) as caught:
        ServiceSpec(port=0)
    assert problems_of(caught.value, ServiceSpec) == (Problem("port", "Invalid value: 0: must be 1 to 65535"),)


def test_a_canary_built_in_python_is_the_manifest_one_would_write():
    canary = Canary(
        metadata=ObjectMeta(name="backend", namespace="prod"),
        spec=CanarySpec(
            target_ref=TargetRef(api_version="apps/v1", kind="Deployment", name="backend"),
            service=ServiceSpec(port=9898, timeout=None),
            analysis=Analysis(interval="15s", threshold=10, step_weights=(5, 50)),
        ),
    )
    assert canary.to_dict() == {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": "backend", "namespace": "prod"},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "backend"},
            "service": {"port": 9898},
            "analysis": {"interval": "15s", "threshold": 10, "stepWeights": [5, 50]},
        },
    }


def test_whole_numbers_that_came_as_floats_are_whole_numbers():
    canary = parse_canary(changed(GOOD["Canary weighted"], "spec.analysis.stepWeight", 5.0))
    assert repr(canary.spec.analysis.step_weight) == "5"


def test_metadata_that_the_controller_does_not_use_is_ignored():
    manifest = changed(GOOD["Canary weighted"], "metadata.managedFields", [{"manager": "kubectl"}])
    manifest = changed(manifest, "metadata.deletionTimestamp", "2026-11-24T00:48:05Z")
    metadata = parse_canary(manifest).metadata
    assert (metadata.name, metadata.uid, metadata.generation) == ("weighted", "", 0)
    assert metadata.to_dict()["deletionTimestamp"] == "2026-11-24T00:48:05Z"


# --- valid objects are dumped as they were parsed ---

durations = st.from_regex(r"\A([1-9][0-9]{0,2}(s|m|h|ms)){1,2}\Z")
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)
names = st.from_regex(r"\A[a-z]([-a-z0-9]{0,20}[a-z0-9])?\Z")
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**40), 2**40)
percents = st.integers(0, 100)
string_maps = st.dictionaries(names, texts, max_size=3)


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


def required(need: dict[str, st.SearchStrategy[Any]], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(need, optional=fields)


open_objects = st.dictionaries(names, texts | st.integers() | st.lists(texts, max_size=2) | string_maps, max_size=3)
ranges = st.tuples(numbers, numbers).map(lambda pair: {"min": min(pair), "max": max(pair)}) | optional(max=numbers)
metrics = required(
    {"name": names, "templateRef": required({"name": names}, namespace=names)},
    interval=durations,
    threshold=numbers,
    thresholdRange=ranges,
    templateVariables=string_maps,
    compare=required({"errors": st.just({})}, risk=st.floats(0.001, 0.5), warmup=durations, minRequests=percents),
)
webhooks = required(
    {"name": names, "url": names.map("http://{}/".format)},
    type=st.sampled_from(["", "rollout", "confirm-promotion", "event"]),
    timeout=durations,
    retries=st.integers(0, 5),
    disableTLS=st.booleans(),
    metadata=string_maps,
)
steps = st.one_of(
    st.builds(lambda step: {"stepWeight": step}, st.integers(1, 100)),
    st.builds(lambda weights: {"stepWeights": sorted(weights)}, st.lists(st.integers(1, 100), min_size=1, max_size=9)),
    st.builds(lambda count: {"iterations": count}, st.integers(1, 99)),
)
analyses = st.builds(
    lambda rest, step: {**rest, **step},
    required(
        {"interval": durations, "threshold": st.integers(-5, 50)},
        maxWeight=percents,
        mirror=st.booleans(),
        mirrorWeight=percents,
        match=st.lists(optional(headers=st.dictionaries(names, texts.map(lambda t: {"exact": t}))), max_size=2),
        metrics=st.lists(metrics, max_size=2),
        webhooks=st.lists(webhooks, max_size=2),
    ),
    steps,
)
services = required(
    {"port": st.integers(1, 65535)},
    name=names,
    targetPort=st.integers(0, 65535) | names,
    gateways=st.lists(names, max_size=2),
    trafficPolicy=open_objects,
    match=st.lists(open_objects, max_size=2),
    apex=optional(labels=string_maps, annotations=string_maps),
)
canaries = st.fixed_dictionaries(
    {
        "apiVersion": st.just("flagger.app/v1beta1"),
        "kind": st.just("Canary"),
        "metadata": st.fixed_dictionaries({"name": names, "namespace": names}),
        "spec": required(
            {
                "targetRef": st.fixed_dictionaries(
                    {"apiVersion": st.just("apps/v1"), "kind": st.just("Deployment"), "name": names}
                ),
                "service": services,
                "analysis": analyses,
            },
            suspend=st.booleans(),
            progressDeadlineSeconds=st.integers(1, 10**6),
        ),
    }
)


@given(manifest=canaries)
def test_parsing_and_dumping_loses_nothing_and_adds_nothing(manifest):
    canary = parse_canary(manifest)
    assert canary.to_dict() == manifest
    assert parse_canary(canary.to_dict()) == canary
