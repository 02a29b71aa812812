"""How soon `controller.core.evidence` fails a bad canary, and how often a healthy one, beside other ways to decide.

    python -m bench.evidence [--rollouts 1000] [--seed 7] [--workers 2] [--out bench/out]

Prints the tables and writes `evidence.svg`: the part of canaries failed by each look, healthy and twice as bad. Every
rollout is 60 looks of 3,000 requests; see `traffic`. Medians count a rollout without a verdict as later than all looks.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, Protocol

from rich.console import Console
from rich.table import Column, Table

from bench.plot import Curve, Panel, draw
from bench.rivals import ALPHA, RIVALS, Safe2x2, e_process, e_process_pass, first_verdict
from bench.traffic import LOOKS, QUIET, STEPPING, Latencies, Look, Traffic
from controller.core.evidence.e_values import Counts
from controller.core.evidence.planning import requests_to_fail, requests_to_pass
from controller.core.evidence.question import Question, Verdict
from controller.core.evidence.sequential import SequentialTest

Decide = Callable[[Any], int | None]
EDGES_MS = (10, 25, 50, 100, 250, 500, 1000, 2500)
PASS_EDGES_MS = (100, 250, 500)


class Kind(Protocol):
    """`Traffic` or `Latencies`: draws rollouts."""

    def rollout(self, random: Random) -> Sequence[Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row: a kind of rollout, who decides on it, and whether to show how often ("part") or how soon ("look")."""

    title: str
    kind: Kind
    deciders: Mapping[str, Decide]
    shows: str
    onset: int = 0


def clumped(looks: Sequence[Look]) -> int | None:
    """With the dispersion across pods, measured from before the canary starts."""
    return first_verdict(looks, Verdict.FAIL, measured=True)


Slow = Sequence[Sequence[Counts]]
"""For each look the requests above each edge."""


def latency(looks: Slow, wanted: Verdict = Verdict.FAIL) -> int | None:
    test = SequentialTest.start(Question(alpha=ALPHA), rates=len(looks[0]))
    for number, counts in enumerate(looks, 1):
        test = test.look(counts)
        if test.verdict is wanted:
            return number
    return None


def latency_safe_2x2(looks: Slow) -> int | None:
    """A safe 2x2 test at each edge; the mean of their E, where most edges say slower."""
    tests = [Safe2x2() for _ in EDGES_MS]
    for number, counts in enumerate(looks, 1):
        for test, now in zip(tests, counts, strict=True):
            test.look(now)
        mean = sum(math.exp(min(test.log_e, 600)) for test in tests) / len(tests)
        if mean >= 1 / ALPHA and sum(test.canary_is_worse for test in tests) > len(tests) / 2:
            return number
    return None


def error_cases() -> list[Case]:
    rows = [
        ("false alarms, q = .5%", Traffic(rate=0.005), "part"),
        ("false alarms, q = 20%", Traffic(rate=0.2), "part"),
        ("1.5x errors", Traffic(rate=0.005, ratio=1.5), "look"),
        ("2x errors", Traffic(rate=0.005, ratio=2), "look"),
        ("4x errors", Traffic(rate=0.005, ratio=4), "look"),
        ("10x errors", Traffic(rate=0.005, ratio=10), "look"),
        ("q = .05%, 4x", Traffic(rate=0.0005, ratio=4), "look"),
        ("q = 20%, 1.5x, 100 requests", Traffic(rate=0.2, ratio=1.5, requests=100), "look"),
        ("2x after 30 healthy looks at 10%", Traffic(rate=0.005, ratio=2, onset=30, shares=(0.1,) * 60), "look"),
    ]
    return [
        Case(title=title, kind=kind, deciders=dict(RIVALS), shows=shows, onset=kind.onset)
        for title, kind, shows in rows
    ]


