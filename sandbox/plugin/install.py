"""Put the plugins where the Pulumi engine looks for installed ones."""

import importlib.metadata
import os
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

from sandbox.paths import REPO

# plugin -> (SDK whose version the engine will ask for, module with the stand-in's main)
PLUGINS = {
    "kubernetes": ("pulumi-kubernetes", "sandbox.plugin.kubernetes"),
    "command": ("pulumi-command", "sandbox.plugin.command"),
}
_MARK = "# Stand-in for an official Pulumi plugin, written by the sandbox."


def install(pulumi_home: Path, python: Path, *, environment: Mapping[str, str] | None = None) -> dict[str, Path]:
    """Install both plugins into a PULUMI_HOME of the sandbox's own, each under the version that the installed SDK
    asks for.

    Where the user's own PULUMI_HOME holds the official plugin of that version, that one is linked; else the stand-in,
    run by `python` (an interpreter with pulumi, lightkube and PyYAML). Idempotent. Returns the executables by plugin
    name.
    """
    environment = os.environ if environment is None else environment
    users_home = Path(environment.get("PULUMI_HOME") or Path.home() / ".pulumi")
    if pulumi_home.resolve() == users_home.resolve():
        raise ValueError(f"{pulumi_home} is the user's own PULUMI_HOME; the sandbox must have one of its own")
    return {name: _install(name, pulumi_home, users_home, python) for name in PLUGINS}


def is_stand_in(executable: Path) -> bool:
    with executable.open("rb") as file:
        return _MARK.encode() in file.read(500)


def _install(name: str, pulumi_home: Path, users_home: Path, python: Path) -> Path:
    sdk, module = PLUGINS[name]
    place = Path("plugins") / f"resource-{name}-v{importlib.metadata.version(sdk)}" / f"pulumi-resource-{name}"
    executable, official = pulumi_home / place, users_home / place
    if executable.parent.is_symlink():
        executable.parent.unlink()
    elif executable.parent.exists():
        shutil.rmtree(executable.parent)
    if official.is_file() and not is_stand_in(official):
        executable.parent.parent.mkdir(parents=True, exist_ok=True)
        executable.parent.symlink_to(official.parent)
        return executable
    executable.parent.mkdir(parents=True)
    executable.write_text(_wrapper(module, python))
    executable.chmod(0o755)
    return executable


def _wrapper(module: str, python: Path) -> str:
    """`-I` keeps the program's own folder and variables out; the repository is added for the stand-in alone, not for
    what it starts.
    """
    program = f"import sys; sys.path.insert(0, {str(REPO)!r}); from {module} import main; main()"
    return f'#!/bin/sh\n{_MARK}\nexec {shlex.quote(str(python))} -I -c {shlex.quote(program)} "$@"\n'
