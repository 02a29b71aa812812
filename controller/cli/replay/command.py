"""``canary replay``: what a Canary would have done in past rollouts, and its false alarms in quiet times."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from controller.api import Canary
from controller.cli.errors import CommandError, reports_errors
from controller.cli.manifests import load_canary
from controller.cli.options import (
    EndOption,
    FilesOption,
    HeaderOption,
    NameOption,
    Output,
    OutputOption,
    PrometheusOption,
    QuietRunsOption,
    RecordedOption,
    SaveOption,
    StartOption,
)
from controller.cli.recording import Source
from controller.cli.replay.page import render_page
from controller.cli.replay.report import NO_ROLLOUT, NOTES, as_json, quiet_sentences, rollout_reason
from controller.cli.tables import new_table
from controller.core.simulation.recording import Recording
from controller.core.simulation.replay import Replay, plan_recording
from controller.core.simulation.replay import replay as replay_recording
from controller.core.simulation.run import Outcome
from controller.views import words


@reports_errors
def replay(  # noqa: PLR0917 -- typer passes them by name
    files: FilesOption,
    name: NameOption = "",
    prometheus: PrometheusOption = "",
    start: StartOption = "",
    end: EndOption = "now",
    header: HeaderOption = None,
    recorded: RecordedOption = None,
    save: SaveOption = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write an HTML report with plots to this file.")
    ] = None,
    quiet_runs: QuietRunsOption = 200,
    output: OutputOption = Output.TABLE,
) -> None:
    """Test a Canary on recorded metrics.

    Shows what this Canary would have done in past rollouts, and how often it would have raised a false alarm.
    """
    source = Source(prometheus, start, end, tuple(header or ()), recorded, save)
    canary, templates = load_canary(files, name)
    recording = source.find(plan_recording(canary, templates), canary.spec.analysis.tick_seconds())
    result = replay_recording(canary, templates, recording, most_quiet=quiet_runs)
    if html:
        _write_page(html, canary, recording, result)
    if output is Output.JSON:
        print(json.dumps(as_json(canary, recording, result), indent=2))
    else:
        _print(canary, recording, result)


def _write_page(path: Path, canary: Canary, recording: Recording, result: Replay) -> None:
    try:
        path.write_text(render_page(canary, recording, result), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from None


def _print(canary: Canary, recording: Recording, result: Replay) -> None:
    console = Console(highlight=False)
    span = f"{words.moment(recording.time(0))} to {words.moment(recording.time(recording.points - 1))} UTC"
    console.print(f"[bold]{canary.namespace}/{canary.name}[/], {span}, one look every {_step(canary)}")
    console.print()
    if result.rollouts:
        console.print(_rollouts_table(canary, result))
        console.print()
    else:
        console.print(f"No rollouts: {NO_ROLLOUT}")
    for sentence in quiet_sentences(canary, result):
        print(sentence)
    console.print()
    for note in NOTES:
        print(f"- {note}")


def _step(canary: Canary) -> str:
    return words.duration(canary.spec.analysis.tick_seconds())


def _rollouts_table(canary: Canary, result: Replay) -> Table:
    columns = ("ROLLOUT (UTC)", "DURATION", "CANARY REQUESTS", "SHARE", "RESULT", "AT LOOK", "REASON")
    table = new_table(*columns, right={"DURATION", "CANARY REQUESTS", "SHARE", "AT LOOK"})
    for rollout in result.rollouts:
        begun = words.moment(rollout.begins_at) + (" (already running)" if rollout.cut_off else "")
        share = rollout.canary_requests / (rollout.canary_requests + rollout.primary_requests)
        last = rollout.run.looks[-1]
        table.add_row(
            begun,
            words.duration((rollout.ends_at - rollout.begins_at).total_seconds()),
            words.count(rollout.canary_requests),
            words.percent(share),
            _outcome(rollout.run.outcome),
            f"{last.number}",
            Text(rollout_reason(canary, rollout)),
        )
    return table


def _outcome(outcome: Outcome) -> Text:
    style = {Outcome.PROMOTED: "green", Outcome.HARM: "red", Outcome.THRESHOLD: "red"}
    return Text(str(outcome), style=style.get(outcome, "yellow"))
