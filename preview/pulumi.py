"""Runs Pulumi for a stack, and asks its cluster whether it is there: with `charts` the only room here with IO."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from controller.api.errors import CanaryError
from controller.shell.kubernetes.access import find_access
from preview.changes import fields, read_changes, read_messages
from preview.charts import Logins, render_charts
from preview.policies import Violation, policy_options, read_violations
from preview.stacks import StackPreview

REACH_SECONDS = 10
_QUIET = ("--non-interactive", "--color=never")


def preview_stack(stack: str) -> StackPreview:
    """The preview of one stack of the project in the current folder; one that fails says why."""
    structured = _run("preview", "--json", "--show-sames", f"--stack={stack}", *_QUIET)
    found = _json(structured.stdout)
    messages = read_messages(found.get("diagnostics") or [])
    if structured.returncode or "steps" not in found:
        said = "\n".join(messages) or (structured.stderr or structured.stdout).strip()
        return StackPreview(stack, error=said)
    changes = tuple(read_changes(found["steps"]))
    diff, violations = _judge(stack)
    return StackPreview(
        stack,
        changes,
        messages,
        charts=tuple(render_charts(changes, lambda: read_logins(stack))),
        diff=diff,
        violations=violations,
        unreachable=asyncio.run(_find_unreachable(read_config(stack))),
    )


def _judge(stack: str) -> tuple[str, Sequence[Violation]]:
    """Pulumi's own diff, and what the policy pack says; that it could not be asked is said as a violation."""
    options = [*policy_options(stack)]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "events"
        told = _run("preview", "--diff", f"--stack={stack}", f"--event-log={log}", *options, *_QUIET)
        violations = [*read_violations(log.read_text())] if log.exists() else []
    if options and told.returncode and not any(each.is_mandatory for each in violations):
        said = (told.stderr or told.stdout).strip().rpartition("\n")[2]
        violations.insert(0, Violation("policy pack", f"The policies were not checked: {said}", is_mandatory=True))
    return told.stdout.strip(), violations


def read_config(stack: str) -> Mapping[str, str]:
    """The configuration of the stack, but for its secrets."""
    found = _json(_run("config", "--json", f"--stack={stack}", *_QUIET).stdout)
    return {name: str(entry["value"]) for name, entry in found.items() if "value" in entry}


def read_logins(stack: str) -> Logins:
    """The logins of the repositories of charts, which the stack has in its secrets."""
    found = _json(_run("config", "--json", "--show-secrets", f"--stack={stack}", *_QUIET).stdout)
    sections = {name.rpartition(":")[2]: fields(entry.get("objectValue")) for name, entry in found.items()}
    istio, grafana = sections.get("istio", {}), fields(sections.get("observability", {}).get("grafana"))
    secrets = sections.get("secrets", {})
    logins = {str(each.get("repository")): secrets.get(each.get("repositorySecret", "")) for each in (istio, grafana)}
    return {where: (str(login["username"]), str(login["password"])) for where, login in logins.items() if login}


def environment_of(config: Mapping[str, str]) -> Mapping[str, str]:
    """The environment in which commands see the cluster that the stack is for."""
    path = config.get("kubernetes:kubeconfig")
    return {**os.environ, "KUBECONFIG": path} if path else os.environ


async def _find_unreachable(config: Mapping[str, str]) -> str:
    """Why the cluster does not answer; empty when it does, whatever it says."""
    try:
        access = find_access(environment_of(config), config.get("kubernetes:context", ""))
        limit = aiohttp.ClientTimeout(total=REACH_SECONDS)
        async with access.open_session() as session, session.get(f"{access.server}/version", timeout=limit):
            return ""
    except (CanaryError, aiohttp.ClientError, OSError, TimeoutError) as error:
        return str(error) or f"no answer in {REACH_SECONDS} s"


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    # Without it Pulumi knows no --event-log, which its own Automation API uses as well.
    env = {**os.environ, "PULUMI_DEBUG_COMMANDS": "true"}
    try:
        return subprocess.run(["pulumi", *arguments], capture_output=True, text=True, check=False, env=env)
    except FileNotFoundError:
        sys.exit("preview: `pulumi` is not on PATH; https://www.pulumi.com/docs/install/ says how it gets there.")


def _json(text: str) -> dict[str, Any]:
    """The object in what Pulumi prints, which may say something before it; empty where there is none."""
    try:
        found = json.loads(text[text.index("{") :])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
