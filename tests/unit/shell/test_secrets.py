"""The keys of a Secret."""

from __future__ import annotations

import pytest

from controller.shell.secrets import decoded


def test_values_are_text_without_blanks_around_them():
    assert decoded({"data": {"token": "YWJjCg==", "empty": ""}}) == {"token": "abc", "empty": ""}
    assert decoded({}) == decoded({"data": None}) == {}


@pytest.mark.parametrize("value", ["%%%", "/w==", "§"])
def test_what_is_no_text_is_named_and_not_quoted(value):
    with pytest.raises(ValueError, match="key 'token' of the Secret is not text in base64"):
        decoded({"data": {"token": value}})
