"""Tables of the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Container

from rich.console import Console
from rich.table import Table

PIPE_WIDTH = 1000
"""Characters of a line where nobody says how wide it may be: a message stays on one line, and is found by ``grep``."""


def new_console() -> Console:
    """As wide as the terminal; in a pipe nothing is folded, unless ``COLUMNS`` says how wide it is."""
    return Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH)


def new_table(*columns: str, right: Container[str] = ()) -> Table:
    """An empty table without borders that folds long text; the columns in ``right`` are aligned to the right."""
    empty = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        empty.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return empty
