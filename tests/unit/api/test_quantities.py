"""Quantities of Kubernetes as numbers."""

from __future__ import annotations

import pytest

from controller.api.quantities import parse_quantity


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", 12.0),
        ("0.5", 0.5),
        ("-3e2", -300.0),
        ("1E", 1e18),
        ("1E3", 1000.0),
        ("250n", 250e-9),
        ("100u", 100e-6),
        ("1500m", 1.5),
        ("2k", 2000.0),
        ("2Ki", 2048.0),
        ("1Mi", 1048576.0),
        ("3G", 3e9),
    ],
)
def test_a_quantity_is_a_number(text, number):
    assert parse_quantity(text) == pytest.approx(number)


@pytest.mark.parametrize("text", ["", "many", "1.2.3", "1 Ki", "Ki", "1kB", "nan", "inf"])
def test_what_is_none_is_told(text):
    with pytest.raises(ValueError, match="is not a quantity of Kubernetes, as in 100m or 128Mi"):
        parse_quantity(text)
