"""`make bench-preview`: how long a preview of `dev` takes, beside that of a program with as many plain resources.

Both are previews of a stack that is up, in the sandbox of `make up`; the quickest of some counts, since whatever else
the machine does only adds to it.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from rich.console import Console

from sandbox.deploy.engine import Engine
from sandbox.deploy.project import STACK, project_folder
from sandbox.lifecycle import attach
from sandbox.paths import REPO

RUNS = 5
PLAIN = """
import pulumi_kubernetes as kubernetes

namespace = kubernetes.core.v1.Namespace("plain", metadata={{"name": "plain"}})
for number in range({count} - 1):
    name = f"plain-{{number}}"
    kubernetes.core.v1.ConfigMap(name, metadata={{"name": name, "namespace": namespace.metadata["name"]}})
"""
console = Console(highlight=False)


@dataclass(frozen=True)
class Project:
    """A Pulumi project of the sandbox's engine, whose stack is `STACK`."""

    engine: Engine
    folder: Path

    def run(self, *arguments: str) -> str:
        """What `pulumi` prints; Python has its modules compiled, as a user's has. Raises CalledProcessError."""
        command = [str(self.engine.cache.bin / "pulumi"), "--cwd", str(self.folder), "--non-interactive", *arguments]
        env = os.environ | self.engine.environment()
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout

    def seconds(self) -> list[float]:
        """How long each of some previews takes, after one that warms up."""
        taken = []
        for _ in range(RUNS + 1):
            began = time.monotonic()
            self.run("preview", "--stack", STACK, "--expect-no-changes")
            taken.append(time.monotonic() - began)
        return taken[1:]

    def resources(self) -> int:
        """How many objects of the cluster its stack has."""
        exported = json.loads(self.run("stack", "export", "--stack", STACK))
        types = [each["type"] for each in exported["deployment"]["resources"]]
        return sum(each.startswith("kubernetes:") for each in types)


@contextmanager
def plain(engine: Engine, count: int) -> Iterator[Project]:
    """A program of `count` plain resources, up until the block ends."""
    with tempfile.TemporaryDirectory(prefix="canary-bench-") as folder:
        options = yaml.safe_load((REPO / "Pulumi.yaml").read_text())["runtime"]["options"]
        runtime = {"name": "python", "options": options | {"virtualenv": str(REPO / ".venv")}}
        Path(folder, "Pulumi.yaml").write_text(yaml.safe_dump({"name": "plain", "runtime": runtime}))
        Path(folder, "__main__.py").write_text(PLAIN.format(count=count))
        project = Project(engine, Path(folder))
        project.run("stack", "init", STACK)
        try:
            project.run("up", "--yes", "--skip-preview", "--stack", STACK)
            yield project
        finally:
            project.run("destroy", "--yes", "--skip-preview", "--remove", "--stack", STACK)


def main() -> None:
    engine = attach().engine
    program = Project(engine, project_folder(engine.instance))
    count = program.resources()
    with plain(engine, count) as other:
        taken = {f"dev, {count} objects": program.seconds(), f"{count} plain ones": other.seconds()}
    for name, seconds in taken.items():
        console.print(f"{name}: {min(seconds):.2f} s ({', '.join(f'{each:.2f}' for each in seconds)})")
    first, second = (min(seconds) for seconds in taken.values())
    console.print(f"{first / second:.2f} times as long")


if __name__ == "__main__":
    main()
