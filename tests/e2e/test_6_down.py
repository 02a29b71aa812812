"""Last of all: after a kill of the node everything comes back, and `down` leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.lifecycle import up
from sandbox.node.instance import Instance
from sandbox.paths import REPO
from tests.e2e.conftest import KEEP
from tests.e2e.world import AT_REST, World

pytestmark = pytest.mark.skipif(KEEP, reason="CANARY_E2E_KEEP=1 asks to leave the sandbox running")

NAMESPACES = ("net", "mnt", "pid", "uts", "ipc")


def namespaces_of(pid: int | str) -> set[str]:
    """The kernel's namespaces of a process, as ``net:[4026532265]``; none of one that has ended."""
    try:
        return {str(Path(f"/proc/{pid}/ns/{kind}").readlink()) for kind in NAMESPACES}
    except OSError:
        return set()


def left_over(instance: Instance, namespaces: set[str]) -> dict[str, list[str]]:
    """What of the sandbox is still on this machine."""
    here = str(instance.state)
    others = [folder for folder in Path("/proc").iterdir() if folder.name.isdigit() and folder.name != str(os.getpid())]
    commands = {folder.name: command_line(folder) for folder in others}
    return {
        "processes": [f"{pid} {command}" for pid, command in commands.items() if here in command],
        "namespaces": [f"{pid} {command}" for pid, command in commands.items() if namespaces_of(pid) & namespaces],
        "mounts": [line for line in Path("/proc/mounts").read_text().splitlines() if here in line],
        "cgroups": [str(path) for path in Path("/sys/fs/cgroup").rglob(f"*{instance.cgroup.name}*")],
        "files": [str(path) for path in (instance.state,) if path.exists()],
    }


def command_line(folder: Path) -> str:
    try:
        return (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""  # it has just ended


def test_a_killed_node_comes_back_with_its_canaries(world: World, instance: Instance):
    before = {app: world.get("canary", app)["status"] for app in ("backend", "frontend")}
    assert {status["phase"] for status in before.values()} <= set(AT_REST)
    init = world.sandbox.node.init
    assert init is not None
    world.close()
    os.kill(init.pid, signal.SIGKILL)
    up(instance.name, world.stack)
    assert world.sandbox.node.init != init
    for app, status in before.items():
        after = world.get("canary", app)["status"]
        assert (after["phase"], after["lastAppliedSpec"]) == (status["phase"], status["lastAppliedSpec"])


def test_destroy_removes_everything_but_the_crds(world: World):
    node = world.sandbox.node
    world.sandbox.engine.run("destroy", "--yes", "--skip-preview", "--stack=dev", quiet=True)
    assert node.kubectl("get", "crds", "-o", "name").count("flagger.app") == 3
    assert node.kubectl("get", "pods", "-n", "prod", "-o", "name") == ""
    assert node.kubectl("get", "pods", "-n", "istio-system", "-o", "name") == ""


def test_down_leaves_nothing(world: World, instance: Instance):
    world.close()
    init = world.sandbox.node.init
    assert init is not None
    own = namespaces_of(init.pid) - namespaces_of("self")
    assert len(own) == len(NAMESPACES)
    assert left_over(instance, own)["processes"] != []
    down = [sys.executable, "-m", "sandbox", "down"]
    subprocess.run(down, cwd=REPO, env=os.environ | {"CANARY_SANDBOX": instance.name}, check=True)
    assert left_over(instance, own) == {"processes": [], "namespaces": [], "mounts": [], "cgroups": [], "files": []}
