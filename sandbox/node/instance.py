"""One sandbox among several: its name, its state folder, and the host's ports that lead to it."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from sandbox.node.cgroups import Cgroup
from sandbox.node.controlplane import free_ports, is_free
from sandbox.node.pki import Pki
from sandbox.paths import state_root
from sandbox.running import SandboxError

DEFAULT = "default"


@dataclass(frozen=True)
class Ports:
    """Ports of the host's 127.0.0.1 that lead into the sandbox."""

    api: int
    gateway: int
    prometheus: int
    page: int


# What a first sandbox gets when nothing else has them.
WANTED = Ports(api=6443, gateway=8080, prometheus=9090, page=8081)


@dataclass(frozen=True)
class Instance:
    """The name and the folders of one sandbox; nothing of it need exist yet."""

    name: str
    state: Path

    @staticmethod
    def named(name: str | None = None) -> "Instance":
        """The sandbox of that name, else of `$CANARY_SANDBOX`, else `default`. Raises SandboxError on a bad name."""
        name = name or os.environ.get("CANARY_SANDBOX") or DEFAULT
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", name):
            raise SandboxError(
                f"{name!r} cannot name a sandbox: use up to 31 lower-case letters, digits and hyphens (CANARY_SANDBOX)."
            )
        return Instance(name, state_root() / name)

    @property
    def kubeconfig(self) -> Path:
        """For programs of the host; it leads through the forwarded port."""
        return self.state / "kubeconfig"

    @property
    def inner_kubeconfig(self) -> Path:
        """For the node's own programs."""
        return self.state / "node.kubeconfig"

    @property
    def logs(self) -> Path:
        return self.state / "log"

    @property
    def pki(self) -> Pki:
        return Pki(self.state / "pki")

    @property
    def cgroup(self) -> Cgroup:
        return Cgroup(f"canary-sandbox-{self.name}")

    def ports(self) -> Ports:
        """The instance's ports: chosen at its first start, and the same from then on, as long as they are free."""
        file = self.state / "ports.json"
        chosen = json.loads(file.read_text()) if file.exists() else {}
        if chosen.keys() != vars(WANTED).keys():  # of a sandbox that is older than one of the ports, too
            self.state.mkdir(parents=True, exist_ok=True)
            chosen = vars(_choose_ports()) | chosen
            file.write_text(json.dumps(chosen))
        return Ports(**chosen)

    def renew_ports(self) -> None:
        """Before a start: choose another for each port that some other program has taken since the last one."""
        kept = self.ports()
        (self.state / "ports.json").write_text(json.dumps(vars(_choose_ports(kept))))

    @property
    def api_url(self) -> str:
        return f"https://127.0.0.1:{self.ports().api}"


def _choose_ports(preferred: Ports = WANTED) -> Ports:
    wanted = vars(preferred)
    spare = free_ports(len(wanted))
    return Ports(**{name: port if is_free(port) else spare.pop() for name, port in wanted.items()})
