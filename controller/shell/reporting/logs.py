"""Logs: one JSON object a line, with Flagger's keys, so that ``kubectl logs … | jq .msg`` goes on working."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.json import JsonFormatter

_NOISY = ("kopf", "aiohttp.access", "asyncio")
"""They log at ``info`` what is of interest only when debugging them."""


class _FlaggerFormatter(JsonFormatter):
    def __init__(self) -> None:
        names = {"levelname": "level", "asctime": "ts", "name": "caller", "message": "msg", "exc_info": "stacktrace"}
        super().__init__("{levelname}{asctime}{name}{message}", style="{", rename_fields=names)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802 -- logging's
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        return {**log_data, "level": str(log_data["level"]).lower()}


def configure_logs(level: str) -> None:
    """Log to standard error: ``level``, ``ts``, ``caller``, ``msg``, ``canary`` (NAME.NAMESPACE) if it is about one."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_FlaggerFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    if level != "debug":
        for name in _NOISY:
            logging.getLogger(name).setLevel(logging.WARNING)


def canary_log(name: str, namespace: str, module: str) -> logging.LoggerAdapter[logging.Logger]:
    """A logger whose lines are about one Canary."""
    return logging.LoggerAdapter(logging.getLogger(module), {"canary": f"{name}.{namespace}"})
