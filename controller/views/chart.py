"""Small line charts as inline SVG: no script, no font, no address."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import chain
from typing import Literal

WIDTH, HEIGHT = 560, 180
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 12, 28
_HEADROOM = 0.15


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart: a CSS class that colours it, a name for its legend, points by x (None: a gap)."""

    style: str
    name: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Band:
    """An area between two lines; where only its upper end is not known, it has none. ``None`` below is a gap."""

    style: str
    name: str
    low: Sequence[float | None]
    high: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Level:
    """A horizontal line with a name, and the zone that is shaded: what is above it, what is below it, or nothing."""

    style: str
    name: str
    value: float
    zone: Literal["above", "below", ""] = ""


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where a look and a value are drawn."""

    longest: int
    low: float
    high: float

    def x(self, look: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * look / max(self.longest - 1, 1)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - self.low) / (self.high - self.low)

    def zone(self, value: float, side: str) -> str:
        top, bottom = (TOP, self.y(value)) if side == "above" else (self.y(value), HEIGHT - BOTTOM)
        return f'x="{LEFT}" width="{WIDTH - LEFT - RIGHT}" y="{top:.1f}" height="{max(bottom - top, 0):.1f}"'

    def across(self, value: float) -> str:
        return f'x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{self.y(value):.1f}" y2="{self.y(value):.1f}"'


def chart(
    title: str,
    lines: Sequence[Line],
    *,
    levels: Sequence[Level] = (),
    bands: Sequence[Band] = (),
    label: Callable[[float], str],
    logarithmic: bool = False,
) -> str:
    """A chart over looks 0, 1, 2, …

    Args:
        title: what a screen reader says.
        lines: what is drawn; values that are not finite (or, in a logarithmic chart, not above 0) are gaps.
        levels: bounds to compare them with.
        bands: intervals around them.
        label: how a value of the y axis is written.
        logarithmic: whether the y axis is.
    """
    scaled = [[_scaled(value, logarithmic) for value in line.values] for line in lines]
    marks = [_scaled(level.value, logarithmic) for level in levels]
    areas = [tuple([_scaled(v, logarithmic) for v in ends] for ends in (band.low, band.high)) for band in bands]
    seen = (*scaled, marks, *chain.from_iterable(areas))
    known = [value for values in seen for value in values if value is not None] or [0.0, 1.0]
    low = min(known) if logarithmic else min(*known, 0.0)
    high = max(known) if max(known) > low else low + 1.0
    if any(level.zone == "above" for level in levels):
        high += (high - low) * _HEADROOM  # a zone that begins at the highest value shows all the same
    frame = _Frame(max((len(line.values) for line in lines), default=1), low, high)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}"><title>{escape(title)}</title>',
        *_axes(frame, lambda value: label(10**value if logarithmic else value)),
    ]
    parts += [
        f'<rect class="zone {level.style}" {frame.zone(mark, level.zone)}><title>{escape(level.name)}</title></rect>'
        for level, mark in zip(levels, marks, strict=True)
        if mark is not None and level.zone
    ]
    parts += [_area(frame, band, *ends) for band, ends in zip(bands, areas, strict=True)]
    parts += [
        f'<line class="level {level.style}" {frame.across(mark)}><title>{escape(level.name)}</title></line>'
        for level, mark in zip(levels, marks, strict=True)
        if mark is not None
    ]
    for line, values in zip(lines, scaled, strict=True):
        parts.append(_drawn(line, [None if v is None else (frame.x(n), frame.y(v)) for n, v in enumerate(values)]))
    return "".join([*parts, "</svg>"])


def sparkline(title: str, values: Sequence[float]) -> str:
    """The course of percentages, without axes."""
    step = 100 / max(len(values) - 1, 1)
    points = " ".join(f"{number * step:.1f},{22 - value / 5:.1f}" for number, value in enumerate(values))
    return (
        f'<svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" role="img" aria-label="{escape(title)}">'
        f'<title>{escape(title)}</title><polyline points="{points}"/></svg>'
    )


def _area(frame: _Frame, band: Band, low: Sequence[float | None], high: Sequence[float | None]) -> str:
    """One column a look: a gap needs no case of its own."""
    half = (WIDTH - LEFT - RIGHT) / max(frame.longest - 1, 1) / 2
    columns = ""
    for look, (bottom, above) in enumerate(zip(low, high, strict=True)):
        if bottom is not None:
            top, left = frame.y(frame.high if above is None else above), max(frame.x(look) - half, LEFT)
            width, height = min(frame.x(look) + half, WIDTH - RIGHT) - left, frame.y(bottom) - top
            columns += f'<rect x="{left:.1f}" width="{width:.1f}" y="{top:.1f}" height="{height:.1f}"/>'
    return f'<g class="band {band.style}"><title>{escape(band.name)}</title>{columns}</g>'


def _axes(frame: _Frame, label: Callable[[float], str]) -> Iterator[str]:
    for step in range(5):
        value = frame.low + (frame.high - frame.low) * step / 4
        yield f'<line class="grid" {frame.across(value)}/>'
        yield f'<text class="end" x="{LEFT - 6}" y="{frame.y(value) + 4:.1f}">{escape(label(value))}</text>'
    for look in range(0, frame.longest, max(1, frame.longest // 8)):
        yield f'<text class="mid" x="{frame.x(look):.1f}" y="{HEIGHT - 8}">{look}</text>'


def legend(lines: Sequence[Line | Level | Band]) -> str:
    """The names of the lines, each beside its colour."""
    return "".join(f'<span class="key {line.style}">{escape(line.name)}</span>' for line in lines)


def _scaled(value: float | None, logarithmic: bool) -> float | None:
    if value is None or not math.isfinite(value) or (logarithmic and value <= 0):
        return None
    return math.log10(value) if logarithmic else value


def _drawn(line: Line, points: Sequence[tuple[float, float] | None]) -> str:
    """A dot for each point, joined by lines except across gaps."""
    path, dots, pen_down = "", "", False
    for point in points:
        if point is not None:
            path += f"{'L' if pen_down else 'M'}{point[0]:.1f} {point[1]:.1f}"
            dots += f'<circle cx="{point[0]:.1f}" cy="{point[1]:.1f}" r="2.5"/>'
        pen_down = point is not None
    return f'<g class="{line.style}"><title>{escape(line.name)}</title><path d="{path}"/>{dots}</g>'
