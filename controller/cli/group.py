"""The group of commands: a command is imported when it is called."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import typer.core
import typer.main

from controller.cli.flagger import translate

COMMANDS: Mapping[str, str] = {
    "run": "Run the controller.",
    "get": "Show the Canaries of a cluster and their evidence.",
    "watch": "Show Canaries, or the rollout of one, until interrupted.",
    "history": "Show the last rollouts of Canaries.",
    "show": "Show one rollout: what was measured, and why it ended as it did.",
    "open": "Open the page of the rollouts in a browser.",
    "wait": "Wait until a revision is promoted, rolled back or superseded.",
    "promote": "Take the next step of a rollout now, or promote it.",
    "pause": "Keep a rollout at its weight; a bad canary is still rolled back.",
    "resume": "Let a paused rollout go on.",
    "abort": "Roll back a rollout.",
    "retry": "Start the rollout of a failed revision again.",
    "approve": "Open the gate that a rollout waits for.",
    "weight": "Set the traffic weight of a canary.",
    "block": "Refuse a version in every stack of a Pulumi project.",
    "lint": "Check manifests without a cluster.",
    "plan": "Predict how a rollout will run.",
    "replay": "Test a Canary on recorded metrics.",
    "tune": "Propose the settings of each comparison from recorded traffic.",
    "proxies": "Show which pods have the proxy of which revision of Istio.",
    "crds": "Print the CustomResourceDefinitions.",
}
"""The functions that are commands, with the first sentence of their help. Each is in the module of its name in
`controller.cli`, or in that of `_MODULES`."""

_MODULES = dict.fromkeys(("promote", "pause", "resume", "abort", "retry", "approve", "weight"), "by_hand") | {
    "show": "history"
}

DEFAULT_COMMAND = "run"


class CommandGroup(typer.core.TyperGroup):
    """Imports the module of a command only when that command is called, so that ``canary --help`` starts fast.

    A Deployment written for Flagger runs this image with its arguments unchanged: without a command it is ``run``.
    """

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 -- click's signature
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 -- click's signature
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"controller.cli.{_MODULES.get(cmd_name, cmd_name)}")
        command = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        command.command(cmd_name)(getattr(module, cmd_name))
        return typer.main.get_command(command)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 -- click's signature
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0].startswith("-") and args[0] != "--help":
            args = [DEFAULT_COMMAND, *args]
        if args and args[0] == DEFAULT_COMMAND:
            args, ctx.obj = translate(args)
        return super().parse_args(ctx, args)
