"""What answers only inside a cluster, reached from this machine with `kubectl`."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sandbox.running import SandboxError
from sandbox.view import Kubectl

_IN_CLUSTER = re.compile(r"http://([a-z0-9-]+)\.([a-z0-9-]+)(?:\.svc(?:\.cluster\.local)?)?:(\d+)")
_FORWARDING = re.compile(r"Forwarding from (127\.0\.0\.1:\d+)")


def kubectl_in(env: Mapping[str, str]) -> Kubectl:
    """`kubectl` on the cluster that an environment leads to."""

    def run(*arguments: str, check: bool = True) -> str:
        result = subprocess.run(["kubectl", *arguments], env=env, capture_output=True, text=True, check=False)
        if check and result.returncode != 0:
            raise SandboxError(f"kubectl {' '.join(arguments)}: {result.stderr.strip()}")
        return result.stdout

    return run


@contextmanager
def reached(url: str, env: Mapping[str, str]) -> Iterator[str]:
    """An address of a server that answers here: of a Service, a forwarded port. Raises SandboxError."""
    found = _IN_CLUSTER.fullmatch(url)
    if found is None:
        yield url
        return
    name, namespace, port = found.groups()
    command = ["kubectl", "port-forward", f"--namespace={namespace}", f"service/{name}", f":{port}"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as forward:
        try:
            line = forward.stdout.readline() if forward.stdout else ""
            if (local := _FORWARDING.search(line)) is None:
                said = forward.stderr.read().strip() if forward.stderr else ""
                raise SandboxError(f"{url} cannot be reached: {said}")
            yield f"http://{local[1]}"
        finally:
            forward.terminate()


def way_to(service: Mapping[str, Any], local: int) -> str:
    """How to open a Service: its own address, or a forwarded port."""
    metadata, ports = service["metadata"], service["spec"]["ports"]
    port = next((each for each in ports if each.get("name", "").startswith("http")), ports[0])["port"]
    if balancer := service.get("status", {}).get("loadBalancer", {}).get("ingress"):
        return f"http://{balancer[0].get('ip') or balancer[0]['hostname']}:{port}/"
    return f"kubectl -n {metadata['namespace']} port-forward service/{metadata['name']} {local}:{port}"
