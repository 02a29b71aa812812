"""Background processes that a later run finds again: by id and start time, since ids are used again."""

import json
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.paths import REPO


@dataclass(frozen=True)
class Process:
    """A process of this machine; `started` is its start time in clock ticks since boot."""

    pid: int
    started: int

    @staticmethod
    def of(pid: int) -> "Process | None":
        """The process that has this id now, if there is one (a zombie is none)."""
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else Process(pid, int(fields[19]))

    @property
    def alive(self) -> bool:
        return Process.of(self.pid) == self

    def kill(self, *, patience: float = 20) -> bool:
        """Kill it and wait until it has ended. Returns whether it has, within `patience` seconds."""
        deadline = time.monotonic() + patience
        while self.alive and time.monotonic() < deadline:
            try:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, os.WNOHANG)  # where it is our own child
            except (ProcessLookupError, ChildProcessError):
                pass
            time.sleep(0.05)
        return not self.alive

    def child(self) -> "Process | None":
        """Its first child, if it has one."""
        try:
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        except OSError:
            return None
        return Process.of(int(children[0])) if children else None


def start_in_background(command: Sequence[str | Path], log: Path) -> Process:
    """Start a process of this package that outlives us and our terminal, with its output in `log`."""
    descriptors: list[tuple[int, int, str, int, int] | tuple[int, int, int]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    env = os.environ | {"PYTHONPATH": str(REPO)}
    arguments = list(map(str, command))
    pid = os.posix_spawnp(arguments[0], arguments, env, file_actions=descriptors, setsid=True)
    # It may have ended already: its log has the reason, and this is an ended process.
    return Process.of(pid) or Process(pid, -1)


def save(path: Path, processes: dict[str, Process]) -> None:
    """Write down the processes by their roles."""
    path.write_text(json.dumps({role: vars(process) for role, process in processes.items()}))


def saved(path: Path) -> dict[str, Process]:
    """The processes written down, ended or not."""
    if not path.exists():
        return {}
    return {role: Process(**fields) for role, fields in json.loads(path.read_text()).items()}
