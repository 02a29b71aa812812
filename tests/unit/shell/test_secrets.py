"""The keys of a Secret."""

from __future__ import annotations

import pytest

from controller.shell.secrets import decoded, mounted


def test_values_are_text_without_blanks_around_them():
    assert decoded({"data": {"token": "YWJjCg==", "empty": ""}}) == {"token": "abc", "empty": ""}
    assert decoded({}) == decoded({"data": None}) == {}


@pytest.mark.parametrize("value", ["%%%", "/w==", "§"])
def test_what_is_no_text_is_named_and_not_quoted(value):
    with pytest.raises(ValueError, match="key 'token' of the Secret is not text in base64"):
        decoded({"data": {"token": value}})


def test_a_mounted_secret_has_its_files_as_kubernetes_links_them(tmp_path):
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "token").write_text("abc\n")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "token").symlink_to("..data/token")
    secret = mounted(tmp_path)
    assert (secret["metadata"]["name"], decoded(secret)) == (str(tmp_path), {"token": "abc"})
