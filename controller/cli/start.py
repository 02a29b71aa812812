"""Starting the controller: options to `Settings`, and what goes wrong to one sentence."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Mapping
from typing import Any

import pydantic

from controller.api.durations import parse_duration
from controller.shell.kubernetes.access import find_access
from controller.shell.kubernetes.errors import StartError, StoppedError
from controller.shell.operator import operate
from controller.shell.reporting.logs import configure_logs
from controller.shell.settings import Settings


def start(options: Mapping[str, Any]) -> None:
    """Run the controller; ends the process with status 1 and one sentence where it cannot run.

    Args:
        options: by the names of the `Settings`, but ``minimum_interval`` as text (``10s``).
    """
    try:
        settings = _settings(options)
        configure_logs(settings.log_level)
        asyncio.run(_operate(settings))
    except StartError as error:
        sys.exit(f"canary run: {error}")


async def _operate(settings: Settings) -> None:
    access = find_access()
    logging.getLogger(__name__).info("Connecting to the Kubernetes API at %s", access.server)
    try:
        await operate(access, settings)
    except StoppedError as error:
        logging.getLogger(__name__).critical("The controller stops: %s", error)
        logging.shutdown()
        os._exit(1)  # not by unwinding: kopf 1.45 can refuse the cancellation with which asyncio ends its tasks


def _settings(options: Mapping[str, Any]) -> Settings:
    try:
        floor = parse_duration(options["minimum_interval"])
    except ValueError as error:
        raise StartError(f"--minimum-interval: {error}") from None
    try:
        return Settings(**{**options, "minimum_interval": floor})
    except pydantic.ValidationError as error:
        problems = [
            f"--{str(each['loc'][0]).replace('_', '-')} {each['input']!r}: {each['msg']}" for each in error.errors()
        ]
        raise StartError("; ".join(problems)) from None
