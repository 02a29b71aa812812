"""The table of the figures, and the page that has it."""

from __future__ import annotations

import math
import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.cost.trial import Figures

MARKED = re.compile(r"(?<=<!-- cost: make bench writes this -->\n).*(?=<!-- end of cost -->)", re.DOTALL)


@dataclass(frozen=True)
class Row:
    """A line of the table: what the figures of these names say, each in its format."""

    title: str
    names: tuple[str, ...]
    text: str

    def cell(self, figures: Figures) -> str:
        values = [figures.get(name, math.nan) for name in self.names]
        if all(map(math.isnan, values)):
            return ""
        return self.text.format(*values).replace("inf", "never")


ROWS = (
    Row("start until all are initialised: s, CPU s", ("initialised", "initialised_cpu"), "{:,.0f}, {:.0f}"),
    Row("first minute with all initialised: CPU, s", ("start_cpu",), "{:.1f}"),
    Row("first minute: memory at its end, MiB", ("start_memory",), "{:.0f}"),
    Row("idle: requests a minute", ("idle_requests",), "{:,.0f}"),
    Row("idle: CPU, % of a core", ("idle_cpu",), "{:.1f}"),
    Row("idle: memory, MiB", ("idle_memory",), "{:.0f}"),
    Row("a new revision is seen after, s", ("seen",), "{:.1f}"),
    Row("all in progress: requests a minute", ("progress_requests",), "{:,.0f}"),
    Row("all in progress: CPU, % of a core", ("progress_cpu",), "{:.0f}"),
    Row("all in progress: memory, MiB", ("progress_memory",), "{:.0f}"),
    Row("from step to step, s: median, 99%", ("step", "step_99"), "{:.2f}, {:.2f}"),
    Row("99% of the ticks begin so late at most, s", ("late_99",), "{:g}"),
    Row("all requests fail until none does, s: median, worst", ("back", "back_worst"), "{:.0f}, {:.0f}"),
    Row("the same with `compare`", ("back_compare", "back_compare_worst"), "{:.0f}, {:.0f}"),
    Row("rollouts while memory was watched", ("rollouts",), "{:,.0f}"),
    Row("memory after a fifth of them, after all, MiB", ("memory_early", "memory_late"), "{:.0f}, {:.0f}"),
)

Results = Mapping[tuple[str, int], Figures]
"""By the controller's name and the number of Canaries."""


def render(results: Results) -> str:
    """A Markdown table, a column for each controller and number of Canaries."""
    heads = ["", *(f"{name}, {canaries}" for name, canaries in results)]
    rows = [[row.title, *(row.cell(figures) for figures in results.values())] for row in ROWS]
    lines = [heads, ["---", *("---:" for _ in results)], *(row for row in rows if any(row[1:]))]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def machine(programs: Sequence[str]) -> str:
    """What it was measured on."""
    info = Path("/proc/cpuinfo").read_text()
    model = found[1].strip() if (found := re.search(r"model name\s*: (.*)", info)) else platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    cores = f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB"
    versions = ", ".join((*programs, f"Python {platform.python_version()}"))
    return f"{cores}, load {os.getloadavg()[0]:.1f} before; {versions}."


def write(page: Path, text: str) -> None:
    """Replace the figures in ``page``. Raises ValueError if it has no place for them."""
    before = page.read_text(encoding="utf-8")
    if not MARKED.search(before):
        raise ValueError(f"{page}: the comments are missing between which the figures are")
    page.write_text(MARKED.sub(lambda _: text, before), encoding="utf-8")
