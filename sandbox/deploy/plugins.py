"""The resource plugins of the sandbox's Pulumi, laid where the engine looks for installed ones."""

import importlib.metadata
import shlex
import shutil
from pathlib import Path

from sandbox.paths import Cache

_COMMAND = Path(__file__).with_name("command_plugin.py")


def install(pulumi_home: Path, cache: Cache, python: Path) -> None:
    """Install the plugins into a PULUMI_HOME of the sandbox's own, under the versions that the Python SDKs ask for.

    `kubernetes` is Pulumi's own provider, built by the sandbox; `command` is `command_plugin.py`, run by `python`.
    """
    provider = _lay("kubernetes", pulumi_home)
    try:
        provider.hardlink_to(cache.plugins / provider.name)
    except OSError:  # the cache is on another file system
        shutil.copy2(cache.plugins / provider.name, provider)
    command = _lay("command", pulumi_home)
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(str(python))} -I {shlex.quote(str(_COMMAND))} "$@"\n')
    command.chmod(0o755)


def _lay(name: str, pulumi_home: Path) -> Path:
    """An empty place for a plugin's executable. It has to be a real folder: the engine skips one that is linked."""
    version = importlib.metadata.version(f"pulumi-{name}")
    executable = pulumi_home / "plugins" / f"resource-{name}-v{version}" / f"pulumi-resource-{name}"
    executable.parent.mkdir(parents=True, exist_ok=True)
    executable.unlink(missing_ok=True)
    return executable
