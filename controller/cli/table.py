"""Canaries in the terminal, a block each: nothing is cut at 80 columns. The sandbox shows the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from controller.api import Phase
from controller.cli.tables import new_table
from controller.core.evidence.question import Verdict
from controller.core.rollout.phases import UNDER_WAY
from controller.views import words
from controller.views.rows import CanaryRow

_RIGHT = {"FOUND", "P"}
_STYLES = {Phase.INITIALIZED: "green", Phase.SUCCEEDED: "green", Phase.FAILED: "red", Phase.NEW: "dim"}
_BAD, _GOOD = (Verdict.FAIL, "failed"), (Verdict.PASS, "passed")
_SERVES = UNDER_WAY | {Phase.FAILED}


def draw_canaries(rows: Sequence[CanaryRow]) -> RenderableType:
    """The Canaries, each with its versions, its metrics and its message; long text is folded, never cut."""
    if not rows:
        return Text("No Canaries found.")
    apart = any(row.metrics or row.message for row in rows)
    parts: list[RenderableType] = []
    for row in rows:
        parts += [Text("")] if apart and parts else []
        parts += draw_block(row)
    return Group(*parts)


def draw_block(row: CanaryRow) -> Iterator[RenderableType]:
    """One Canary: where it stands, on a line; below it, further in, what there is to say."""
    yield Text.assemble((row.label, "bold"), "  ", status_text(row), "  ", *_progress(row))
    if row.primary or row.canary:
        yield _inside(Text(words.plain(_versions(row))))
    if row.metrics:
        yield _inside(draw_metrics(row))
    if row.message:
        yield _inside(Text(words.plain(row.message), style="" if row.phase is not Phase.FAILED else "red"))


def status_text(row: CanaryRow) -> Text:
    """The phase in its colour."""
    return Text(row.phase or "(new)", style=_STYLES.get(row.phase, "yellow"))


def _progress(row: CanaryRow) -> Iterator[str]:
    if row.phase in UNDER_WAY or row.weight or row.mirrored:
        yield f"{row.traffic}, "
    if row.phase in _SERVES or row.failed_checks:
        yield f"failed checks {row.failed}"


def _versions(row: CanaryRow) -> str:
    """``primary 6.1.0 (2/2), canary 6.1.1 (2/2)``."""
    sides = (("primary", row.primary), ("canary", row.canary))
    return ", ".join(f"{side} {version or '-'}" for side, version in sides)


def draw_metrics(row: CanaryRow) -> Table:
    """One line for each metric: a value, or a ratio with its interval and p."""
    table = new_table("METRIC", "FOUND", "P", "VERDICT", right=_RIGHT)
    for each in row.metrics:
        value = "" if each.value is None else f"{each.value:.4g}"
        ratio = value if each.p_value is None else words.ratio(each.ratio) + words.interval(each.interval)
        p_value = "" if each.p_value is None else words.probability(each.p_value)
        style = "red" if each.verdict in _BAD else "green" if each.verdict in _GOOD else ""
        verdict = Text(f"{each.verdict} (dry run)" if each.dry_run else each.verdict, style=style)
        table.add_row(Text(words.plain(each.metric)), ratio, p_value, verdict)
    return table


def _inside(part: RenderableType) -> Padding:
    return Padding(part, (0, 0, 0, 2), expand=False)
