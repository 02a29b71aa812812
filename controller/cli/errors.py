"""What a command cannot do, as one sentence for the terminal."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec

from controller.api.errors import CanaryError

P = ParamSpec("P")


class CommandError(CanaryError):
    """What was asked cannot be done. The message says what was wrong, where, and what to do."""


def tells_errors(command: Callable[P, None]) -> Callable[P, None]:
    """End the process with status 1, and the sentence, where ``command`` raises one of the controller's errors."""
    name = command.__module__.rpartition(".")[2]

    @functools.wraps(command)
    def told(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except CanaryError as error:
            sys.exit(f"canary {name}: {error}")

    return told
