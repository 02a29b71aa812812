"""The node, from the host's side: start it, stop it, find it again, and reach into it."""

import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from sandbox.build.layers import Image, write_archive
from sandbox.node import processes
from sandbox.node.controlplane import FIRST_SERVICE, is_ready
from sandbox.node.instance import Instance
from sandbox.node.nodefiles import CONTAINERD_SOCKET, NODE_ADDRESS, write_node_files
from sandbox.node.pki import create_pki, write_kubeconfig
from sandbox.node.processes import Process
from sandbox.paths import Cache
from sandbox.running import SandboxError

READY_SECONDS = 90
_API_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost")
_APART = ("unshare", "--net", "--mount", "--pid", "--uts", "--ipc", "--mount-proc", "--kill-child=SIGKILL")


@dataclass(frozen=True)
class Node:
    """One sandbox's node. It holds no state of its own: what runs is written down in the instance's state folder."""

    instance: Instance
    cache: Cache

    @property
    def _record(self) -> Path:
        return self.instance.state / "processes.json"

    @property
    def _imported(self) -> Path:
        return self.instance.state / "imported"

    @property
    def init(self) -> Process | None:
        """The node's first process, if it runs."""
        process = processes.saved(self._record).get("init")
        return process if process and process.alive else None

    def start(self, pause: Image) -> None:
        """Start the node and wait until its API server answers through the forwarded port. Raises SandboxError."""
        self._clean()
        instance = self.instance
        instance.state.mkdir(parents=True, exist_ok=True)
        instance.state.chmod(0o700)
        instance.renew_ports()
        pki = create_pki(instance.pki.folder, _API_NAMES, [FIRST_SERVICE, NODE_ADDRESS, "127.0.0.1"])
        write_kubeconfig(instance.inner_kubeconfig, f"https://{NODE_ADDRESS}:6443", pki)
        write_kubeconfig(instance.kubeconfig, instance.api_url, pki)
        write_node_files(instance, pause.reference)
        instance.cgroup.create()
        parent = processes.start_in_background(
            [*_APART, *_module("inside", instance.state, self.cache.root, instance.name)], instance.logs / "node.log"
        )
        started = {"parent": parent}
        processes.save(self._record, started)
        started["init"] = self._first_process(parent)
        processes.save(self._record, started)
        started["forward"] = processes.start_in_background(
            _module("forward", instance.state, instance.name, started["init"].pid), instance.logs / "forward.log"
        )
        processes.save(self._record, started)
        self._wait_for_api(started["forward"])

    def stop(self) -> None:
        """End the node and remove all it leaves: processes, cgroups, state. Raises SandboxError if something stays."""
        self._clean()
        shutil.rmtree(self.instance.state, ignore_errors=True)

    def import_images(self, images: Sequence[Image], *, workers: int = 3) -> None:
        """Import the images that the node does not have yet. Raises SandboxError."""
        self._imported.mkdir(exist_ok=True)
        missing = [image for image in images if not (self._imported / image.digest).exists()]
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(self._import, missing))

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl as administrator and return its output. Raises SandboxError if it fails and `check` is set."""
        command = [str(self.cache.bin / "kubectl"), f"--kubeconfig={self.instance.kubeconfig}", *arguments]
        result = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        if check and result.returncode != 0:
            raise SandboxError(f"kubectl {' '.join(arguments)}: {result.stderr.strip()}")
        return result.stdout

    def inside(self, *command: str | Path) -> list[str]:
        """The command line that runs `command` in the node's namespaces."""
        init = self.init
        if not init:
            raise SandboxError(f"The sandbox {self.instance.name!r} is not running; `make up` starts it.")
        return ["nsenter", f"--target={init.pid}", "--net", "--mount", "--pid", "--", *map(str, command)]

    def _first_process(self, parent: Process) -> Process:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            child = parent.child()
            if child:
                return child
            if not parent.alive:
                break
            time.sleep(0.02)
        raise SandboxError(f"The node did not start: {self._last_line()}")

    def _wait_for_api(self, forward: Process) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not is_ready(self.instance.api_url, self.instance.pki):
            if not self.init:
                raise SandboxError(f"The node did not start: {self._last_line()}")
            if not forward.alive:
                raise SandboxError(f"The ports of this machine are not forwarded: {self._last_line('forward.log')}")
            if time.monotonic() > deadline:
                raise SandboxError(f"The API server was not ready after {READY_SECONDS} s; see {self.instance.logs}.")
            time.sleep(0.1)

    def _last_line(self, name: str = "node.log") -> str:
        log = self.instance.logs / name
        lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
        return lines[-1] if lines else f"see {self.instance.logs}"

    def _import(self, image: Image) -> None:
        ctr = self.inside(self.cache.bin / "ctr", "-a", CONTAINERD_SOCKET, "-n", "k8s.io")
        deadline = time.monotonic() + READY_SECONDS
        while subprocess.run([*ctr, "version"], capture_output=True, check=False).returncode != 0:
            if time.monotonic() > deadline:
                raise SandboxError(f"containerd was not ready after {READY_SECONDS} s; see {self.instance.logs}.")
            time.sleep(0.2)
        importing = subprocess.Popen(
            [*ctr, "images", "import", "--local", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        with importing:
            stdin = cast("IO[bytes]", importing.stdin)
            with suppress(BrokenPipeError):  # it ended early; its output has the reason
                write_archive(image, stdin)
            output = importing.communicate()[0].decode(errors="replace")
        if importing.returncode != 0:
            raise SandboxError(f"{image.reference} could not be imported: {output.strip()}")
        (self._imported / image.digest).touch()

    def _clean(self) -> None:
        """End whatever is left of an earlier start. The kernel ends all of a node with its first process."""
        for role in ("init", "parent", "forward"):
            process = processes.saved(self._record).get(role)
            if process and not process.kill():
                raise SandboxError(
                    f"Process {process.pid} ({role} of the sandbox {self.instance.name!r}) does not end."
                )
        left = self.instance.cgroup.remove()
        if left:
            raise SandboxError(f"Control groups in use could not be removed: {', '.join(map(str, left))}.")
        self._record.unlink(missing_ok=True)


def _module(name: str, *arguments: object) -> list[str]:
    """The command line of one of our modules that runs as a process of its own."""
    return [sys.executable, "-m", f"sandbox.node.{name}", *map(str, arguments)]
