"""Parts of Grafana dashboards, as their JSON model: panels, rows, variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

SOURCE = {"type": "prometheus", "uid": "prometheus"}
WINDOW = "$__rate_interval"
COLUMNS, HEIGHT = 24, 8
SCHEMA = 39


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    Attributes:
        title: what it shows.
        unit: of its values, as Grafana calls it.
        queries: PromQL by legend; the legend may use labels.
        kind: how it is drawn.
        width: of the 24 columns.
        dashed: part of the legend of lines that are limits, a regular expression; empty for none.
        logarithmic: whether its scale is.
        about: shown when one asks.
    """

    title: str
    unit: str
    queries: Mapping[str, str]
    kind: Literal["timeseries", "stat", "table", "state-timeline"] = "timeseries"
    width: int = 8
    dashed: str = ""
    logarithmic: bool = False
    about: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A heading with panels below."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A dashboard.

    Attributes:
        uid: what links to it name.
        title: its title.
        rows: its panels.
        variables: what can be chosen.
        annotations: PromQL by title; each stretch with a value is marked in all panels.
    """

    uid: str
    title: str
    rows: Sequence[Row]
    variables: Sequence[Mapping[str, Any]] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As Grafana reads it."""
        return {
            "uid": self.uid,
            "title": self.title,
            "tags": ["canary", "istio"],
            "schemaVersion": SCHEMA,
            "refresh": "10s",
            "time": {"from": "now-15m", "to": "now"},
            "templating": {"list": list(self.variables)},
            "annotations": {"list": [_annotation(title, query) for title, query in self.annotations.items()]},
            "panels": [panel | {"id": number} for number, panel in enumerate(_placed(self.rows), start=1)],
        }


def _placed(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Rows one below the other; their panels from left to right, as many as fit."""
    y = 0
    for row in rows:
        yield {
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "panels": [],
            "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1},
        }
        x, y = 0, y + 1
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                x, y = 0, y + HEIGHT
            yield _panel(panel) | {"gridPos": {"x": x, "y": y, "w": panel.width, "h": HEIGHT}}
            x += panel.width
        y += HEIGHT


def _panel(panel: Panel) -> dict[str, Any]:
    instant = panel.kind in ("stat", "table")
    targets = [
        {
            "refId": chr(ord("A") + i),
            "datasource": SOURCE,
            "expr": query,
            "legendFormat": legend,
            "instant": instant,
            "range": not instant,
            "format": "table" if panel.kind == "table" else "time_series",
        }
        for i, (legend, query) in enumerate(panel.queries.items())
    ]
    scale = {"scaleDistribution": {"type": "log", "log": 10}} if panel.logarithmic else {}
    defaults = {"unit": panel.unit, **({} if panel.logarithmic else {"min": 0}), **({"custom": scale} if scale else {})}
    return {
        "type": panel.kind,
        "title": panel.title,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": [_dashed(panel.dashed)] if panel.dashed else []},
        "targets": targets,
        **({"description": panel.about} if panel.about else {}),
    }


def _dashed(pattern: str) -> dict[str, Any]:
    """Limits: thin, red, dashed, and not filled."""
    line = {"fill": "dash", "dash": [8, 6]}
    return {
        "matcher": {"id": "byRegexp", "options": pattern},
        "properties": [
            {"id": "custom.lineStyle", "value": line},
            {"id": "color", "value": {"mode": "fixed", "fixedColor": "red"}},
        ],
    }


def _annotation(title: str, query: str) -> dict[str, Any]:
    return {
        "name": title,
        "datasource": SOURCE,
        "enable": True,
        "expr": query,
        "iconColor": "blue",
        "step": "10s",
        "titleFormat": title,
        "textFormat": "{{ phase }}: {{ reason }}",
    }


def variable(name: str, query: str, regex: str = "") -> dict[str, Any]:
    """A choice among the values of a label."""
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCE,
        "query": query,
        "regex": regex,
        "refresh": 2,
        "sort": 1,
    }
