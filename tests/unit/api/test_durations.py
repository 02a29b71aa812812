import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.api import parse_duration
from controller.api.durations import is_duration, promql_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("1m", 60),
        ("1m30s", 90),
        ("500ms", 0.5),
        ("1h", 3600),
        ("1.5s", 1.5),
        ("0s", 0),
        ("1h1m1s1ms", 3661.001),
    ],
)
def test_a_duration_is_a_sum_of_numbers_with_units(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "30",
        "s",
        "5min",
        "1d",
        "-1s",
        "1 s",
        "1s ",
        "1s\n",
        ".5s",
        "\u0661s",
        "10sxyz",
        "1000000h",
        "1" * 100_000 + "s",
    ],
)
def test_what_go_cannot_read_is_no_duration(text):
    assert not is_duration(text)
    with pytest.raises(ValueError, match='is not a duration such as "30s"'):
        parse_duration(text)


@given(hours=st.integers(0, 99), minutes=st.integers(0, 999), seconds=st.integers(0, 999))
def test_the_parts_of_a_duration_add_up(hours, minutes, seconds):
    assert parse_duration(f"{hours}h{minutes}m{seconds}s") == hours * 3600 + minutes * 60 + seconds


@pytest.mark.parametrize(
    ("text", "promql"),
    [
        ("1m", "1m"),
        ("1h30m", "1h30m"),
        ("500ms", "500ms"),
        ("1.5m", "90000ms"),
        ("30s1h", "3630000ms"),
        ("0.1ms", "1ms"),
    ],
)
def test_a_duration_is_written_as_promql_accepts_it(text, promql):
    assert promql_duration(text) == promql
