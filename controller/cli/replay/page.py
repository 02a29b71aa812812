"""A replay as one self-contained HTML page: a table, and plots of the metrics of each rollout."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from itertools import pairwise

from controller.api import Canary, Compare
from controller.cli.replay.report import NO_ROLLOUT, NOTES, quiet_sentences, rollout_reason
from controller.core.evidence.comparison import Comparison
from controller.core.evidence.values import ValueComparison
from controller.core.model import Evidence
from controller.core.simulation.recording import Recording
from controller.core.simulation.replay import PastRollout, Replay
from controller.core.simulation.run import Look
from controller.views import words
from controller.views.chart import Level, Line, chart, legend
from controller.views.html import figure, standalone


def render_page(canary: Canary, recording: Recording, result: Replay) -> str:
    """The whole page."""
    first, last = recording.time(0), recording.time(recording.points - 1)
    interval = words.duration(canary.spec.analysis.tick_seconds())
    quiet = "".join(f"<p>{escape(sentence.strip())}</p>" for sentence in quiet_sentences(canary, result))
    notes = "".join(f"<li>{escape(note)}</li>" for note in NOTES)
    rollouts = "".join(_rollout(canary, number, rollout) for number, rollout in enumerate(result.rollouts, start=1))
    return standalone(
        f"Replay of {canary.namespace}/{canary.name}",
        f"<p>{words.moment(first)} to {words.moment(last)} UTC, one look every {interval}.</p>"
        f"<h2>Rollouts</h2>{_table(canary, result)}{rollouts}"
        f"<h2>Quiet times</h2>{quiet}<h2>Limits</h2><ul>{notes}</ul>",
    )


def _table(canary: Canary, result: Replay) -> str:
    if not result.rollouts:
        return f"<p>None: {escape(NO_ROLLOUT)}</p>"
    rows = "".join(
        f"<tr><td>{number}</td><td>{words.moment(rollout.begins_at)}</td>"
        f'<td class="number">{words.duration((rollout.ends_at - rollout.begins_at).total_seconds())}</td>'
        f'<td class="number">{words.count(rollout.canary_requests)}</td>'
        f'<td class="{rollout.run.outcome.name.lower()}">{escape(str(rollout.run.outcome))}</td>'
        f'<td class="number">{rollout.run.looks[-1].number}</td><td>{escape(rollout_reason(canary, rollout))}</td></tr>'
        for number, rollout in enumerate(result.rollouts, start=1)
    )
    return (
        '<div class="wide"><table><tr><th></th><th>Start (UTC)</th><th class="number">Duration</th>'
        '<th class="number">Canary requests</th><th>Result</th><th class="number">At look</th><th>Reason</th></tr>'
        f"{rows}</table></div>"
    )


def _rollout(canary: Canary, number: int, rollout: PastRollout) -> str:
    looks = rollout.run.looks
    weight = Line("weight", "weight set by this Canary", [float(look.state.routes.canary_weight) for look in looks])
    plots = [figure("Weight set by this Canary", chart("Weight by look", [weight], label=lambda v: f"{v:.0f}%"), "")]
    for metric in canary.spec.analysis.metrics:
        if metric.compare:
            plots += _comparison_plots(metric.name, metric.compare, looks)
        if metric.bounds and metric.name not in (other.name for other in canary.spec.analysis.metrics if other.compare):
            plots.append(_threshold_plot(metric.name, metric.bounds.low, metric.bounds.high, looks))
    begun = words.moment(rollout.begins_at)
    outcome = escape(str(rollout.run.outcome))
    return f'<h2>{number}. {begun} UTC: {outcome}</h2><div class="plots">{"".join(plots)}</div>'


def _comparison_plots(name: str, compare: Compare, looks: tuple[Look, ...]) -> Iterator[str]:
    """The rate of bad requests, or the number, of both sides at each look, and the evidence."""
    seen = [look.comparisons.get(name) for look in looks]
    canary = Line("canary", "canary", [None, *(_measured(one, two, "canary") for one, two in pairwise(seen))])
    primary = Line("primary", "primary", [None, *(_measured(one, two, "primary") for one, two in pairwise(seen))])
    label, what = (_power, "value") if compare.value else (words.percent, "bad requests")
    drawn = chart(f"{name}: {what} by look", [primary, canary], label=label)
    caption = "value" if compare.value else "rate of bad requests"
    yield figure(f"{name}: {caption}", drawn, legend([canary, primary]))
    worse = Line("bad", "canary is worse", [one.evidence if one else None for one in seen])
    better = Line("good", "canary is not harmful", [one.pass_evidence if one else None for one in seen])
    question = seen[-1].question if seen[-1] else None
    levels: list[Level] = []
    if question:
        levels = [
            Level("bad", "FAIL", question.metrics / question.alpha),
            Level("good", "PASS", 1 / question.alpha),
        ]
    drawn = chart(f"{name}: evidence", [worse, better], levels=levels, label=_power, logarithmic=True)
    last = seen[-1]
    verdict = f"{last.verdict(compare)}: {last.describe(compare)}" if last else "no requests counted"
    yield figure(
        f"{name}: evidence (dashed: enough for a verdict); final verdict: {verdict}", drawn, legend([worse, better])
    )


def _measured(before: Evidence | None, now: Evidence | None, side: str) -> float | None:
    """What one look added: the bad part (0-1), at the edge with the most evidence, or the number; None if nothing."""
    if isinstance(now, ValueComparison):
        looks = before.looks if isinstance(before, ValueComparison) else 0
        return {"canary": now.canary, "primary": now.primary}[side] if now.looks > looks else None
    if not isinstance(before, Comparison) or now is None:
        return None
    edge = now.test.strongest
    seen, seen_before = now.test.rates[edge].seen, before.test.rates[edge].seen
    total = getattr(seen, f"{side}_total") - getattr(seen_before, f"{side}_total")
    bad = getattr(seen, f"{side}_bad") - getattr(seen_before, f"{side}_bad")
    return float(max(0.0, bad) / total) if total > 0 else None


def _threshold_plot(name: str, low: float | None, high: float | None, looks: tuple[Look, ...]) -> str:
    values = [next((check.value for check in look.checks if check.name == name), None) for look in looks]
    line = Line("canary", "canary", values)
    bounds = (("minimum", low), ("maximum", high))
    levels = [Level("bad", what, bound) for what, bound in bounds if bound is not None]
    return figure(f"{name} (dashed: limits)", chart(name, [line], levels=levels, label=lambda v: f"{v:.4g}"), "")


def _power(value: float) -> str:
    return f"{value:.3g}"
