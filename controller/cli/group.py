"""The group of commands: loads a command when it is called, and accepts Flagger's command line for ``run``."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from typing import Any

import typer.core
import typer.main

COMMANDS: Mapping[str, str] = {
    "run": "Run the controller.",
    "get": "Show the Canaries of a cluster and their evidence.",
    "watch": "Show the Canaries of a cluster and refresh until interrupted.",
    "lint": "Check manifests without a cluster.",
    "plan": "Predict how a rollout will run.",
    "replay": "Test a Canary on recorded metrics.",
    "crds": "Print the CustomResourceDefinitions.",
}
"""The modules of `controller.cli` that hold a function of the same name, with the first sentence of its help."""

DEFAULT_COMMAND = "run"
_GO_FLAG = re.compile(r"-([a-z][a-z0-9-]+)(=.*)?", re.DOTALL)


class CommandGroup(typer.core.TyperGroup):
    """Imports the module of a command only when that command is called, so that ``canary --help`` starts fast.

    A Deployment written for Flagger runs this image with its arguments unchanged: without a command it is ``run``,
    and ``-log-level=info`` is ``--log-level=info``.
    """

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 -- click's signature
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 -- click's signature
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"controller.cli.{cmd_name}")
        command = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        command.command(cmd_name)(getattr(module, cmd_name))
        return typer.main.get_command(command)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 -- click's signature
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and (args[0].startswith("-") or args[0] == DEFAULT_COMMAND):
            args = [to_double_dash(each) for each in args]
        if args and args[0].startswith("--") and args[0] != "--help":
            args = [DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, args)


def to_double_dash(argument: str) -> str:
    """``-log-level=info`` as ``--log-level=info``; anything else, such as ``-h``, unchanged."""
    return f"-{argument}" if _GO_FLAG.fullmatch(argument) else argument
