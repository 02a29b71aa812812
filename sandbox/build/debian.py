"""Debian packages for the host, and the Debian base layer of images, from the machine's own package mirror."""

import os
import shutil
import subprocess
from pathlib import Path

from sandbox.build.layers import seal_layer
from sandbox.build.recipes import Debian
from sandbox.running import SandboxError, run_logged

# Program that must be there -> the package that brings it.
HOST_PROGRAMS = {
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "openssl": "openssl",
    "nsenter": "util-linux",
    "/etc/ssl/certs/ca-certificates.crt": "ca-certificates",
}

_LEFT_OUT = ("dev/*", "proc/*", "sys/*", "var/cache/apt/*", "var/lib/apt/lists/*", "var/log/*",
             "usr/share/doc/*", "usr/share/man/*", "usr/share/locale/*", "usr/share/info/*")  # fmt: skip


def missing_packages() -> list[str]:
    """Debian packages whose programs this machine lacks."""
    return [
        package
        for program, package in HOST_PROGRAMS.items()
        if not (Path(program).exists() if program.startswith("/") else shutil.which(program, path=_admin_path()))
    ]


def install_packages(packages: list[str], log: Path) -> None:
    """Install Debian packages on this machine. Raises SandboxError."""
    if not shutil.which("apt-get"):
        raise SandboxError(f"These programs' packages are missing and there is no apt-get: {', '.join(packages)}.")
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    run_logged(["apt-get", "update"], log, env=env)
    run_logged(["apt-get", "install", "-y", "--no-install-recommends", *packages], log, env=env)


def make_base_layer(base: Debian, folder: Path, log: Path) -> None:
    """Bootstrap a small Debian into a layer in `folder`. Raises SandboxError."""
    root = folder / "root"
    include = f"--include={','.join(base.packages)}"
    env = os.environ | {"PATH": _admin_path()}
    run_logged(["debootstrap", "--variant=minbase", include, base.suite, root, mirror(base.suite)], log, env=env)
    left_out = [f"--exclude=./{pattern}" for pattern in _LEFT_OUT]
    run_logged(["tar", "-C", root, "--numeric-owner", "--sort=name", *left_out, "-cf", folder / "layer.tar", "."], log)
    shutil.rmtree(root)
    seal_layer(folder)


def mirror(suite: str) -> str:
    """Address of the mirror from which this machine itself takes `suite`. Raises SandboxError."""
    query = ["apt-get", "indextargets", "--format", "$(CODENAME) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"]
    answer = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    for line in answer.splitlines():
        codename, component, address = line.split()
        if (codename, component) == (suite, "main"):
            return address
    raise SandboxError(f"This machine's apt sources have no Debian {suite}, from which the images' base is made.")


def _admin_path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
