"""The ``canary`` command line: a module for each command, imported when the command is called."""

from __future__ import annotations

import typer

from controller.cli.group import CommandGroup

app = typer.Typer(
    name="canary",
    cls=CommandGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # starts twice as fast
)


@app.callback()
def canary() -> None:
    """Progressive delivery on Istio: the controller, and tools for its Canaries."""
