"""Child processes that can be interrupted and whose output is read as it comes."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from sandbox.plugin.errors import InterruptError, PluginError
from sandbox.plugin.resource import Run

_GRACE_SECONDS = 10.0

LineReader = Callable[[str], None]


@dataclass(frozen=True)
class Completed:
    status: int
    stdout: str
    stderr: str


def execute(
    command: Sequence[str],
    run: Run,
    *,
    stdin: str = "",
    environment: Mapping[str, str] | None = None,
    folder: str | None = None,
    on_stdout: LineReader | None = None,
    on_stderr: LineReader | None = None,
) -> Completed:
    """Run a command to its end, with `environment` added to ours. Raises PluginError where it cannot be started, is
    interrupted, or takes longer than `run.timeout`; in the last two cases its whole process group is ended first.
    """
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**os.environ, **(environment or {})},
            cwd=folder,
            start_new_session=True,
        )
    except OSError as error:
        raise PluginError(f"cannot run {command[0]}: {error.strerror}: {error.filename}") from error
    collected: tuple[list[str], list[str]] = ([], [])
    streams = zip((process.stdout, process.stderr), collected, (on_stdout, on_stderr), strict=True)
    threads = [threading.Thread(target=_collect, args=stream, daemon=True) for stream in streams]
    threads.append(threading.Thread(target=_feed, args=(process.stdin, stdin), daemon=True))
    for thread in threads:
        thread.start()
    _wait(process, run)
    for thread in threads:
        thread.join()
    return Completed(process.returncode, "".join(collected[0]), "".join(collected[1]))


def _collect(stream: IO[str], lines: list[str], on_line: LineReader | None) -> None:
    with stream:
        for line in stream:
            lines.append(line)
            if on_line:
                on_line(line.rstrip("\n"))


def _feed(stream: IO[str], text: str) -> None:
    with contextlib.suppress(BrokenPipeError), stream:
        stream.write(text)


def _wait(process: subprocess.Popen[str], run: Run) -> None:
    end = time.monotonic() + run.timeout if run.timeout else None
    while True:
        try:
            process.wait(timeout=0.1)
        except subprocess.TimeoutExpired:
            late = end is not None and time.monotonic() > end
            if not (late or run.cancelled.is_set()):
                continue
        else:
            return
        _end(process)
        if late:
            raise PluginError(f"a command was ended, since it took longer than {run.timeout:g} s: {process.args!r}")
        raise InterruptError("interrupted")


def _end(process: subprocess.Popen[str]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_GRACE_SECONDS)
            return
