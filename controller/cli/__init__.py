"""The ``canary`` command. Each subcommand imports what it needs when it runs."""

from __future__ import annotations

import typer

from controller.cli import commands
from controller.cli.flags import GoFlagsGroup
from controller.cli.run import run

app = typer.Typer(
    name="canary",
    cls=GoFlagsGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # twice as fast
)


@app.callback()
def canary() -> None:
    """Progressive delivery on Istio: the controller, and what talks to it."""


for command in (run, commands.get, commands.watch, commands.lint, commands.plan, commands.replay, commands.crds):
    app.command()(command)
