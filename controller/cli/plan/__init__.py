"""``canary plan``: the command, the traffic that it assumes, and its report as a table and as JSON."""

from controller.cli.plan.command import plan

__all__ = ["plan"]
