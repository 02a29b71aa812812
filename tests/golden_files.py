"""Golden files: reviewed results, kept beside the tests.

``UPDATE_GOLDEN=1 pytest …`` rewrites them; review the diff before you commit it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml


class _Plain(yaml.SafeDumper):
    """Writes repeated values in full, without anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


FOLDER = Path(__file__).parent / "golden"


def assert_golden(name: str, *documents: Any) -> None:
    """``documents`` are those of ``golden/NAME.yaml``, in order.

    Args:
        name: path below ``tests/golden`` without the suffix, as in ``core/virtual-service-weighted``.
        documents: plain values; mappings are written as they are ordered and compared whatever their order.
    """
    path = FOLDER / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.dump_all(documents, Dumper=_Plain, sort_keys=False, width=120), encoding="utf-8")
    assert path.exists(), f"{path} does not exist; UPDATE_GOLDEN=1 writes it"
    golden = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    assert list(documents) == golden, f"differs from {path}; UPDATE_GOLDEN=1 accepts what is built now"


def assert_golden_text(name: str, text: str) -> None:
    """``text`` is that of ``golden/NAME``, suffix included."""
    assert_text_of(FOLDER / name, text)


def assert_text_of(path: Path, text: str) -> None:
    """``text`` is that of a file which is made."""
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"{path} does not exist; UPDATE_GOLDEN=1 writes it"
    assert text == path.read_text(encoding="utf-8"), f"differs from {path}; UPDATE_GOLDEN=1 accepts what is built now"
