"""Last of all: after a kill of the node everything comes back, and `down` leaves nothing."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from rich.console import Console

from sandbox import lifecycle
from sandbox.instance import Instance
from sandbox.paths import Cache
from tests.e2e.conftest import KEEP
from tests.e2e.world import STACK, World


def left_over(instance: Instance) -> dict[str, list[str]]:
    """What of the sandbox is still on this machine: processes, mounts and control groups."""
    here = str(instance.state)
    commands = {
        folder.name: (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        for folder in Path("/proc").iterdir()
        if folder.name.isdigit() and folder.name != str(os.getpid()) and (folder / "cmdline").exists()
    }
    return {
        "processes": [f"{pid} {command}" for pid, command in commands.items() if here in command],
        "mounts": [line for line in Path("/proc/mounts").read_text().splitlines() if here in line],
        "cgroups": [str(path) for path in Path("/sys/fs/cgroup").rglob(f"*{instance.cgroup.name}*")],
    }


@pytest.mark.skipif(KEEP, reason="CANARY_E2E_KEEP=1 asks to leave the sandbox running")
def test_a_killed_node_comes_back_and_down_leaves_nothing(world: World, instance: Instance):
    init = world.sandbox.node.init
    assert init is not None
    world.close()
    os.kill(init.pid, signal.SIGKILL)
    sandbox = lifecycle.up(instance, Cache.default(), Console(), STACK)
    phases = {canary.phase for canary in lifecycle.wait_for_canaries(sandbox)}
    assert phases <= {"Initialized", "Succeeded", "Failed"}
    sandbox.node.stop()
    assert left_over(instance) == {"processes": [], "mounts": [], "cgroups": []}
    assert not instance.state.exists()
