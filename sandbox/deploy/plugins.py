"""The resource plugins of the sandbox's Pulumi, laid where the engine looks for installed ones."""

import importlib.metadata
import shlex
import shutil
from pathlib import Path

from sandbox.paths import Cache

POLICY_RUNTIME = "sandbox"
"""What a policy pack says it is written in, so that the engine runs it by the plugin of this name: the language host of
the sandbox is older than packs."""
_COMMAND = Path(__file__).with_name("command_plugin.py")


def install(pulumi_home: Path, cache: Cache, python: Path) -> None:
    """Install the plugins into a PULUMI_HOME of the sandbox's own, under the versions that the Python SDKs ask for.

    `kubernetes` is Pulumi's own provider, built by the sandbox; `python` runs `command_plugin.py`, and policies.
    """
    provider = _lay_provider("kubernetes", pulumi_home)
    try:
        provider.hardlink_to(cache.plugins / provider.name)
    except OSError:  # the cache is on another file system
        shutil.copy2(cache.plugins / provider.name, provider)
    _start(_lay_provider("command", pulumi_home), python, "-I", str(_COMMAND))
    _start(_lay(f"analyzer-policy-{POLICY_RUNTIME}", "1.0.0", pulumi_home), python, "-u", "-m", "pulumi.policy")


def _start(plugin: Path, *command: str | Path) -> None:
    plugin.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, command))} "$@"\n')
    plugin.chmod(0o755)


def _lay_provider(name: str, pulumi_home: Path) -> Path:
    return _lay(f"resource-{name}", importlib.metadata.version(f"pulumi-{name}"), pulumi_home)


def _lay(plugin: str, version: str, pulumi_home: Path) -> Path:
    """An empty place for a plugin's executable. It has to be a real folder: the engine skips one that is linked."""
    executable = pulumi_home / "plugins" / f"{plugin}-v{version}" / f"pulumi-{plugin}"
    executable.parent.mkdir(parents=True, exist_ok=True)
    executable.unlink(missing_ok=True)
    return executable
