"""Flagger's command line: a Deployment written for it runs this image with its arguments unchanged."""

from __future__ import annotations

import re
from typing import Any

import typer.core

DEFAULT_COMMAND = "run"
_GO_FLAG = re.compile(r"-([a-z][a-z0-9-]+)(=.*)?", re.DOTALL)


class GoFlagsGroup(typer.core.TyperGroup):
    """Takes ``-log-level=info`` for ``--log-level=info``, and runs the controller where no command is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and (args[0].startswith("-") or args[0] == DEFAULT_COMMAND):
            args = [to_double_dash(each) for each in args]
        if args and args[0].startswith("--") and args[0] != "--help":
            args = [DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, args)


def to_double_dash(argument: str) -> str:
    """``-log-level=info`` as ``--log-level=info``; anything else, ``-h`` too, unchanged."""
    return f"-{argument}" if _GO_FLAG.fullmatch(argument) else argument
