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
from statistics import NormalDist, median
from typing import Any, Protocol

from rich.console import Console
from rich.table import Column, Table

from bench.plot import Curve, Panel, draw
from bench.rivals import ALPHA, RIVALS, WARMUP, Safe2x2, e_process, e_process_pass, first_verdict
from bench.traffic import (
    LOOKS,
    TEN_STEPS,
    Clumps,
    Latencies,
    Restarts,
    Rollout,
    Traffic,
    cold_start,
    gamma_mixed,
    outage,
    sick_pod,
)
from bench.values import Numbers
from bench.values import first_verdict as value_verdict
from controller.api.compare import DEFAULT_SENSITIVITY, LATENCY_RATIOS
from controller.core.evidence.e_values import Line
from controller.core.evidence.planning import requests_to_fail, requests_to_pass
from controller.core.evidence.question import HARMLESS, Question, Verdict

Decide = Callable[[Any], int | None]


class Kind(Protocol):
    """`Traffic`, `Latencies` or `Numbers`: draws rollouts."""

    def rollout(self, random: Random) -> Any: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row: a kind of rollout, who decides on it, and whether to show how often ("part") or how soon ("look")."""

    title: str
    kind: Kind
    deciders: Mapping[str, Decide]
    shows: str
    onset: int = 0


PODS = ((1, 1), (2, 4))
EDGES_MS = (10, 25, 50, 100, 250, 500, 1000, 2500)
PASS_EDGES_MS = (100, 250, 500)
SLOW = Question(alpha=ALPHA, harmless=Line(LATENCY_RATIOS[DEFAULT_SENSITIVITY], HARMLESS.margin))
SEED = 60
"""Looks of half an hour."""


def seeded(rollout: Rollout) -> int | None:
    return first_verdict(rollout, Verdict.FAIL, seeded=True)


def latency(rollout: Rollout, wanted: Verdict = Verdict.FAIL) -> int | None:
    return first_verdict(rollout, wanted, SLOW)


def latency_safe_2x2(rollout: Rollout) -> int | None:
    """A safe 2x2 test at each edge; the mean of their E, where most edges say slower."""
    tests = [Safe2x2() for _ in EDGES_MS]
    for number, counts in enumerate(rollout.looks[WARMUP:], 1):
        for test, now in zip(tests, counts, strict=True):
            test.look(now)
        mean = sum(math.exp(min(test.log_e, 600)) for test in tests) / len(tests)
        if mean >= 1 / ALPHA and sum(test.canary_is_worse for test in tests) > len(tests) / 2:
            return number
    return None


def rival_cases() -> list[Case]:
    rows = [
        ("false alarms, q = .5%", Traffic(rate=0.005), "part"),
        ("false alarms, q = 20%", Traffic(rate=0.2), "part"),
        ("2x errors", Traffic(rate=0.005, ratio=2), "look"),
        ("4x errors", Traffic(rate=0.005, ratio=4), "look"),
        ("10x errors", Traffic(rate=0.005, ratio=10), "look"),
        ("q = .05%, 4x", Traffic(rate=0.0005, ratio=4), "look"),
        ("q = 20%, 1.5x, 100 requests", Traffic(rate=0.2, ratio=1.5, requests=100), "look"),
        ("2x after 30 healthy looks at 10%", Traffic(rate=0.005, ratio=2, onset=32, shares=(0.1,) * 62), "look"),
    ]
    return [
        Case(title=title, kind=kind, deciders=dict(RIVALS), shows=shows, onset=max(0, kind.onset - WARMUP))
        for title, kind, shows in rows
    ]


def harmless_cases() -> list[Case]:
    """Rollouts that must not fail, as the product ships: cold, and seeded with the primary's last half hour."""
    cold, both = {"cold": e_process}, {"cold": e_process, "seeded": seeded}
    half = partial(Traffic, rate=0.005)
    rows: list[tuple[str, Kind, Mapping[str, Decide]]] = [
        ("no errors, 100 rps, ten steps of a minute", Traffic(rate=0, requests=6000, shares=TEN_STEPS), cold),
        ("5 rps, 0.1% errors, ten steps of a minute", Traffic(rate=0.001, requests=300, shares=TEN_STEPS), cold),
        *((f"errors {q:.4g}%, load +-80%", Traffic(rate=q / 100, load_drift=0.8), cold) for q in (0.05, 0.5, 5, 20)),
        ("1.25x and 0.05 points, q = .5%", Traffic(rate=0.005, ratio=1.35), cold),
        ("clumps of 2", half(fault=Clumps(2), history=SEED), both),
        ("clumps of 5", half(fault=Clumps(5), history=SEED), both),
        ("gamma-mixed by look, CV 1", half(fault=gamma_mixed, history=SEED), both),
        *((f"restarts that lose 30, pods {pods}", half(fault=Restarts(pods), history=SEED), both) for pods in PODS),
        ("an outage of 40 s, scrapes 15 s apart", half(fault=outage), cold),
        ("a cold start: 5x errors for two looks", half(fault=cold_start), cold),
        ("latency, medians of pods differ by 5%", Latencies(edges_ms=EDGES_MS, pods_differ=0.05), {"cold": latency}),
        ("latency, the canary's pod is busier", Latencies(edges_ms=EDGES_MS, busier=0.1), {"cold": latency}),
    ]
    return [Case(title=title, kind=kind, deciders=deciders, shows="part") for title, kind, deciders in rows]


