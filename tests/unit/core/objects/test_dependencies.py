"""``spec.dependsOn`` of manifests of any content, and the ways that lead over it."""

from __future__ import annotations

from typing import Any

import pytest

from controller.core.objects.dependencies import circle_problem, find_circle, needs, ways

GRAPH = {"a": "bc", "b": "d", "c": "d", "d": "", "e": "e", "f": "g", "g": "f", "h": "f", "i": "hx"}
"""What each one depends on; ``x`` does not exist."""


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"dependsOn": [{"name": "shop"}, {"name": "stock", "namespace": "store"}]}, ("prod/shop", "store/stock")),
        ({"dependsOn": [{"name": "shop", "namespace": ""}]}, ("prod/shop",)),
        ({}, ()),
        ({"dependsOn": None}, ()),
        ({"dependsOn": "shop"}, ()),
        ({"dependsOn": ["shop", {"name": "stock"}]}, ("prod/stock",)),
        (None, ()),
        ("text", ()),
    ],
)
def test_references_are_read_from_any_spec(spec: Any, expected: tuple[str, ...]) -> None:
    assert needs({"metadata": {"name": "backend", "namespace": "prod"}, "spec": spec}) == expected


@pytest.mark.parametrize(
    ("start", "reached", "circle"),
    [
        ("a", ["ab", "ac", "abd"], ""),
        ("d", [], ""),
        ("e", ["ee"], "ee"),
        ("f", ["fg", "fgf"], "fgf"),
        ("h", ["hf", "hfg"], ""),
        ("i", ["ih", "ix", "ihf", "ihfg"], ""),
    ],
)
def test_each_canary_is_reached_once_by_its_shortest_way(start: str, reached: list[str], circle: str) -> None:
    assert ["".join(way) for way in ways(start, lambda key: GRAPH.get(key, ""))] == reached
    assert "".join(find_circle(start, lambda key: GRAPH.get(key, ""))) == circle


def test_a_circle_is_shown_as_its_way() -> None:
    assert (
        circle_problem(("a", "b", "a"))
        == "spec.dependsOn leads in a circle: a -> b -> a; remove one of these references"
    )
    assert not circle_problem(())
