from __future__ import annotations

import os
from pathlib import Path

from stack.reference import render

REFERENCE = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_the_reference_lists_the_keys_as_the_model_has_them() -> None:
    if os.environ.get("UPDATE_GOLDEN") == "1":
        REFERENCE.write_text(render())
    assert REFERENCE.read_text() == render(), "docs/configuration.md is out of date: `make generate` writes it"
