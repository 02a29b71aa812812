"""Line charts as SVG text, side by side under one legend; standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, MARGIN, LEGEND = 420, 300, 56, 34
COLOURS = ("#0072b2", "#56b4e9", "#009e73", "#d55e00", "#cc79a7", "#555555")  # Okabe and Ito, for any eyes


@dataclass(frozen=True, slots=True)
class Curve:
    """Values 0 to 100 at x = 0, 1, 2, ..."""

    name: str
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    x_label: str
    y_label: str
    curves: Sequence[Curve]


def draw(panels: Sequence[Panel]) -> str:
    """The chart; every panel has the same curve names, in the same order."""
    step = WIDTH + MARGIN + 20
    width, height = step * len(panels) + 10, HEIGHT + 2 * MARGIN + LEGEND
    body = [_panel(panel, MARGIN + 10 + index * step) for index, panel in enumerate(panels)]
    names = [curve.name for curve in panels[0].curves]
    body += [_legend(name, index, width / len(names)) for index, name in enumerate(names)]
    style = 'font-family="sans-serif" font-size="12" fill="#222"'
    frame = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {style}>'
    return "\n".join([frame, f'<rect width="{width}" height="{height}" fill="#fff"/>', *body, "</svg>\n"])


def _panel(panel: Panel, left: float) -> str:
    top, bottom = MARGIN, MARGIN + HEIGHT
    last = max(len(curve.values) for curve in panel.curves) - 1
    parts = [f'<text x="{left}" y="{top - 16}" font-size="15">{escape(panel.title)}</text>']
    for percent in range(0, 101, 20):
        y = bottom - HEIGHT * percent / 100
        parts.append(f'<line x1="{left}" y1="{y:g}" x2="{left + WIDTH}" y2="{y:g}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:g}" text-anchor="end">{percent}</text>')
    for number in range(0, last + 1, 10):
        x = left + WIDTH * number / last
        parts.append(f'<text x="{x:g}" y="{bottom + 16}" text-anchor="middle">{number}</text>')
    parts.append(f'<text x="{left + WIDTH / 2}" y="{bottom + 34}" text-anchor="middle">{escape(panel.x_label)}</text>')
    label_x, label_y = left - 40, top + HEIGHT / 2
    turn = f'transform="rotate(-90 {label_x} {label_y})"'
    parts.append(f'<text x="{label_x}" y="{label_y}" text-anchor="middle" {turn}>{escape(panel.y_label)}</text>')
    for curve, colour in zip(panel.curves, COLOURS, strict=False):
        points = " ".join(
            f"{left + WIDTH * x / last:.1f},{bottom - HEIGHT * y / 100:.1f}" for x, y in enumerate(curve.values)
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
    return "\n".join(parts)


def _legend(name: str, index: int, width: float) -> str:
    x, y = 20 + index * width, HEIGHT + 2 * MARGIN + LEGEND / 2
    line = f'<line x1="{x:g}" y1="{y:g}" x2="{x + 22:g}" y2="{y:g}" stroke="{COLOURS[index]}" stroke-width="3"/>'
    return f'{line}<text x="{x + 28:g}" y="{y + 4:g}">{escape(name)}</text>'
