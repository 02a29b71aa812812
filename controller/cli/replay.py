"""``canary replay``: what a spec would have done in past rollouts, and how often it would have alarmed without one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from controller.api import Canary
from controller.cli import words
from controller.cli.errors import CommandError, tells_errors
from controller.cli.manifests import load_canary
from controller.cli.recording import fetch_recording, load_recording, parse_time, save_recording
from controller.cli.replay_view import NOTES, as_json, quiet_sentences, rollout_reason
from controller.core.simulation.recording import Recording
from controller.core.simulation.replay import Replay, plan_recording, replay
from controller.core.simulation.run import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the metrics come from: a Prometheus and a span of time, or a file.

    Attributes:
        prometheus: its address; empty where ``recorded`` is given.
        start, end: times, or durations for so long ago.
        headers: ``NAME: VALUE`` to send along, for those that ask for a token or a tenant.
        recorded: a file that ``--save`` wrote.
    """

    prometheus: str = ""
    start: str = ""
    end: str = "now"
    headers: Sequence[str] = ()
    recorded: Path | None = None


@tells_errors
def replay_canary(
    files: Sequence[str],
    name: str,
    source: Source,
    *,
    save: Path | None,
    html: Path | None,
    output: str,
    most_quiet: int,
) -> None:
    """Replay the one Canary of the files; save the recording, write the page, print the table."""
    canary, templates = load_canary(files, name)
    queries = plan_recording(canary, templates)
    recording = find_recording(canary, source, queries)
    if save:
        save_recording(save, recording)
    result = replay(canary, templates, recording, most_quiet=most_quiet)
    if html:
        _write_page(html, canary, recording, result)
    if output == "json":
        print(json.dumps(as_json(canary, recording, result), indent=2))
    else:
        _print(canary, recording, result)


def find_recording(canary: Canary, source: Source, queries: Sequence[str]) -> Recording:
    """The recording that ``source`` names."""
    if (source.recorded is None) == (not source.prometheus):
        raise CommandError("give either --prometheus URL with --start, or --recorded FILE")
    if source.recorded is not None:
        return load_recording(source.recorded)
    if not source.start:
        raise CommandError(
            "--start is missing: a time as in 2026-11-24T12:00, or a duration as in 168h for so long ago"
        )
    now = datetime.now(UTC)
    headers = dict(_header(text) for text in source.headers)
    return fetch_recording(
        source.prometheus,
        queries,
        start=parse_time("--start", source.start, now),
        end=parse_time("--end", source.end, now),
        step=canary.spec.analysis.tick_seconds(),
        headers=headers,
    )


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise CommandError(f"--header {text!r}: must be NAME: VALUE")
    return name.strip(), value.strip()


def _write_page(path: Path, canary: Canary, recording: Recording, result: Replay) -> None:
    from controller.cli.replay_page import render_page  # noqa: PLC0415 -- only where a page is asked for

    try:
        path.write_text(render_page(canary, recording, result), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from None


def _print(canary: Canary, recording: Recording, result: Replay) -> None:
    console = Console(highlight=False)
    span = f"{words.moment(recording.time(0))} to {words.moment(recording.time(recording.points - 1))} UTC"
    console.print(f"[bold]{canary.namespace}/{canary.name}[/], {span}, a look every {_step(canary)}")
    console.print()
    if result.rollouts:
        console.print(_rollouts_table(canary, result))
        console.print()
    else:
        console.print("No rollout: the canary served no requests.")
    for sentence in quiet_sentences(canary, result):
        print(sentence)
    console.print()
    for note in NOTES:
        print(f"- {note}")


def _step(canary: Canary) -> str:
    return words.duration(canary.spec.analysis.tick_seconds())


def _rollouts_table(canary: Canary, result: Replay) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("ROLLOUT (UTC)", "LASTED", "CANARY REQUESTS", "SHARE", "THIS SPEC", "AT LOOK", "BECAUSE"):
        right = column in {"LASTED", "CANARY REQUESTS", "SHARE", "AT LOOK"}
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    for rollout in result.rollouts:
        begun = words.moment(rollout.begins_at) + (" (begun before)" if rollout.cut_off else "")
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
