"""Somebody who has just copied the repository, and has a plain shell."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from sandbox.node.instance import Instance
from sandbox.paths import REPO

_ADDED = ("VIRTUAL_ENV", "PYTHON", "PYTEST", "PULUMI", "KUBECONFIG", "CANARY", "MAKE", "MFLAGS", "UV_PROJECT")
_NOT_COPIED = shutil.ignore_patterns(".git", ".venv", ".uv", "__pycache__", ".*_cache", ".hypothesis", "dist", "out")


@dataclass
class Newcomer:
    """`folder` is the copy, `said` what the first `make up` printed."""

    folder: Path
    instance: Instance
    said: str = ""

    @property
    def state(self) -> Path:
        return self.instance.state

    @property
    def environment(self) -> dict[str, str]:
        """That of a plain shell on this machine: how it reaches the registries stays, what a test run adds goes."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_ADDED)}
        folders = [folder for folder in kept["PATH"].split(os.pathsep) if ".venv" not in folder]
        return kept | {"PATH": os.pathsep.join(folders), "CANARY_SANDBOX": self.instance.name, "COLUMNS": "120"}

    @classmethod
    def arrives(cls, folder: Path, instance: Instance) -> Newcomer:
        shutil.copytree(REPO, folder, ignore=_NOT_COPIED, symlinks=True)
        newcomer = cls(folder, instance)
        newcomer.said = newcomer.make("up")
        return newcomer

    def make(self, *goal: str) -> str:
        """What `make` prints. Raises AssertionError with it if it fails."""
        done = self.run("make", *goal)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def shell(self, command: str) -> str:
        """What a command prints in `make shell`. Raises AssertionError with it if it fails."""
        done = self.run("make", "shell", stdin=f"set -e\n{command}\n")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def set_backend(self, app: str) -> None:
        """Write the settings of `backend` into the stack file, as YAML in one line."""
        stack = self.folder / "Pulumi.dev.yaml"
        stack.write_text(re.sub(r"^    backend: .*$", f"    backend: {app}", stack.read_text(), flags=re.MULTILINE))

    def run(self, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, input=stdin, capture_output=True, text=True, check=False
        )
