"""Errors of a command: one sentence on standard error, and exit status 1."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec

from controller.api import CanaryError

P = ParamSpec("P")


class CommandError(CanaryError):
    """The command cannot do what was asked. The message says what was wrong, where, and what to do."""


def reports_errors(command: Callable[P, None]) -> Callable[P, None]:
    """End the process with status 1 and the message if ``command`` raises one of the controller's errors."""

    @functools.wraps(command)
    def reporting(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except CanaryError as error:
            sys.exit(f"canary {command.__name__}: {error}")

    return reporting
