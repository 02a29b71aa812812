"""The `canary` command, for what the program has to ask the cluster."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from components._shared.image import PROJECT_FOLDER


def canary_command() -> str:
    """Beside the Python that runs this program; in this checkout relative to the program, as on every machine."""
    command = Path(sys.prefix, "bin", "canary")
    inside = command.is_relative_to(PROJECT_FOLDER)
    return f".{os.sep}{os.path.relpath(command)}" if inside else str(command)
