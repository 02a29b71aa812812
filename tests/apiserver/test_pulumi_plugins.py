"""The engine's own word on the plugins that the sandbox lays out for it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.deploy.plugins import install
from sandbox.paths import Cache


@pytest.fixture
def cache() -> Cache:
    cache = Cache.default()
    assert (cache.plugins / "pulumi-resource-kubernetes").exists(), "not built yet: python -m sandbox build"
    return cache


def test_the_engine_lists_both_plugins_at_the_versions_that_the_sdks_ask_for(cache: Cache, tmp_path: Path) -> None:
    for _ in ("first", "again"):
        install(tmp_path, cache, Path(sys.executable))
    listed = subprocess.run(
        [cache.bin / "pulumi", "plugin", "ls", "--json"],
        env=os.environ | {"PULUMI_HOME": str(tmp_path), "PULUMI_SKIP_UPDATE_CHECK": "true"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = {plugin["name"]: plugin["version"] for plugin in json.loads(listed.stdout) if plugin["kind"] == "resource"}
    assert found == {name: importlib.metadata.version(f"pulumi-{name}") for name in ("command", "kubernetes")}
