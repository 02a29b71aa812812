"""Run programs so that a person can see what went wrong: output into a log, and an error that quotes its end."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sandbox.paths import REPO


class SandboxError(Exception):
    """A step of the sandbox failed; the message is one for the person at the terminal."""


def last_lines(text: str) -> str:
    """The end of a log, as far as it fits into an error."""
    return "\n".join(text.splitlines()[-15:])


def run_logged(
    command: Sequence[str | Path],
    log: Path,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    excerpt: Callable[[str], str] = last_lines,
) -> None:
    """Run to the end with all output appended to `log`. Raises SandboxError with an excerpt of the log if it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        out.write(f"$ {' '.join(map(str, command))}\n".encode())
        out.flush()
        result = subprocess.run(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False
        )
    if result.returncode != 0:
        quoted = excerpt(log.read_text(errors="replace"))
        raise SandboxError(f"{Path(command[0]).name} ended with status {result.returncode}; see {log}\n{quoted}")


def run_to_its_end(command: Sequence[str | Path], env: Mapping[str, str]) -> int:
    """The status of a program on this terminal. An interrupt reaches it too, and it ends in its own way."""
    with subprocess.Popen(command, env=env) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.wait()
            raise


def user_shell() -> str:
    return os.environ.get("SHELL", "/bin/bash")


def find_uv() -> str:
    """`$UV` (set by uv itself and by the Makefile), else the uv on PATH, else the one that the Makefile installs."""
    installed = REPO / ".uv" / "bin" / "uv"
    uv = os.environ.get("UV") or shutil.which("uv") or (str(installed) if installed.exists() else None)
    if not uv:
        raise SandboxError("uv was not found: set UV to its path, or run `make setup`, which installs it.")
    return uv
