"""A rollout of the past in words, and as HTML: its course, what its metrics said, and how it ended."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Literal

from controller.api.history import Limit, Measured, Rollout
from controller.views import words
from controller.views.chart import Band, Level, Line, chart, legend
from controller.views.html import figure, standalone
from controller.views.rows import tag_of


def change_of(rollout: Rollout) -> str:
    """``6.1.0 → 6.1.1``; where an image has the same tag on both sides, or one is not known, what there is."""
    new, old = _tags(rollout.images), _tags(rollout.replaced)
    return f"{old} → {new}" if old and new and old != new else new or rollout.revision


def _tags(images: Mapping[str, str]) -> str:
    return ", ".join(dict.fromkeys(map(tag_of, images.values())))


def outcome_of(rollout: Rollout, *, last: bool = True) -> str:
    """``promoted``, ``rolled back (ChecksFailed)``; of one whose end nobody has seen, that."""
    if rollout.outcome is None:
        return "under way" if last else "not recorded"
    usual = rollout.reason.lower() in ("", rollout.outcome.value)
    return rollout.outcome.words + ("" if usual else f" ({rollout.reason})")


def facts_of(rollout: Rollout) -> Iterator[tuple[str, str]]:
    """What there is to say beside the course, by name."""
    yield "version", change_of(rollout)
    for name, image in rollout.images.items():
        yield "image", f"{name}: {image}"
    yield "revision", rollout.revision
    by = f", by {rollout.by}" if rollout.by else ""
    yield "started", f"{words.moment(rollout.started_at)} UTC{by}"
    if rollout.ended_at and rollout.seconds is not None:
        yield "ended", f"{words.moment(rollout.ended_at)} UTC, after {words.duration(rollout.seconds)}"
    if rollout.message:
        yield "because", rollout.message
    for override in rollout.overrides:
        yield "by hand", str(override) + (f": {override.why}" if override.why else "")


def measured(value: Measured) -> str:
    """``0.4``, or ``1.2x (0.8 to 1.9)``."""
    if value.ratio is None:
        return "-" if value.value is None else f"{value.value:.4g}"
    between = None if value.low is None else (value.low, math.inf if value.high is None else value.high)
    return words.ratio(value.ratio) + words.interval(between)


def limit_words(limit: Limit) -> str:
    """``0.5 to 1``, ``at most 1``, ``harm from 2x``; empty without any."""
    if limit.harmful is not None:
        return f"harm from {limit.harmful:g}x"
    if limit.minimum is not None and limit.maximum is not None:
        return f"{limit.minimum:g} to {limit.maximum:g}"
    if limit.maximum is not None:
        return f"at most {limit.maximum:g}"
    return f"at least {limit.minimum:g}" if limit.minimum is not None else ""


def render_record(label: str, rollout: Rollout) -> str:
    """A page in one file. ``label`` is NAMESPACE/NAME."""
    title = f"Rollout {rollout.number} of {label}: {outcome_of(rollout)}"
    return standalone(title, render_course(rollout))


def render_course(rollout: Rollout) -> str:
    """The same as part of a page."""
    facts = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in facts_of(rollout))
    verdicts = "".join(
        f"<tr><td>{escape(each.name)}</td><td>{escape(each.verdict)}{' (dry run)' if each.dry_run else ''}</td>"
        f"<td>{escape(each.detail)}</td></tr>"
        for each in rollout.verdicts
    )
    table = f"<h2>Verdicts</h2><table><tr><th>Metric</th><th>Verdict</th><th></th></tr>{verdicts}</table>"
    return f"<table>{facts}</table>{render_plots(rollout)}{table if verdicts else ''}"


def render_plots(rollout: Rollout) -> str:
    """The traffic and each metric by look, as part of a page."""
    plots = "".join((_weights(rollout), *(_plot(rollout, limit) for limit in rollout.limits)))
    return f'<div class="plots">{plots}</div>'


def _weights(rollout: Rollout) -> str:
    lines = [Line("weight", "weight set", [float(each.weight) for each in rollout.samples])]
    if any(each.observed is not None for each in rollout.samples):
        lines.append(Line("canary", "share of the requests", [each.observed for each in rollout.samples]))
    drawn = chart("Traffic of the canary by look", lines, label=lambda value: f"{value:.0f}%")
    return figure("Traffic of the canary", drawn, legend(lines))


def _plot(rollout: Rollout, limit: Limit) -> str:
    """The values of one metric with their bounds; of a comparison the ratio and its interval, harm shown."""
    found = [next((m for m in each.metrics if m.name == limit.name), None) for each in rollout.samples]
    caption = f"{limit.name}{' (dry run)' if limit.dry_run else ''}: dashed is {limit_words(limit) or 'no limit'}"
    if limit.harmful is not None:
        return figure(caption, *_compared(limit, limit.harmful, found))
    line = Line("canary", "canary", [each.value if each else None for each in found])
    sides: tuple[tuple[str, float | None, Literal["above", "below"]], ...]
    sides = (("minimum", limit.minimum, "below"), ("maximum", limit.maximum, "above"))
    levels = [Level("bad", name, value, zone) for name, value, zone in sides if value is not None]
    drawn = chart(f"{limit.name} by look", [line], levels=levels, label=lambda value: f"{value:.4g}")
    return figure(caption, drawn, legend([line]))


def _compared(limit: Limit, harmful: float, found: Sequence[Measured | None]) -> tuple[str, str]:
    """Chart and legend of a ratio with its interval; harm begins at the upper line."""
    lines = [Line("canary", "times the primary's", [each.ratio if each else None for each in found])]
    band = Band(
        "canary",
        "interval",
        [each.low if each else None for each in found],
        [each.high if each else None for each in found],
    )
    levels = [Level("bad", "harmful from", harmful, "above")]
    levels += [Level("good", "harmless up to", limit.harmless)] if limit.harmless is not None else []
    title, label = f"{limit.name} by look", words.ratio
    drawn = chart(title, lines, levels=levels, bands=[band], label=label, logarithmic=True)
    return drawn, legend([*lines, band])
