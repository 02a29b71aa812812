"""The control group that holds one sandbox: all its processes, and its pods below it. cgroup v1 and v2.

Below every hierarchy lies `canary-sandbox-NAME/` with `node/` for the node's own processes, and the kubelet's pods.
"""

import time
from dataclasses import dataclass
from pathlib import Path

_MOUNT = Path("/sys/fs/cgroup")
_V2_CONTROLLERS = ("cpu", "cpuset", "memory", "pids")


@dataclass(frozen=True)
class Cgroup:
    """The control group of one sandbox, by its name below each hierarchy."""

    name: str
    mount: Path = _MOUNT

    @property
    def unified(self) -> bool:
        """Whether the machine has cgroup v2 alone."""
        return (self.mount / "cgroup.controllers").exists()

    def folders(self) -> list[Path]:
        """The group's folder in each hierarchy: one with v2, one for each controller with v1."""
        if self.unified:
            return [self.mount / self.name]
        return [hierarchy / self.name for hierarchy in sorted(self.mount.iterdir()) if hierarchy.is_dir()
                and not hierarchy.is_symlink()]  # fmt: skip

    def create(self) -> None:
        """Create the group in every hierarchy, with the controllers that the kubelet needs."""
        for folder in self.folders():
            node = folder / "node"
            node.mkdir(parents=True, exist_ok=True)
            if self.unified:
                _delegate(self.mount)
                _delegate(folder)
            for made in (folder, node):
                _inherit_cpuset(made)

    def enter(self) -> None:
        """Move the calling process into `node/`; its children follow."""
        for folder in self.folders():
            (folder / "node" / "cgroup.procs").write_text("0")

    def processes(self) -> set[int]:
        """Ids of all processes in the group."""
        return {
            int(line)
            for folder in self.folders()
            for procs in folder.rglob("cgroup.procs")
            for line in procs.read_text().split()
        }

    def memory(self) -> int:
        """Bytes in use without the page cache that could be dropped: the working set, as the kubelet counts it."""
        folder = self.mount / self.name if self.unified else self.mount / "memory" / self.name
        usage = int((folder / ("memory.current" if self.unified else "memory.usage_in_bytes")).read_text())
        wanted = "inactive_file" if self.unified else "total_inactive_file"
        for line in (folder / "memory.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == wanted:
                return usage - int(value)
        return usage

    def remove(self, *, patience: float = 10) -> list[Path]:
        """Remove the group, whose processes have ended. Returns what could not be removed within `patience` seconds."""
        deadline = time.monotonic() + patience
        while True:
            left = [folder for folder in self.folders() if not _remove_tree(folder)]
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(0.1)


def _delegate(folder: Path) -> None:
    available = (folder / "cgroup.controllers").read_text().split()
    wanted = [f"+{controller}" for controller in _V2_CONTROLLERS if controller in available]
    (folder / "cgroup.subtree_control").write_text(" ".join(wanted))


def _inherit_cpuset(folder: Path) -> None:
    """A new v1 cpuset has no processors and takes no process until it is given some."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        file = folder / name
        if file.exists() and not file.read_text().strip() and (folder.parent / name).exists():
            value = (folder.parent / name).read_text().strip()
            if value:
                file.write_text(value)


def _remove_tree(folder: Path) -> bool:
    if not folder.exists():
        return True
    for child in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        _rmdir(child)
    return _rmdir(folder)


def _rmdir(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return not folder.exists()
    return True
