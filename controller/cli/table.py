"""Canaries as a table of the terminal. The sandbox shows the same one."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from controller.api import Phase, Strategy
from controller.cli.tables import new_table
from controller.core.evidence.question import Verdict
from controller.views import words
from controller.views.rows import CanaryRow

_RIGHT = {"TRAFFIC", "FAILED", "VALUE", "RATIO", "P"}
_STYLES = {Phase.INITIALIZED: "green", Phase.SUCCEEDED: "green", Phase.FAILED: "red", Phase.NEW: "dim"}
_BAD, _GOOD = (Verdict.FAIL, "failed"), (Verdict.PASS, "passed")
_IN_ROUNDS = (Strategy.AB_TESTING, Strategy.BLUE_GREEN)


def draw_canaries(rows: Sequence[CanaryRow]) -> RenderableType:
    """The Canaries, their metrics, and their messages, one below the other; long text is folded, never cut."""
    if not rows:
        return Text("No Canaries found.")
    parts: list[RenderableType] = [_canary_table(rows)]
    if any(row.metrics for row in rows):
        parts += [Text(""), _metric_table(rows)]
    notes = [Text.assemble((f"{row.label}: ", "bold"), words.plain(row.message)) for row in rows if row.message]
    return Group(*parts, *([Text(""), *notes] if notes else []))


def _canary_table(rows: Sequence[CanaryRow]) -> Table:
    """One line for each Canary; the workloads only if they are known."""
    workloads = any(row.primary or row.canary for row in rows)
    pod_columns = ("PRIMARY PODS", "CANARY PODS") if workloads else ()
    table = new_table("CANARY", "STATUS", "TRAFFIC", "FAILED", *pod_columns, right=_RIGHT)
    for row in rows:
        failed = f"{row.failed_checks}/{row.threshold}" if row.threshold else str(row.failed_checks)
        pods = (row.primary or "-", row.canary or "-") if workloads else ()
        status = Text(row.phase or "(new)", style=_STYLES.get(row.phase, "yellow"))
        table.add_row(Text(row.label), status, row.traffic, failed, *(Text(words.plain(each)) for each in pods))
    return table


def _metric_table(rows: Sequence[CanaryRow]) -> Table:
    """One line for each metric; the first of a Canary has its name."""
    table = new_table("CANARY", "METRIC", "VALUE", "RATIO", "P", "VERDICT", right=_RIGHT)
    for row in rows:
        label = row.label
        for each in row.metrics:
            value = "" if each.value is None else f"{each.value:.4g}"
            ratio = "" if each.p_value is None else words.ratio(each.ratio)
            p_value = "" if each.p_value is None else words.probability(each.p_value)
            style = "red" if each.verdict in _BAD else "green" if each.verdict in _GOOD else ""
            verdict = Text(f"{each.verdict} (dry run)" if each.dry_run else each.verdict, style=style)
            table.add_row(Text(label), Text(words.plain(each.metric)), value, ratio, p_value, verdict)
            label = ""
    return table
