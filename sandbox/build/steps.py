"""Make missing artefacts, a few at a time, each put in place whole, and show progress."""

import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


@dataclass(frozen=True)
class Step:
    """One artefact: done when the folder `target` exists; `make(folder)` fills an empty folder that then becomes it.

    `needs` are steps that must be done before; `links` maps paths to be linked to paths inside the target;
    `seconds` is a rough cost.
    """

    name: str
    target: Path
    make: Callable[[Path], None]
    seconds: int
    links: tuple[tuple[Path, str], ...] = ()
    needs: tuple["Step", ...] = ()

    @property
    def done(self) -> bool:
        return self.target.is_dir()


def run_steps(steps: Sequence[Step], work: Path, console: Console, *, workers: int = 2) -> None:
    """Do every step that is not done, in order and `workers` at a time, and set all links.

    A step comes after those it needs. Raises the first error; what runs beside it is finished first.
    """
    for step in steps:
        if step.done:
            set_links(step)
    missing = [step for step in steps if not step.done]
    if not missing:
        return
    ended = {step.target: threading.Event() for step in missing}
    report = _Report(console, missing)

    def run(step: Step) -> None:
        try:
            for needed in step.needs:
                if needed.target in ended:
                    ended[needed.target].wait()
            if all(needed.done for needed in step.needs):
                with report.running(step):
                    _make(step, work)
        finally:
            ended[step.target].set()

    with report, ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(run, step) for step in missing]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            begun = [future for future in futures if not future.cancel()]
        for future in begun:
            future.result()


def _make(step: Step, work: Path) -> None:
    """Make the artefact aside, then move it to its place in one go."""
    half_made = work / "half-made" / step.target.name
    shutil.rmtree(half_made, ignore_errors=True)
    half_made.mkdir(parents=True)
    step.make(half_made)
    step.target.parent.mkdir(parents=True, exist_ok=True)
    half_made.rename(step.target)
    set_links(step)


def set_links(step: Step) -> None:
    """Publish what the step made: files by hard links, so that a program finds its neighbours there, folders by others.

    A link is replaced in one move, so that a reader never finds it missing.
    """
    for link, inside in step.links:
        made = step.target / inside
        if link.exists() and link.samefile(made) and link.is_symlink() == made.is_dir():
            continue
        link.parent.mkdir(parents=True, exist_ok=True)
        fresh = link.with_name(link.name + ".new")
        fresh.unlink(missing_ok=True)
        if made.is_dir():
            fresh.symlink_to(made)
        else:
            fresh.hardlink_to(made)
        fresh.replace(link)


class _Report:
    """A bar over the estimated cost of all missing steps, a line for each running one; plain lines off a terminal."""

    def __init__(self, console: Console, steps: Sequence[Step]) -> None:
        self.console = console
        self.left = [step.name for step in steps]
        self.progress = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console,
            disable=not console.is_terminal,
        )  # fmt: skip
        self.total = self.progress.add_task(self._left(), total=sum(step.seconds for step in steps))
        self.lock = threading.Lock()

    def _left(self) -> str:
        if not self.left:
            return "[bold]everything is built[/]"
        return f"[bold]{len(self.left)} to build[/]: {', '.join(self.left[:6])}{', …' if len(self.left) > 6 else ''}"

    def __enter__(self) -> None:
        self.progress.start()
        self.console.print(self._left(), highlight=False) if not self.console.is_terminal else None

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def running(self, step: Step) -> "_Running":
        return _Running(self, step)

    def finished(self, step: Step, seconds: float) -> None:
        with self.lock:
            self.left.remove(step.name)
            self.progress.update(self.total, advance=step.seconds, description=self._left())
            left = f"{len(self.left)} left" if self.left else "everything is built"
            self.console.print(f"built {step.name} in {seconds:.0f} s, {left}", highlight=False)


class _Running:
    """The line of one running step."""

    def __init__(self, report: _Report, step: Step) -> None:
        self.report = report
        self.step = step
        self.started = time.monotonic()
        self.task = report.progress.add_task(f"  building {step.name}", total=None)

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, *_: object) -> None:
        self.report.progress.remove_task(self.task)
        if kind is None:
            self.report.finished(self.step, time.monotonic() - self.started)
