"""``canary tune``: what a comparison should ask of a service, from its own recorded traffic."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import yaml
from rich.console import Console

from controller.api import Canary, Metric, parse_duration
from controller.cli.errors import CommandError, reports_errors
from controller.cli.manifests import load_canary
from controller.cli.options import (
    EndOption,
    FilesOption,
    HeaderOption,
    NameOption,
    PrometheusOption,
    QuietRunsOption,
    RecordedOption,
    SaveOption,
    StartOption,
)
from controller.cli.recording import Source
from controller.core.simulation.replay import plan_recording
from controller.core.simulation.traffic import Measured, counting, measure_traffic
from controller.core.simulation.tune import Candidate, Trial, find_candidates, foresee, try_candidates, with_interval
from controller.views import words


@reports_errors
def tune(  # noqa: PLR0917 -- typer passes them by name
    files: FilesOption,
    name: NameOption = "",
    prometheus: PrometheusOption = "",
    start: StartOption = "",
    end: EndOption = "now",
    header: HeaderOption = None,
    recorded: RecordedOption = None,
    save: SaveOption = None,
    quiet_runs: QuietRunsOption = 200,
) -> None:
    """Propose the settings of each comparison from recorded traffic.

    Tries settings with one pod of the primary as the canary, from the one that finds a doubling of bad requests
    soonest, up to the first that keeps the stated risk. Prints a patch, with the evidence for it as comments.
    """
    canary, templates = load_canary(files, name)
    metrics = counting(canary)
    if not metrics:
        raise CommandError("no metric compares a share of requests: set compare.errors, latency or counters")
    source = Source(prometheus, start, end, tuple(header or ()), recorded, save)
    recording = source.find(plan_recording(canary, templates), canary.spec.analysis.tick_seconds())
    measured = measure_traffic(canary, recording)
    tuned, evidence = canary, list[str]()
    with Console(stderr=True).status("") as status:
        for metric in metrics:
            trials = list[Trial]()
            candidates = find_candidates(canary, measured.traffic, metric)
            risk = metric.compare.risk if metric.compare else 0.0
            for trial in try_candidates(canary, templates, recording, metric, candidates, most_runs=quiet_runs):
                trials.append(trial)
                status.update(f"{metric.name}: {len(trials)} of {len(candidates)} settings tried")
                if trial.holds(risk):
                    tuned = _with(tuned, metric, trial)
                    break
            said = _evidence(canary, metric, measured, candidates, trials)
            evidence += [f"# {metric.name}: {sentence}" for sentence in said]
    seen = f"{words.moment(recording.time(0))} to {words.moment(recording.time(recording.points - 1))} UTC"
    print(f"# {canary.namespace}/{canary.name}, {seen}, {words.count(measured.requests)} requests")
    print("\n".join(evidence))
    if tuned is canary:
        raise CommandError("no setting can be proposed")
    print(yaml.safe_dump({"spec": {"analysis": _patch(canary, tuned)}}, sort_keys=False), end="")


def _with(tuned: Canary, metric: Metric, trial: Trial) -> Canary:
    """One metric's proposal beside the others', and the longest interval that any of them asks for."""
    longest = max(tuned.spec.analysis.interval, trial.candidate.interval, key=parse_duration)
    return with_interval(trial.candidate.setting.on(tuned, metric), longest)


def _evidence(
    canary: Canary, metric: Metric, measured: Measured, candidates: Sequence[Candidate], trials: Sequence[Trial]
) -> Iterator[str]:
    """Why a setting is proposed, or why none is."""
    counted, risk = measured.counted.get(metric.name), metric.compare.risk if metric.compare else 0.0
    if counted is None or not counted.total:
        yield "no requests were counted"
        return
    rates = ", ".join(words.percent(bad / counted.total) for bad in counted.bad)
    yield f"{rates} of the primary's requests are bad, in clumps of {max(counted.dispersion):.1f}"
    if not candidates:
        yield "with so few bad requests no analysis finds a doubling of them, even with an interval of an hour"
        return
    if not trials:
        yield (
            "no setting could be tried: that needs a time without a canary, as long as the analysis, in which two pods"
            " of the primary serve requests"
        )
        return
    last = trials[-1]
    alarms = f"{last.alarms} false alarms in {last.runs} runs with one pod of the primary as the canary"
    limit = f"the risk is {words.percent(risk)}"
    if not last.holds(risk):
        yield f"all {len(trials)} settings raise more false alarms than the risk of {words.percent(risk)}: use dryRun"
        return
    refused = f" ({len(trials) - 1} quicker settings raised more)" if len(trials) > 1 else ""
    yield f"{alarms}; {limit}{refused}"
    if last.runs * risk < 1:
        yield f"{last.runs} runs cannot show a risk of {words.percent(risk)}; that takes {math.ceil(1 / risk)} or more"
    before = foresee(canary.spec.analysis, measured.traffic, metric)
    now = f"after {words.duration(before.seconds)}" if before and before.seconds else "not in the plan"
    then = words.duration(last.candidate.doubling.seconds or 0)
    every = (
        f", with an interval of {last.candidate.interval}"
        if last.candidate.interval != canary.spec.analysis.interval
        else ""
    )
    yield f"a doubling of the bad requests is found after {then}{every}; before: {now}"


def _patch(canary: Canary, tuned: Canary) -> dict[str, object]:
    """What differs, as it is written: a merge patch replaces the whole list of metrics."""
    analysis = tuned.spec.analysis
    interval = {"interval": analysis.interval} if analysis.interval != canary.spec.analysis.interval else {}
    return {**interval, "metrics": [metric.to_dict() for metric in analysis.metrics]}
