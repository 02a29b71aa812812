"""Property paths, as Pulumi writes them in ignore_changes and detailed diffs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.plugin.property_path import Path, get, parse, render, replace, resolve


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("spec.replicas", ("spec", "replicas")),
        ("spec.containers[0].image", ("spec", "containers", 0, "image")),
        ('metadata.labels["app.kubernetes.io/name"]', ("metadata", "labels", "app.kubernetes.io/name")),
        ("webhooks[*].clientConfig", ("webhooks", "*", "clientConfig")),
        ("data.*", ("data", "*")),
        ('["a \\"quoted\\" key"]', ('a "quoted" key',)),
    ],
)
def test_a_path_is_parsed(text: str, path: Path) -> None:
    assert parse(text) == path


def test_bad_syntax_names_the_column() -> None:
    with pytest.raises(ValueError, match="at column 5"):
        parse("spec[x]")


steps = st.one_of(st.integers(0, 99), st.text(min_size=1).filter(lambda text: text != "*"))


@given(st.lists(steps, min_size=1).map(tuple))
def test_rendering_and_parsing_are_inverse(path: Path) -> None:
    assert parse(render(path)) == path


def test_a_wildcard_resolves_to_every_existing_place() -> None:
    value = {"webhooks": [{"ca": "a"}, {}, {"ca": "c"}]}
    assert list(resolve(value, ("webhooks", "*", "ca"))) == [("webhooks", 0, "ca"), ("webhooks", 2, "ca")]


def test_replacing_leaves_the_original_alone() -> None:
    value = {"a": [{"b": 1}], "c": 2}
    assert replace(value, ("a", 0, "b"), 9) == {"a": [{"b": 9}], "c": 2}
    assert get(value, ("a", 0, "b")) == 1
