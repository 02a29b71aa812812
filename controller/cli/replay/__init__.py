"""``canary replay``: the command, and its report as a table, as JSON and as a page."""

from controller.cli.replay.command import replay

__all__ = ["replay"]