def harmful_cases() -> list[Case]:
    """How soon the test decides, as the product ships."""
    fails, passes = {"FAIL": e_process}, {"PASS": e_process_pass}
    slow, pass_slow = {"FAIL": latency, "safe 2x2": latency_safe_2x2}, {"PASS": partial(latency, wanted=Verdict.PASS)}
    half, eight = partial(Traffic, rate=0.005), partial(Latencies, edges_ms=EDGES_MS)
    sick = partial(half, onset=5, fault=sick_pod)
    rows: list[tuple[str, Kind, Mapping[str, Decide], int]] = [
        *((f"{ratio}x errors, q = .5%", half(ratio=ratio), fails, 0) for ratio in (2, 4, 10)),
        *((f"{ratio}x after a sick pod of the primary", sick(ratio=ratio), fails, 5) for ratio in (2, 4, 10)),
        ("4x errors in clumps of 5", half(ratio=4, fault=Clumps(5)), fails, 0),
        ("PASS, no errors on either side", Traffic(rate=0), passes, 0),
        ("PASS, as good, q = .5%", half(), passes, 0),
        ("latency x1.25", eight(slowdown=1.25), slow, 0),
        ("2% of requests 10x slower", eight(stuck=0.02), slow, 0),
        ("latency PASS, 3 edges", Latencies(edges_ms=PASS_EDGES_MS), pass_slow, 0),
    ]
    return [
        Case(title=title, kind=kind, deciders=deciders, shows="look", onset=max(0, onset - WARMUP))
        for title, kind, deciders, onset in rows
    ]


def value_cases() -> list[Case]:
    """One number a side and look: see `bench.values`."""
    fails, passes = {"FAIL": value_verdict}, {"PASS": partial(value_verdict, wanted=Verdict.PASS)}
    healthy = {
        "noise CV .3": Numbers(),
        "noise CV .05": Numbers(scatter=0.05),
        "heavy tails": Numbers(heavy=True),
        "noise that remembers half": Numbers(memory=0.5),
        "noise that remembers four fifths": Numbers(memory=0.8),
        "1.5x at first, settles": Numbers(settles=1.5),
        "5% higher for good, noise CV .05": Numbers(ratio=1.05, scatter=0.05),
    }
    part, look = partial(Case, shows="part"), partial(Case, shows="look")
    return [
        *(part(title=f"false alarms: {title}", kind=kind, deciders=fails) for title, kind in healthy.items()),
        part(title="false PASS at 2x, noise CV .3", kind=Numbers(ratio=2.0), deciders=passes),
        *(look(title=f"{r:g}x, noise CV .3", kind=Numbers(ratio=r), deciders=fails) for r in (1.2, 1.5, 2.0, 4.0)),
        look(title="as good, noise CV .3", kind=Numbers(), deciders=passes),
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
        low, high = interval(sum(look is not None for look in looks), len(looks))
        return f"{100 * sum(look is not None for look in looks) / len(looks):.1f}% ({low:.1f} to {high:.1f})"
    # A verdict before the onset is a false alarm, not a quick find.
    found = [look - case.onset if look is not None else math.inf for look in looks if look is None or look > case.onset]
    middle = median(found) if found else math.inf
    early = 1 - len(found) / len(looks)
    return ("never" if middle == math.inf else f"{middle:g}") + (f" ({early:.0%} before)" if early > 0 else "")


def interval(found: int, rollouts: int) -> tuple[float, float]:
    """Wilson's 95% interval of a part, in percent."""
    z = NormalDist().inv_cdf(0.975)
    middle, spread = found + z * z / 2, z * math.sqrt(found * (rollouts - found) / rollouts + z * z / 4)
    return 100 * max(0.0, middle - spread) / (rollouts + z * z), 100 * (middle + spread) / (rollouts + z * z)


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

    groups = {
        "Beside other ways to decide": rival_cases(),
        "Harmless canaries that fail": harmless_cases(),
        "Median look of the verdict": harmful_cases(),
        "One number a side": value_cases(),
    }
    cases = [case for group in groups.values() for case in group]
    with ProcessPoolExecutor(options.workers) as pool:
        job = partial(measure, seed=options.seed, rollouts=options.rollouts)
        looks = dict(zip((case.title for case in cases), pool.map(job, cases), strict=True))
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(
        f"{options.rollouts:,} rollouts a case, alpha = {ALPHA:g}: % of canaries failed, or median look of it"
    )
    for title, group in groups.items():
        console.print(tabulate(title, [(case, looks[case.title]) for case in group]))
    console.print(planned())

    panels = [panel("Healthy canary, q = .5%", looks["false alarms, q = .5%"])]
    panels.append(panel("Twice the errors, q = .5%", looks["2x errors"]))
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "evidence.svg"
    path.write_text(draw(panels), encoding="utf-8")
    console.print(f"Plot: {path}")


if __name__ == "__main__":
    main()
