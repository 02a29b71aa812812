"""What a refresh takes over from the cluster, and what it leaves as the program wrote it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.plugin.live_inputs import drifted_inputs, imported_inputs


@pytest.mark.parametrize(
    ("inputs", "known", "live", "drifted"),
    [
        pytest.param({"cpu": "1000m"}, {"cpu": "1"}, {"cpu": "1"}, {"cpu": "1000m"}, id="a spelling of the server"),
        pytest.param({"a": 1}, {"a": 1}, {"a": 2}, {"a": 2}, id="a value that drifted"),
        pytest.param({"a": 1, "b": 1}, {"a": 1, "b": 1}, {"b": 1}, {"b": 1}, id="a field that was removed"),
        pytest.param({"a": 1}, {"a": 1}, {"a": 1, "x": 2}, {"a": 1}, id="a field that the program does not set"),
        pytest.param(
            {"stringData": {"p": "s"}}, {"data": {}}, {"data": {}}, {"stringData": {"p": "s"}}, id="write-only"
        ),
        pytest.param(
            {"list": [{"name": "c", "image": "a"}]},
            {"list": [{"name": "c", "image": "a", "policy": "Always"}]},
            {"list": [{"name": "c", "image": "evil", "policy": "Always"}]},
            {"list": [{"name": "c", "image": "evil"}]},
            id="a field in a list, less the server's defaults",
        ),
        pytest.param({"list": [1]}, {"list": [1]}, {"list": [1, 2]}, {"list": [1, 2]}, id="a list that grew"),
        pytest.param({"list": [1]}, {"list": [1, 9]}, {"list": [1, 9]}, {"list": [1]}, id="a list a webhook added to"),
    ],
)
def test_drift(inputs: Any, known: Any, live: Any, drifted: Any) -> None:
    assert drifted_inputs(inputs, known, live) == drifted


json_objects = st.dictionaries(
    st.text(max_size=3),
    st.recursive(
        st.integers(), lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=3), x), max_leaves=8
    ),
)


@given(json_objects, json_objects)
def test_inputs_stay_as_they_are_while_the_object_does(inputs: Any, known: Any) -> None:
    assert drifted_inputs(inputs, known, known) == inputs


def test_an_import_leaves_out_what_the_server_sets() -> None:
    live = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": "b", "uid": "1", "resourceVersion": "2", "managedFields": []},
        "data": {"k": "v"},
        "status": {},
    }
    assert imported_inputs(live) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": "b"},
        "data": {"k": "v"},
    }
