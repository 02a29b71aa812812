"""A controller as a process: what it takes of the machine, as the kernel counts it."""

from __future__ import annotations

import asyncio
import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

STOP_SECONDS = 20


@dataclass(frozen=True)
class Process:
    """A running process by its id; ``metrics`` is the URL of its own metrics."""

    pid: int
    metrics: str

    def cpu(self) -> float:
        """Seconds of CPU since it was started, of all its threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def lateness(self) -> Counter[float]:
        """How many ticks began so late at most, by seconds; empty for a program that does not say."""
        async with aiohttp.ClientSession() as session, session.get(self.metrics) as answer:
            text = await answer.text()
        found = re.findall(r'^canary_tick_lateness_seconds_bucket\{le="([^"]+)"\} (\S+)$', text, re.MULTILINE)
        return Counter({float(limit): int(float(count)) for limit, count in found})

    def memory(self) -> float:
        """Resident memory, MiB."""
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        if found is None:
            raise ProcessLookupError(f"process {self.pid} has ended")
        return int(found[1]) / 1024


@asynccontextmanager
async def running(command: Sequence[str], log: Path, metrics: str) -> AsyncIterator[Process]:
    """Run a program until the block ends; its output is added to ``log``.

    Python has its modules compiled from the second start on, as in the image.
    """
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env["PYTHONPYCACHEPREFIX"] = str(log.parent / "pycache")
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(*command, stdout=out, stderr=out, env=env)
        try:
            yield Process(process.pid, metrics)
        finally:
            if process.returncode is None:
                process.terminate()
                try:
                    await asyncio.wait_for(process.wait(), STOP_SECONDS)
                except TimeoutError:
                    process.kill()
                    await process.wait()
