"""etcd and kube-apiserver alone, on loopback: enough for what concerns objects only; needs neither root nor node."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox.node.controlplane import ControlPlane, free_ports, is_ready
from sandbox.node.pki import Pki, create_pki, write_kubeconfig
from sandbox.paths import Cache
from sandbox.running import SandboxError

START_SECONDS = 60


@dataclass(frozen=True)
class ApiServer:
    """A running API server: its address, the administrator's kubeconfig, and the folder with `*.log` of both."""

    url: str
    kubeconfig: Path
    pki: Pki
    folder: Path


@contextmanager
def api_server(cache: Cache | None = None) -> Iterator[ApiServer]:
    """Run etcd and kube-apiserver in a temporary folder until the block ends.

    Raises SandboxError when they are not built or do not become ready within `START_SECONDS`.
    """
    cache = cache or Cache.default()
    for binary in ("etcd", "kube-apiserver"):
        if not (cache.bin / binary).exists():
            raise SandboxError(f"{cache.bin / binary} is missing: run `python -m sandbox build` first.")
    if not shutil.which("openssl"):
        raise SandboxError("openssl was not found; on Debian: apt-get install openssl")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="canary-apiserver-")))
        pki = create_pki(folder / "pki", ["localhost", "kubernetes.default.svc"], ["127.0.0.1"])
        api_port, etcd_port, peer_port = free_ports(3)
        plane = ControlPlane(cache, folder / "etcd", pki, api_port, etcd_port, peer_port)
        url = f"https://127.0.0.1:{api_port}"
        write_kubeconfig(folder / "kubeconfig", url, pki)
        stack.enter_context(_running(plane.etcd(), folder / "etcd.log"))
        process = stack.enter_context(_running(plane.apiserver(), folder / "kube-apiserver.log"))
        _wait_until_ready(url, pki, process, folder)
        yield ApiServer(url, folder / "kubeconfig", pki, folder)


def _wait_until_ready(url: str, pki: Pki, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_ready(url, pki):
        if process.poll() is not None or time.monotonic() > deadline:
            tail = (folder / "kube-apiserver.log").read_text(errors="replace").splitlines()[-15:]
            raise SandboxError("kube-apiserver did not become ready; the end of its log:\n" + "\n".join(tail))
        time.sleep(0.1)


@contextmanager
def _running(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
