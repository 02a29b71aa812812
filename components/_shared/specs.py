"""Specs of Kubernetes objects as plain mappings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def plain(spec: Mapping[str, Any]) -> Any:
    """A spec under Kubernetes' own names, which pulumi_kubernetes takes as it is, but does not say so in its types."""
    return spec
