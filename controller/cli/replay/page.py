"""A replay as one self-contained HTML page: a table, and plots of the metrics of each rollout."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from itertools import pairwise

from controller.api import Canary, Compare
from controller.cli import words
from controller.cli.replay.chart import Level, Line, chart, legend
from controller.cli.replay.report import NOTES, quiet_sentences, rollout_reason
from controller.core.evidence.comparison import Comparison
from controller.core.evidence.values import ValueComparison
from controller.core.model import Evidence
from controller.core.simulation.recording import Recording
from controller.core.simulation.replay import PastRollout, Replay
from controller.core.simulation.run import Look

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#64748b;--rule:#d7dde5;--paper:#fff;
--canary:#c2570c;--primary:#2563a8;--good:#15803d;--bad:#b91c1c}
@media(prefers-color-scheme:dark){:root{--ink:#e5e9f0;--soft:#94a3b8;--rule:#374151;--paper:#14181f;
--canary:#f59e4a;--primary:#6ab0f3;--good:#4ade80;--bad:#f87171}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1180px;margin:2rem auto;
padding:0 1rem}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2.2rem}h3{font-size:1rem;margin:1rem 0 .2rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid var(--rule);
vertical-align:top}td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto}.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(340px,1fr));gap:1rem}
figure{margin:0}figcaption{color:var(--soft);font-size:.85rem}svg{width:100%;height:auto}
svg text{font-size:11px;fill:var(--soft)}.end{text-anchor:end}.mid{text-anchor:middle}
.grid{stroke:var(--rule)}path{fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round}
circle{fill:currentColor}g.canary{color:var(--canary)}g.primary{color:var(--primary)}g.bad{color:var(--bad)}
g.good{color:var(--good)}g.weight{color:var(--soft)}.level{stroke-dasharray:5 4;stroke-width:1.5}
.level.bad{stroke:var(--bad)}.level.good{stroke:var(--good)}
.key{margin-right:1rem}.key::before{content:"";display:inline-block;width:1rem;height:.2rem;margin-right:.35rem;
vertical-align:middle;background:currentColor}.key.canary::before{background:var(--canary)}
.key.primary::before{background:var(--primary)}.key.bad::before{background:var(--bad)}
.key.good::before{background:var(--good)}.promoted{color:var(--good)}.harm,.threshold{color:var(--bad)}
ul{color:var(--soft)}
"""


def render_page(canary: Canary, recording: Recording, result: Replay) -> str:
    """The whole page."""
    name = escape(f"{canary.namespace}/{canary.name}")
    first, last = recording.time(0), recording.time(recording.points - 1)
    interval = words.duration(canary.spec.analysis.tick_seconds())
    quiet = "".join(f"<p>{escape(sentence.strip())}</p>" for sentence in quiet_sentences(canary, result))
    notes = "".join(f"<li>{escape(note)}</li>" for note in NOTES)
    rollouts = "".join(_rollout(canary, number, rollout) for number, rollout in enumerate(result.rollouts, start=1))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Replay of {name}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>Replay of {name}</h1>"
        f"<p>{words.moment(first)} to {words.moment(last)} UTC, one look every {interval}.</p>"
        f"<h2>Rollouts</h2>{_table(canary, result)}{rollouts}"
        f"<h2>Quiet times</h2>{quiet}<h2>Limits</h2><ul>{notes}</ul></body></html>\n"
    )


def _table(canary: Canary, result: Replay) -> str:
    if not result.rollouts:
        return "<p>The canary served no requests.</p>"
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
    plots = [_figure("Weight set by this Canary", chart("Weight by look", [weight], label=lambda v: f"{v:.0f}%"), "")]
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
    yield _figure(f"{name}: {caption}", drawn, legend([canary, primary]))
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
    yield _figure(
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
    return _figure(f"{name} (dashed: limits)", chart(name, [line], levels=levels, label=lambda v: f"{v:.4g}"), "")


def _figure(caption: str, drawing: str, key: str) -> str:
    return f"<figure><figcaption>{escape(caption)}</figcaption>{drawing}<div>{key}</div></figure>"


def _power(value: float) -> str:
    return f"{value:.3g}"
