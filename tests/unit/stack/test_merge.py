from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stack.merge import merge, without_nulls

_values = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=8,
)
_mappings = st.dictionaries(st.sampled_from("abc"), _values)


@pytest.mark.parametrize(
    ("layers", "merged"),
    [
        (({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}), {"a": {"b": 1, "c": 3}}),
        (({"a": {"b": 1}}, {"a": [1]}), {"a": [1]}),
        (({"a": [1, 2]}, {"a": [3]}), {"a": [3]}),
        (({"a": {"b": 1}}, {"a": None}), {"a": None}),
        (({"a": 1}, {"a": {"b": None}}), {"a": {"b": None}}),
        (({}, {"a": {"b": {}}}), {"a": {"b": {}}}),
        ((), {}),
    ],
)
def test_later_layers_replace_earlier_ones_key_by_key(
    layers: tuple[Mapping[str, Any], ...], merged: dict[str, Any]
) -> None:
    assert merge(*layers) == merged


@given(_mappings, _mappings, _mappings)
def test_layers_can_be_merged_in_any_grouping(one: dict[str, Any], two: dict[str, Any], three: dict[str, Any]) -> None:
    assert merge(merge(one, two), two, three) == merge(one, merge(two, three))


@given(_mappings)
def test_merging_with_nothing_changes_nothing(layer: dict[str, Any]) -> None:
    assert merge(layer, {}) == merge({}, layer) == layer


def test_a_null_removes_its_key_however_deep_and_nothing_else() -> None:
    assert without_nulls({"a": None, "b": {"c": None, "d": {"e": None}}, "f": [None], "g": 0}) == {
        "b": {"d": {}},
        "f": [None],
        "g": 0,
    }
