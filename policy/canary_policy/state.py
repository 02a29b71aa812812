"""What the last update of the stack has left: Pulumi tells a policy only what is to come."""

from __future__ import annotations

import functools
import json
import os
import subprocess
from collections.abc import Mapping

from canary_policy.resources import Resource, entries, fields

_SECONDS = 60


class StateError(Exception):
    """The state cannot be read. The message says why."""


@functools.cache
def read_state() -> Mapping[tuple[str, str], Resource]:
    """The resources by kind and label, as they were when this process first asked; none of a new stack.

    Raises:
        StateError: Pulumi does not tell it.
    """
    names = (os.environ.get(f"PULUMI_{part}", "") for part in ("ORGANIZATION", "PROJECT", "STACK"))
    stack = "/".join(filter(None, names))
    command = ["pulumi", "stack", "export", f"--stack={stack}", "--non-interactive"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_SECONDS)
        state = fields(json.loads(told.stdout).get("deployment"))
    except subprocess.CalledProcessError as error:
        raise StateError(f"`pulumi stack export` says: {error.stderr.strip()}") from None
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise StateError(f"`pulumi stack export` failed: {error}") from None
    known = [
        Resource(str(each["type"]), str(each["urn"]), fields(each.get("inputs")))
        for each in entries(state.get("resources"))
    ]
    return {(each.kind, each.label): each for each in known}
