"""Forward ports of the host's 127.0.0.1 into the sandbox: `python -m sandbox.node.forward STATE NAME PID`.

The listening sockets are the host's; each outgoing socket is made while this thread is in the sandbox's network
namespace, and stays in it. The forwarder ends with the node, whose first process is PID.
"""

import asyncio
import contextlib
import ctypes
import functools
import json
import os
import socket
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from sandbox.node.inside import API_PORT
from sandbox.node.instance import Instance
from sandbox.node.nodefiles import NODE_ADDRESS

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET of setns(2)
_CHUNK = 1 << 16

# Service and port that each forwarded name leads to.
SERVICES = {
    "gateway": ("istio-system", "istio-gateway", 80),
    "prometheus": ("istio-system", "prometheus", 9090),
    "page": ("istio-system", "canary-controller", 8081),
}


class Network:
    """The sandbox's network namespace, seen from a process of the host."""

    def __init__(self, pid: int) -> None:
        self.inside = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        self.outside = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.libc = ctypes.CDLL(None, use_errno=True)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Be in the sandbox's network; there must be no await inside."""
        self._enter(self.inside)
        try:
            yield
        finally:
            self._enter(self.outside)

    def _enter(self, descriptor: int) -> None:
        if self.libc.setns(descriptor, _NEW_NETWORK) != 0:
            raise OSError(ctypes.get_errno(), "cannot enter the sandbox's network namespace")

    async def connect(self, address: tuple[str, int]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to an address of the sandbox. Raises OSError."""
        with self.entered():
            outgoing = socket.socket()
        outgoing.setblocking(False)
        await asyncio.get_running_loop().sock_connect(outgoing, address)
        return await asyncio.open_connection(sock=outgoing)


def service_address(instance: Instance, namespace: str, name: str, port: int) -> tuple[str, int]:
    """The cluster address of a Service. Raises OSError while there is none."""
    url = f"{instance.api_url}/api/v1/namespaces/{namespace}/services/{name}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {instance.pki.token}"})
    context = ssl.create_default_context(cafile=str(instance.pki.ca_certificate))
    with urllib.request.urlopen(request, timeout=5, context=context) as answer:
        return str(json.load(answer)["spec"]["clusterIP"]), port


async def serve(instance: Instance, pid: int) -> None:
    """Forward all ports until the node's first process ends."""
    network = Network(pid)
    ports = instance.ports()
    targets: dict[int, Callable[[], tuple[str, int]]] = {ports.api: lambda: (NODE_ADDRESS, API_PORT)}
    for name, (namespace, service, port) in SERVICES.items():
        targets[getattr(ports, name)] = functools.partial(service_address, instance, namespace, service, port)
    for port, target in targets.items():
        await asyncio.start_server(functools.partial(_forward, network, target), "127.0.0.1", port)
    ended = asyncio.Event()
    descriptor = os.pidfd_open(pid)
    asyncio.get_running_loop().add_reader(descriptor, ended.set)
    await ended.wait()


async def _forward(
    network: Network,
    target: Callable[[], tuple[str, int]],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    try:
        far_reader, far_writer = await network.connect(await asyncio.to_thread(target))
    except (OSError, urllib.error.URLError):
        writer.close()  # nothing to reach there yet: the caller sees a closed connection
        return
    await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
    for each in (writer, far_writer):
        each.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()


def main() -> None:
    """Run the forwarder."""
    state, name, pid = sys.argv[1:]
    asyncio.run(serve(Instance(name, Path(state)), int(pid)))


if __name__ == "__main__":
    main()
