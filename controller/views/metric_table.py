"""The metrics of a Canary as HTML: what was found, what is allowed, and the requests so far."""

from __future__ import annotations

from html import escape

from controller.api import Canary, Compare
from controller.api.metric import Metric
from controller.core.analysis.findings import Finding
from controller.views import words
from controller.views.rows import CanaryRow

_SIGNS = {"passed": "✓", "PASS": "✓", "failed": "✕", "FAIL": "✕"}


def render_metrics(canary: Canary | None, row: CanaryRow) -> str:
    """The table; empty without metrics, or where the spec is invalid."""
    if canary is None or not canary.spec.analysis.metrics:
        return ""
    found = {each.metric: each for each in row.metrics}
    rows = "".join(_metric(metric, found.get(metric.name)) for metric in canary.spec.analysis.metrics)
    return (
        f"<h2>Metrics</h2><table><tr><th>Metric</th><th>Found</th><th>Allowed</th><th>Requests</th></tr>{rows}</table>"
    )


def _metric(metric: Metric, finding: Finding | None) -> str:
    verdict = finding.verdict if finding else "not measured yet"
    sign = _SIGNS.get(verdict, "…")
    tried = " (dry run)" if metric.dry_run else ""
    colour = {"✓": "promoted", "✕": "harm"}.get(sign, "")
    detail = finding.detail if finding and not (finding.verdict == "passed" and finding.value is not None) else ""
    said = f'<tr><td class="soft" colspan="4">{escape(detail)}</td></tr>' if detail else ""
    return (
        f'<tr><td>{escape(metric.name)}{tried}</td><td><span class="{colour}">{sign} {escape(verdict)}</span>'
        f" {_found(finding)}</td><td>{escape(_allowed(metric))}</td><td>{_requests(metric, finding)}</td></tr>{said}"
    )


def _found(finding: Finding | None) -> str:
    if finding is None:
        return ""
    if finding.value is not None:
        return f"{finding.value:.4g}"
    return words.ratio(finding.ratio) if finding.ratio is not None else ""


def _allowed(metric: Metric) -> str:
    if metric.compare:
        return _limits(metric.compare)
    bounds = metric.bounds
    if bounds is None:
        return ""
    low, high = bounds.low, bounds.high
    parts = (f"at least {low:g}" if low is not None else "", f"at most {high:g}" if high is not None else "")
    return ", ".join(part for part in parts if part)


def _limits(compare: Compare) -> str:
    limits = compare.limits
    return f"harmless to {limits.harmless_ratio:g}x, harmful from {limits.harmful_ratio:g}x"


def _requests(metric: Metric, finding: Finding | None) -> str:
    if finding is None or finding.requests is None:
        return ""
    least = metric.compare.min_requests if metric.compare else 0
    needed = f" of at least {words.count(least)}" if least else ""
    return f"{words.count(finding.requests)}{needed}"
