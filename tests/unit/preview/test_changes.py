"""What is read of Pulumi's steps and messages."""

from __future__ import annotations

import pytest

from preview.changes import Change, Op, read_changes, read_messages
from preview.rollouts import differing
from tests.unit.preview.steps import step


def test_what_is_no_object_of_the_cluster_is_left_out_and_a_replacement_counts_once():
    pod = {"metadata": {"name": "a", "namespace": "prod"}}
    steps = [
        step("same", "pulumi:pulumi:Stack", "stack", {}, {}),
        step("create", "canary:mesh:Istio", "istio", None, {}),
        step("same", "pulumi:providers:kubernetes", "default", {}, {}),
        step("read", "kubernetes:core/v1:Service", "read", {}, {}),
        step("delete-replaced", "kubernetes:core/v1:Pod", "a", pod),
        step("replace", "kubernetes:core/v1:Pod", "a", pod, pod, "spec.b", "spec.a"),
        step("create-replacement", "kubernetes:core/v1:Pod", "a", None, pod),
    ]
    found = list(read_changes(steps))
    assert found == [Change(Op.REPLACE, "kubernetes:core/v1:Pod", "a", pod, pod, ("spec.a", "spec.b"))]
    assert (found[0].kind, found[0].place) == ("Pod", ("prod", "a"))


def test_warnings_and_errors_are_told_once():
    said = [("info", "a"), ("warning", "b\n"), ("error", "c"), ("warning", "b")]
    diagnostics = [{"severity": severity, "message": message} for severity, message in said]
    assert read_messages(diagnostics) == ("b", "c")


@pytest.mark.parametrize(
    ("before", "after", "paths"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 1}}, []),
        ({"a": {"b": 1, "c": 1}}, {"a": {"b": 2, "d": 1}}, ["a.b", "a.c", "a.d"]),
        ({"a": [1, 2]}, {"a": [2]}, ["a"]),
        ({"a": [{"name": "x", "v": 1}]}, {"a": [{"name": "y"}, {"name": "x", "v": 2}]}, ["a[x].v", "a[y]"]),
        ({"a": [{"port": 1}]}, {"a": [{"port": 2}]}, ["a"]),
        ({"a": {"b": 1}}, {"a": "text"}, ["a"]),
        ({}, {"a": {"b": 1}}, ["a"]),
    ],
)
def test_templates_differ_by_names_and_not_by_numbers(before, after, paths):
    assert list(differing(before, after)) == paths
