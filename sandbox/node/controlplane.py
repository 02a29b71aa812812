"""The command lines of etcd and kube-apiserver, for the node and for an API server that runs by itself."""

import socket
import ssl
import urllib.error
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from sandbox.node.pki import Pki
from sandbox.paths import Cache

SERVICE_RANGE = "10.96.0.0/16"
FIRST_SERVICE = "10.96.0.1"


@dataclass(frozen=True)
class ControlPlane:
    """Where one control plane keeps its data and listens: etcd on loopback, the API server on `bind` too."""

    cache: Cache
    data: Path
    pki: Pki
    api_port: int
    etcd_port: int
    etcd_peer_port: int
    bind: str = "127.0.0.1"

    def etcd(self) -> list[str]:
        """Etcd without fsync: its data need not survive the machine."""
        client = f"http://127.0.0.1:{self.etcd_port}"
        peer = f"http://127.0.0.1:{self.etcd_peer_port}"
        return [
            str(self.cache.bin / "etcd"),
            f"--data-dir={self.data}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]

    def apiserver(self) -> list[str]:
        """An API server with RBAC, whose one administrator has the token of `pki`."""
        kubelet_certificate, kubelet_key = self.pki.kubelet_client
        return [
            str(self.cache.bin / "kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{self.etcd_port}",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            f"--service-account-key-file={self.pki.service_account_key}",
            f"--service-account-signing-key-file={self.pki.service_account_key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--token-auth-file={self.pki.tokens}",
            "--authorization-mode=RBAC",
            "--allow-privileged",
            f"--bind-address={self.bind}",
            f"--advertise-address={self.bind}",
            f"--secure-port={self.api_port}",
            f"--tls-cert-file={self.pki.certificate}",
            f"--tls-private-key-file={self.pki.key}",
            "--kubelet-preferred-address-types=InternalIP",  # no name server knows the node
            f"--kubelet-client-certificate={kubelet_certificate}",
            f"--kubelet-client-key={kubelet_key}",
        ]


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nothing listens on, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def is_free(port: int) -> bool:
    """Whether nothing listens on that port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def is_ready(url: str, pki: Pki) -> bool:
    """Whether the API server at `url` answers that it is ready."""
    request = urllib.request.Request(f"{url}/readyz", headers={"Authorization": f"Bearer {pki.token}"})
    try:
        context = ssl.create_default_context(cafile=str(pki.ca_certificate))
        with urllib.request.urlopen(request, timeout=2, context=context) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
