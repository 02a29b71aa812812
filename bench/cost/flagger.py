"""Flagger as it is released: built by the sandbox's Go from its own module, with the versions that this asks for."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from sandbox.build.gobuild import go_environment
from sandbox.paths import Cache
from sandbox.running import run_logged

PACKAGE = "github.com/fluxcd/flagger/cmd/flagger"
VERSION = "v1.44.0"


def build_flagger(cache: Cache) -> Path:
    """The executable, built once for each version, in minutes. Raises SandboxError."""
    folder = cache.root / "bench" / f"flagger-{VERSION}"
    if not (folder / "flagger").exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="canary-bench-") as work:
            places = {name: f"{work}/{name}" for name in ("GOPATH", "GOMODCACHE", "GOCACHE", "GOBIN")}
            command = ["go", "install", "-ldflags=-s -w", f"{PACKAGE}@{VERSION}"]
            run_logged(command, cache.logs / "flagger.log", cwd=Path(work), env=go_environment(cache) | places)
            subprocess.run(["install", f"{work}/GOBIN/flagger", folder], check=True)
    return folder / "flagger"