def own_cases() -> list[Case]:
    passes = {"e-process": e_process_pass}
    both = {"e-process": latency, "safe 2x2": latency_safe_2x2}
    clumps = {"e-process": e_process, "divided by dispersion": clumped}
    pass_latency = {"e-process": partial(latency, wanted=Verdict.PASS)}
    pods = partial(Traffic, rate=0.005, clump=5, shares=QUIET + STEPPING, onset=len(QUIET))
    three, eight = Latencies(edges_ms=PASS_EDGES_MS), partial(Latencies, edges_ms=EDGES_MS)
    return [
        Case(title="PASS, as good, q = .5%", kind=Traffic(rate=0.005), deciders=passes, shows="look"),
        Case(title="PASS, 0.3x errors", kind=Traffic(rate=0.005, ratio=0.3), deciders=passes, shows="look"),
        Case(title="false PASS at 2x, q = .5%", kind=Traffic(rate=0.005, ratio=2), deciders=passes, shows="part"),
        Case(title="false alarms, clumps of 5", kind=pods(), deciders=clumps, shows="part"),
        Case(title="4x errors, clumps of 5", kind=pods(ratio=4), deciders=clumps, shows="look", onset=len(QUIET)),
        Case(title="latency, false alarms", kind=eight(), deciders=both, shows="part"),
        Case(title="latency x1.1", kind=eight(slowdown=1.1), deciders=both, shows="look"),
        Case(title="2% of requests 10x slower", kind=eight(stuck=0.02), deciders=both, shows="look"),
        Case(title="latency PASS, 3 edges", kind=three, deciders=pass_latency, shows="look"),
    ]


def measure(case: Case, seed: int, rollouts: int) -> dict[str, list[int | None]]:
    """The look of each decider's verdict, over rollouts that all of them see."""
    random = Random(f"{seed} {case.title}")
    looks: dict[str, list[int | None]] = {name: [] for name in case.deciders}
    for _ in range(rollouts):
        rollout = case.kind.rollout(random)
        for name, decide in case.deciders.items():
            looks[name].append(decide(rollout))
    return looks


def figure(case: Case, looks: Sequence[int | None]) -> str:
    if case.shows == "part":
        return f"{100 * sum(look is not None for look in looks) / len(looks):.1f}%"
    # A verdict before the onset is a false alarm, not a quick find.
    found = [look - case.onset if look is not None else math.inf for look in looks if look is None or look > case.onset]
    middle = median(found) if found else math.inf
    early = 1 - len(found) / len(looks)
    return ("never" if middle == math.inf else f"{middle:g}") + (f" ({early:.0%} before)" if early > 0 else "")


def tabulate(title: str, results: Sequence[tuple[Case, dict[str, list[int | None]]]]) -> Table:
    names = list(dict.fromkeys(name for case, _ in results for name in case.deciders))
    table = Table(Column("", no_wrap=True), *names, title=title, title_justify="left")
    for case, looks in results:
        table.add_row(case.title, *(figure(case, looks[name]) if name in looks else "" for name in names))
    return table


def planned() -> Table:
    """What `controller.core.evidence.planning` predicts, to compare with the medians above."""
    table = Table("", "canary requests", title="Planned, canary share 10%", title_justify="left")
    question = Question(alpha=ALPHA)
    for ratio in (1.5, 2, 4, 10):
        needed = requests_to_fail(question, primary_rate=0.005, ratio=ratio, canary_share=0.1)
        table.add_row(f"FAIL at {ratio:g}x, q = .5%", f"{needed:,.0f}")
    table.add_row("PASS at 1x, q = .5%", f"{requests_to_pass(question, primary_rate=0.005, canary_share=0.1):,.0f}")
    return table


def panel(title: str, looks: dict[str, list[int | None]]) -> Panel:
    curves = []
    for name, found in looks.items():
        failed = [sum(look is not None and look <= number for look in found) for number in range(LOOKS + 1)]
        curves.append(Curve(name, [100 * count / len(found) for count in failed]))
    return Panel(title, "look", "% of canaries failed", curves)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the evidence tests beside other ways to decide.")
    parser.add_argument("--rollouts", type=int, default=1000, help="simulated rollouts a case (default 1000)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument("--out", type=Path, default=Path("bench/out"), help="folder for the plot")
    options = parser.parse_args()

    errors, own = error_cases(), own_cases()
    with ProcessPoolExecutor(options.workers) as pool:
        job = partial(measure, seed=options.seed, rollouts=options.rollouts)
        looks = list(pool.map(job, [*errors, *own]))
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(
        f"{options.rollouts:,} rollouts a case, alpha = {ALPHA:g}: % of canaries failed, or median look of it"
    )
    console.print(tabulate("Errors", list(zip(errors, looks, strict=False))))
    console.print(tabulate("PASS, clumped errors, latency", list(zip(own, looks[len(errors) :], strict=True))))
    console.print(planned())

    by_title = {case.title: found for case, found in zip(errors, looks, strict=False)}
    panels = [panel("Healthy canary, q = .5%", by_title["false alarms, q = .5%"])]
    panels.append(panel("Twice the errors, q = .5%", by_title["2x errors"]))
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "evidence.svg"
    path.write_text(draw(panels), encoding="utf-8")
    console.print(f"Plot: {path}")


if __name__ == "__main__":
    main()
