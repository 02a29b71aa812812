"""The node's first process, `python -m sandbox.node.inside STATE CACHE NAME`, in namespaces of its own.

It lays out the network and the mounts, starts the node's programs and waits. When it ends, however it ends, the kernel
ends every process, mount and interface of the node with it.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import NoReturn

from sandbox.node.controlplane import SERVICE_RANGE, ControlPlane, is_ready
from sandbox.node.instance import Instance
from sandbox.node.nodefiles import NODE_ADDRESS, NODE_NAME, POD_RANGE
from sandbox.paths import Cache

API_PORT = 6443
API_SECONDS = 60
# Every kubelet sets these. They apply to the whole machine, so the node gets files to write to instead.
_KERNEL_SETTINGS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)


@dataclass
class Programs:
    """The node's running programs, by process id."""

    logs: Path
    names: dict[int, str] = field(default_factory=dict)

    def start(self, name: str, command: Sequence[str | Path], path: str | None = None) -> None:
        """Start a program with its output in `NAME.log`."""
        env = os.environ | ({"PATH": path} if path else {})
        with (self.logs / f"{name}.log").open("ab") as out:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env)
        self.names[process.pid] = name

    def reap(self) -> str | None:
        """Reap one ended process. Returns what ended and how, if it was a program of the node and no orphan."""
        pid, status = os.waitpid(-1, 0)
        name = self.names.pop(pid, None)
        return f"{name} ended with status {os.waitstatus_to_exitcode(status)}" if name else None


def main() -> NoReturn:
    """Run the node until a signal ends it or one of its programs ends; the reason is the last line of output."""
    state, cache, name = sys.argv[1:]
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, _end)
    instance = Instance(name, Path(state))
    instance.cgroup.enter()
    lay_out_mounts(instance.state)
    lay_out_network()
    socket.sethostname(NODE_NAME)
    programs = Programs(instance.logs)
    start_programs(instance, Cache(Path(cache)), programs)
    while True:
        ended = programs.reap()
        if ended:
            sys.exit(f"The node ends, because {ended}; see {instance.logs}.")


def lay_out_mounts(state: Path) -> None:
    """Give the node a /run and a /var/log of its own, and copies of the settings that a kubelet changes."""
    _run("mount", "--make-rprivate", "/")
    _run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    for folder in ("/run/lock", "/run/netns", "/run/cni-results"):
        Path(folder).mkdir()
    Path("/var/lib/cni").mkdir(exist_ok=True)
    _run("mount", "--bind", "/run/cni-results", "/var/lib/cni")
    _run("mount", "--bind", state / "var-log", "/var/log")
    for name in _KERNEL_SETTINGS:
        setting, ours = Path("/proc/sys") / name, Path("/run/kernel") / name
        ours.parent.mkdir(parents=True, exist_ok=True)
        ours.write_text(setting.read_text())
        _run("mount", "--bind", ours, setting)


def lay_out_network() -> None:
    """A node address on a veth pair; only the service range is routed, so that whatever leaves fails at once."""
    commands = f"""
        link set lo up
        link add node0 type veth peer name node1
        link set node1 up
        address add {NODE_ADDRESS}/24 dev node0
        link set node0 up
        route add {SERVICE_RANGE} dev node0
        route add unreachable default
    """
    for line in commands.strip().splitlines():
        _run("ip", *line.split())
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    # Replies of a Service's pods pass the bridge, and must be translated back there.
    bridged = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    if bridged.exists():
        bridged.write_text("1")


def start_programs(instance: Instance, cache: Cache, programs: Programs) -> None:
    """Start everything in the order in which it can work; what needs the API server starts once that is ready."""
    kubeconfig = f"--kubeconfig={instance.inner_kubeconfig}"
    plane = ControlPlane(cache, instance.state / "etcd", instance.pki, API_PORT, 2379, 2380, bind=NODE_ADDRESS)
    programs.start("etcd", plane.etcd())
    programs.start("kube-apiserver", plane.apiserver())
    with_ours = f"{cache.bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    programs.start("containerd", [cache.bin / "containerd", "-c", instance.state / "containerd.toml"], with_ours)
    deadline = time.monotonic() + API_SECONDS
    while not is_ready(f"https://{NODE_ADDRESS}:{API_PORT}", instance.pki):
        if time.monotonic() > deadline:
            sys.exit(f"The node ends, because kube-apiserver was not ready after {API_SECONDS} s; see {instance.logs}.")
        time.sleep(0.1)
    manager = [
        "--leader-elect=false", f"--cluster-cidr={POD_RANGE}", "--allocate-node-cidrs",
        f"--service-account-private-key-file={instance.pki.service_account_key}",
        f"--root-ca-file={instance.pki.ca_certificate}",
    ]  # fmt: skip
    programs.start("kube-controller-manager", [cache.bin / "kube-controller-manager", kubeconfig, *manager])
    programs.start("kube-scheduler", [cache.bin / "kube-scheduler", kubeconfig, "--leader-elect=false"])
    kubelet = [
        kubeconfig, f"--config={instance.state / 'kubelet.json'}", f"--hostname-override={NODE_NAME}",
        f"--node-ip={NODE_ADDRESS}", f"--root-dir={instance.state / 'kubelet'}",
        f"--cert-dir={instance.state / 'kubelet-pki'}",
    ]  # fmt: skip
    programs.start("kubelet", [cache.bin / "kubelet", *kubelet], with_ours)
    proxy = [f"--config={instance.state / 'kube-proxy.json'}", f"--hostname-override={NODE_NAME}"]
    programs.start("kube-proxy", [cache.bin / "kube-proxy", *proxy], with_ours)


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True)


def _end(_signal: int, _frame: FrameType | None) -> NoReturn:
    os._exit(0)


if __name__ == "__main__":
    main()
