"""Users: real requests from outside, through the gateway, and from inside the mesh."""

from __future__ import annotations

import http.client
import subprocess
import threading
import time
from collections.abc import Mapping
from typing import Self

from sandbox.node.node import Node

FIREFOX = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"}
INSIDER = {"Cookie": "type=insider; theme=dark"}
SECONDS = 10
"""A user who has no answer after so long has lost the request."""


def request(
    connection: http.client.HTTPConnection, method: str, path: str, headers: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Status and body of one request."""
    connection.request(method, path, body="hello" if method == "POST" else None, headers=dict(headers or {}))
    response = connection.getresponse()
    return response.status, response.read().decode(errors="replace")


class SteadyUsers:
    """Users who go on calling the backend through gateway and frontend; in a ``with`` block.

    Attributes:
        calls: how many requests were made.
        lost: what came instead of a good answer, one entry a lost request.
    """

    def __init__(self, gateway: tuple[str, int], per_second: float = 20) -> None:
        self._gateway = gateway
        self._pause = 1 / per_second
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._call, daemon=True)
        self.calls = 0
        self.lost: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _call(self) -> None:
        connection = http.client.HTTPConnection(*self._gateway, timeout=SECONDS)
        while not self._ended.wait(self._pause):
            self.calls += 1
            try:
                status, body = request(connection, "POST", "/echo")
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(repr(error))
                connection.close()
                continue
            if status >= 400:
                self.lost.append(f"{status} {body[:100]}")
        connection.close()


class MeshUser:
    """A user inside the mesh who asks a Service for its version, again and again; in a ``with`` block.

    The calls leave through the sidecar of the load tester, so the VirtualService decides who answers them.

    Attributes:
        versions: every answer, in order; ``lost`` for a request without one.
    """

    def __init__(self, node: Node, url: str) -> None:
        once = f"curl --silent --fail --max-time {SECONDS} {url} | grep -o '[0-9]*[.][0-9]*[.][0-9]*' || echo lost"
        self._command = [
            str(node.cache.bin / "kubectl"), f"--kubeconfig={node.instance.kubeconfig}", "exec", "--stdin",
            "--namespace=prod", "deploy/flagger-loadtester", "--container=loadtester", "--",
            "sh", "-c", f"while read again; do {once}; done",
        ]  # fmt: skip
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self.versions: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def next_versions(self, count: int, seconds: float = 30) -> list[str]:
        """The next ``count`` answers."""
        first, deadline = len(self.versions), time.monotonic() + seconds
        while len(self.versions) < first + count:
            if time.monotonic() > deadline:
                raise AssertionError(f"{len(self.versions) - first} of {count} answers within {seconds:g} s")
            time.sleep(0.05)
        return self.versions[first : first + count]

    def _ask(self) -> None:
        """One line in, one request, one line out: closing the input ends the loop in the pod as well."""
        with subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as asking:
            assert asking.stdin is not None
            assert asking.stdout is not None
            while not self._ended.wait(0.1):
                asking.stdin.write("\n")
                asking.stdin.flush()
                self.versions.append(asking.stdout.readline().strip() or "lost")
