"""Kubernetes' quantities (https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/)."""

from __future__ import annotations

import re
from collections.abc import Mapping

_QUANTITY = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)([numkMGTPE]|[KMGTPE]i)?")
_FACTORS: Mapping[str, float] = {"n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3} | {
    f"{unit}{binary}": (1024 if binary else 1000) ** power
    for power, unit in enumerate("KMGTPE", start=1)
    for binary in ("", "i")
}


def parse_quantity(text: str) -> float:
    """A quantity as a number: 0.1 for 100m, 1048576 for 1Mi. Raises ValueError for what is none."""
    found = _QUANTITY.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a quantity of Kubernetes, as in 100m or 128Mi")
    return float(found[1]) * _FACTORS.get(found[2] or "", 1.0)
