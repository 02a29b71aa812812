"""Tables of the terminal."""

from __future__ import annotations

from collections.abc import Container

from rich.table import Table


def new_table(*columns: str, right: Container[str] = ()) -> Table:
    """An empty table without borders that folds long text; the columns in ``right`` are aligned to the right."""
    empty = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        empty.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return empty
