"""Whatever an object holds, parsing gives a model, or one error that names the fields and is fit to be shown."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.api import InvalidObject, parse_alert_provider, parse_canary, parse_metric_template
from controller.api.errors import SHOWN_PROBLEMS
from tests.unit.api.cases import GOOD

PARSERS = {"Canary": parse_canary, "MetricTemplate": parse_metric_template, "AlertProvider": parse_alert_provider}

Place = tuple[str | int, ...]

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([2**63, 10**400, 1e308, "0s", "9" * 400 + "h", "x" * 100_000, "{{" + " " * 4000, "a\nb\x1b[31m"])
)
JUNK = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=6)


def places(value: Any, path: Place = ()) -> Iterator[Place]:
    """Every place in ``value``, as keys and indexes from the top."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def parent_of(manifest: Any, place: Place) -> Any:
    for key in place[:-1]:
        manifest = manifest[key]
    return manifest


PLACES = [(name, place) for name, manifest in GOOD.items() for place in places(manifest) if place != ("kind",)]
FIELDS = [(name, place) for name, place in PLACES if place[0] == "spec" and isinstance(place[-1], str)]


def read(name: str, manifest: Any) -> Any:
    """The model, or the error."""
    try:
        return PARSERS[GOOD[name]["kind"]](manifest)
    except InvalidObject as error:
        return error


def check(name: str, manifest: Any) -> None:
    read_once = read(name, manifest)
    if isinstance(read_once, InvalidObject):
        lines = str(read_once).split("\n")
        assert 1 < len(lines) <= 2 + SHOWN_PROBLEMS
        assert all(line.isprintable() and len(line) < 2000 for line in lines)
    else:
        assert read(name, json.loads(json.dumps(read_once.to_dict()))) == read_once


@given(st.sampled_from(PLACES), JUNK)
def test_a_field_may_hold_anything(named_place, junk):
    name, place = named_place
    manifest = copy.deepcopy(GOOD[name])
    parent_of(manifest, place)[place[-1]] = junk
    check(name, manifest)


@given(st.sampled_from(FIELDS), st.text() | st.just("[key]"), JUNK)
def test_an_object_may_hold_any_other_field(named_place, key, junk):
    name, place = named_place
    manifest = copy.deepcopy(GOOD[name])
    parent_of(manifest, place)[key] = junk
    check(name, manifest)


@pytest.mark.parametrize("name", GOOD)
def test_a_field_that_is_null_is_absent(name):
    for place in [place for named, place in FIELDS if named == name]:
        null, absent = copy.deepcopy(GOOD[name]), copy.deepcopy(GOOD[name])
        parent_of(null, place)[place[-1]] = None
        del parent_of(absent, place)[place[-1]]
        assert str(read(name, null)) == str(read(name, absent)), place


@pytest.mark.parametrize("levels", [60, 5000])
def test_an_object_that_is_nested_too_deeply_is_refused(levels):
    deep: Any = "x"
    for _ in range(levels):
        deep = {"a": [deep]}
    manifest = copy.deepcopy(GOOD["Canary weighted"])
    manifest["spec"]["service"]["headers"] = deep
    assert "must not have more than 50 levels" in str(read("Canary weighted", manifest))
