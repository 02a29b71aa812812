"""Recordings: fetched from Prometheus with range queries, saved to a file and loaded.

https://prometheus.io/docs/prometheus/latest/querying/api/#range-queries
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from controller.api import MetricProvider, parse_duration
from controller.api.durations import is_duration
from controller.cli.errors import CommandError
from controller.cli.options import parse_header
from controller.core.probes import QueryFailed
from controller.core.simulation.recording import Recording, Series
from controller.shell.budget import Caller
from controller.shell.outside import Outside, open_outside
from controller.shell.providers.prometheus import Prometheus

MOST_POINTS = 10_000
"""In one request; Prometheus allows 11,000."""
AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Source:
    """Where the metrics come from: Prometheus and a time range, or a file.

    Attributes:
        prometheus: its address; empty if ``recorded`` is given.
        start, end: times, or durations before now.
        headers: ``NAME: VALUE``, for servers that require a token or a tenant.
        recorded: a file that ``--save`` wrote.
        save: where to write what was fetched.
    """

    prometheus: str = ""
    start: str = ""
    end: str = "now"
    headers: Sequence[str] = ()
    recorded: Path | None = None
    save: Path | None = None

    def find(self, queries: Sequence[str], step: float) -> Recording:
        """The recording, with an answer to each query every ``step`` seconds where it is fetched.

        Raises:
            CommandError: the options do not name one, it cannot be had, or cannot be saved.
        """
        if (self.recorded is None) == (not self.prometheus):
            raise CommandError("set either --prometheus with --start, or --recorded")
        recording = load_recording(self.recorded) if self.recorded else self._fetch(queries, step)
        if self.save:
            save_recording(self.save, recording)
        return recording

    def _fetch(self, queries: Sequence[str], step: float) -> Recording:
        if not self.start:
            raise CommandError(
                "--start is missing: set a time as in 2026-11-24T12:00, or a duration before now as in 168h"
            )
        now = datetime.now(UTC)
        return fetch_recording(
            self.prometheus,
            queries,
            start=parse_time("--start", self.start, now),
            end=parse_time("--end", self.end, now),
            step=step,
            headers=dict(parse_header("--header", text) for text in self.headers),
        )


def parse_time(option: str, text: str, now: datetime) -> datetime:
    """``2026-11-24T12:00`` (UTC by default), ``now``, or a duration before ``now``."""
    if text == "now":
        return now
    if is_duration(text):
        return now - timedelta(seconds=parse_duration(text))
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(
            f"{option} {text!r}: must be a time as in 2026-11-24T12:00, or a duration before now as in 24h"
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def fetch_recording(
    address: str,
    queries: Sequence[str],
    *,
    start: datetime,
    end: datetime,
    step: float,
    headers: Mapping[str, str] | None = None,
) -> Recording:
    """The answers to ``queries`` from ``start`` to ``end``, every ``step`` seconds.

    Raises:
        CommandError: the time range is empty, or Prometheus does not answer.
    """
    points = math.floor((end - start).total_seconds() / step) + 1
    if points < 2:
        raise CommandError(
            f"--start {start:%Y-%m-%d %H:%M:%S} must be at least one interval ({step:g}s) before --end "
            f"{end:%Y-%m-%d %H:%M:%S}"
        )
    if not address.startswith(("http://", "https://")):
        raise CommandError(f"--prometheus {address!r}: must start with http:// or https://")
    sent = {name: (value,) for name, value in (headers or {}).items()}
    provider = MetricProvider(type="prometheus", address=address, headers=sent)
    recording = Recording(start=start, step=step, points=points)
    answers = asyncio.run(_fetch(provider, tuple(dict.fromkeys(queries)), recording))
    return Recording(start=start, step=step, points=points, answers=answers)


async def _fetch(provider: MetricProvider, queries: Sequence[str], grid: Recording) -> dict[str, tuple[Series, ...]]:
    free = asyncio.Semaphore(AT_ONCE)
    async with open_outside() as session:
        prometheus = Prometheus(Outside(session), Caller("", "canary"), provider)

        async def ask(query: str) -> tuple[Series, ...]:
            elements: list[Mapping[str, Any]] = []
            for first in range(0, grid.points, MOST_POINTS):
                last = min(first + MOST_POINTS, grid.points) - 1
                start, end = grid.time(first).timestamp(), grid.time(last).timestamp()
                async with free:
                    answer = await prometheus.series(query, start=start, end=end, step=grid.step)
                if isinstance(answer, QueryFailed):
                    raise CommandError(f"{answer.reason}\nThe query was: {query}")
                elements += answer
            return _series(elements, grid, provider.address)

        found = await asyncio.gather(*(ask(query) for query in queries))
    return dict(zip(queries, found, strict=True))


def _series(elements: Sequence[Mapping[str, Any]], grid: Recording, where: str) -> tuple[Series, ...]:
    """A Prometheus matrix on the grid; parts of one series are joined."""
    found: dict[str, Series] = {}
    try:
        for element in elements:
            labels = {str(name): str(value) for name, value in element["metric"].items()}
            values = {_point(grid, float(time)): float(value) for time, value in element["values"]}
            key = json.dumps(labels, sort_keys=True)
            before = found[key].values if key in found else {}
            found[key] = Series(labels, {**before, **values})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CommandError(f"{where}: a series that cannot be read ({error!r})") from None
    return tuple(found.values())


def _point(grid: Recording, time: float) -> int:
    return round((time - grid.start.timestamp()) / grid.step)


def save_recording(path: Path, recording: Recording) -> None:
    """Write the answers as Prometheus gave them, with the grid they are on."""
    start = recording.start.timestamp()
    saved = {
        "start": recording.start.isoformat(),
        "stepSeconds": recording.step,
        "points": recording.points,
        "answers": [
            {
                "query": query,
                "result": [
                    {
                        "metric": dict(one.labels),
                        "values": [
                            [start + point * recording.step, repr(value)] for point, value in one.values.items()
                        ],
                    }
                    for one in series
                ],
            }
            for query, series in recording.answers.items()
        ],
    }
    try:
        path.write_text(json.dumps(saved), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from None


def load_recording(path: Path) -> Recording:
    """The recording that `save_recording` wrote.

    Raises:
        CommandError: the file does not exist, or is not a recording.
    """
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        grid = Recording(
            start=datetime.fromisoformat(saved["start"]), step=float(saved["stepSeconds"]), points=int(saved["points"])
        )
        answers = {str(each["query"]): _series(each["result"], grid, str(path)) for each in saved["answers"]}
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise CommandError(f"{path} is not a recording of `canary replay --save`: {error!r}") from None
    if grid.step <= 0 or grid.start.tzinfo is None:
        raise CommandError(f"{path}: stepSeconds must be above 0, and start must have a time zone")
    return Recording(start=grid.start, step=grid.step, points=grid.points, answers=answers)
