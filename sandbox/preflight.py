"""Whether this machine can run the sandbox, said in one sentence when it cannot."""

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from sandbox.paths import Cache, state_root
from sandbox.running import SandboxError

# What a build from nothing takes at its height, and what a running sandbox takes.
BUILD_GIB = 16
RUN_GIB = 4
_GIB = 1 << 30


@dataclass(frozen=True)
class Machine:
    """The facts that decide. `free_gib` is what the folders of cache and state have left."""

    system: str
    architecture: str
    root: bool
    namespaces: bool
    filesystems: frozenset[str]
    controllers: frozenset[str]
    free_gib: float
    built: bool
    state_filesystem: str


def missing(machine: Machine) -> str | None:
    """What this machine lacks, as the end of a sentence; None if it lacks nothing."""
    needed = RUN_GIB if machine.built else BUILD_GIB
    absent = sorted({"cpu", "memory", "pids"} - machine.controllers)
    checks = {
        f"Linux (this is {machine.system})": machine.system == "Linux",
        f"an x86-64 processor (this is {machine.architecture})": machine.architecture in ("x86_64", "AMD64"),
        "root": machine.root,
        "the right to create namespaces (`unshare --net --mount --pid` failed)": machine.namespaces,
        "the kernel's overlay file system": "overlay" in machine.filesystems,
        f"the kernel's control groups for {', '.join(absent)}": not absent,
        "a state folder that is not itself on an overlay file system (set XDG_STATE_HOME to another disk)": (
            machine.state_filesystem != "overlay"
        ),
        f"{needed} GiB of free disk (there are {machine.free_gib:.0f} GiB)": machine.free_gib >= needed,
    }
    return next((need for need, met in checks.items() if not met), None)


def check(cache: Cache) -> None:
    """Raise SandboxError, with what is missing and what else can be done, unless the sandbox can run here."""
    lacking = missing(survey(cache))
    if lacking:
        raise SandboxError(
            f"The sandbox needs {lacking}; `make up CLUSTER=current` uses a cluster you already have instead."
        )


def survey(cache: Cache) -> Machine:
    """The facts of this machine. As far as they can be had: what cannot be tried without root counts as there."""
    root = os.geteuid() == 0 if hasattr(os, "geteuid") else False
    state = state_root()
    return Machine(
        system=platform.system(),
        architecture=platform.machine(),
        root=root,
        namespaces=_can_unshare() if root else True,
        filesystems=frozenset(line.split()[-1] for line in _lines("/proc/filesystems")) | _loaded("overlay"),
        controllers=_controllers(),
        free_gib=min(_free(cache.root), _free(state)) / _GIB,
        built=_exists(cache.bin) and not _exists(cache.work),
        state_filesystem=_filesystem(_existing(state)),
    )


def _can_unshare() -> bool:
    try:
        apart = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "true"]
        return subprocess.run(apart, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _loaded(module: str) -> frozenset[str]:
    """The module's name, if the kernel has it or takes it now."""
    if not shutil.which("modprobe"):
        return frozenset()
    loaded = subprocess.run(["modprobe", module], capture_output=True, check=False).returncode == 0
    return frozenset({module}) if loaded else frozenset()


def _controllers() -> frozenset[str]:
    unified = Path("/sys/fs/cgroup/cgroup.controllers")
    if unified.exists():
        return frozenset(unified.read_text().split())
    return frozenset(path.name for path in Path("/sys/fs/cgroup").glob("*") if path.is_dir())


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return path if _exists(path) else _existing(path.parent)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        return False  # absent, for a user without access


def _free(path: Path) -> int:
    return shutil.disk_usage(_existing(path)).free


def _filesystem(path: Path) -> str:
    """Type of the file system that holds the path: the mount with the longest matching prefix, the last of equals."""
    best = ("", "")
    for line in _lines("/proc/self/mounts"):
        _, mount, kind, *_ = line.split()
        if path.is_relative_to(mount) and len(mount) >= len(best[0]):
            best = (mount, kind)
    return best[1]
