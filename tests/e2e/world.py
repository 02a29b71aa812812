"""The sandbox as the end-to-end tests see it: what they do to it, what they wait for, and what was seen on the way.

Nothing here sleeps for a guessed time. Canaries, their events and VirtualServices are watched from the start, so that
no weight between two looks is missed, and every wait has a deadline and says what it saw when that passes.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from sandbox.deploy.program import prepare
from sandbox.lifecycle import Sandbox, up
from stack.merge import merge
from tests.e2e.traffic import SECONDS, request

PROD = "prod"
PREVIEW_SECONDS = 60
"""A preview that has not ended by then hangs, whatever it is about."""

PATIENCE = 6
"""Failed checks that are too many. Prometheus has no values for the first two, as it finds a new pod within 5 s and a
rate takes two scrapes; the rest is for a machine that is busy."""

QUICK_METRICS = {"error-rate": {"interval": "10s"}, "latency": {"interval": "10s"}}
STACK: Mapping[str, Any] = {
    "canary-on-istio:controller": {"minimumInterval": "2s"},
    "canary-on-istio:observability": {"prometheus": {"scrapeInterval": "2s"}},
    "canary-on-istio:apps": {
        "backend": {
            "minReadySeconds": 0,
            "config": {"GREETING": "hello"},
            "analysis": {
                "interval": "4s",
                "threshold": PATIENCE,
                "metrics": QUICK_METRICS,
                "webhooks": {"load-test": {"metadata": {"cmd": "hey -z 8s -q 10 -c 2 http://backend.prod:9898/"}}},
            },
        },
        "frontend": {
            "minReadySeconds": 0,
            "analysis": {
                "interval": "4s",
                "threshold": PATIENCE,
                "iterations": 4,
                "metrics": QUICK_METRICS,
                "webhooks": {
                    "load-test": {"metadata": {"cmd": "hey -z 8s -q 10 -c 2 http://frontend-canary.prod:9898/"}}
                },
            },
        },
    },
}
"""The workshop's program with short intervals: the rate's window is five scrapes long."""


AT_REST = ("Initialized", "Succeeded", "Failed")


@dataclass(frozen=True)
class Sight:
    """A Canary's status as one watch event showed it."""

    name: str
    phase: str
    weight: int
    iterations: int
    failed_checks: int
    applied: str
    message: str


@dataclass
class World:
    """One sandbox with the program on it.

    Attributes:
        stack: the stack configuration deployed last.
        sights: every state of every Canary, in order.
        routes: name, weights (primary, canary) and time in seconds of every change of a VirtualService's first route.
        events: name of the Canary and message of every event, once more for each repetition.
    """

    sandbox: Sandbox
    stack: dict[str, Any] = field(default_factory=lambda: merge(STACK))
    sights: list[Sight] = field(default_factory=list)
    routes: list[tuple[str, int, int, float]] = field(default_factory=list)
    events: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._news = threading.Condition()
        self._ended = threading.Event()
        self._watching: dict[str, subprocess.Popen[str]] = {}
        self._heard: set[tuple[str, str]] = set()
        self._watchers = [
            threading.Thread(target=self._watch, args=watched, daemon=True)
            for watched in (
                ("canaries.flagger.app", self._see_canary),
                ("virtualservices.networking.istio.io", self._see_routes),
                ("events", self._hear),
            )
        ]
        for watcher in self._watchers:
            watcher.start()

    @classmethod
    def from_nothing(cls, name: str, stack: Mapping[str, Any] = STACK, optional: Sequence[str] = ()) -> Self:
        return cls(up(name, stack, optional=optional), merge(stack))

    def close(self) -> None:
        """Stop watching."""
        self._ended.set()
        with self._news:
            for watching in self._watching.values():
                watching.terminate()
        for watcher in self._watchers:
            watcher.join()

    # --- doing ---

    def deploy(self, app: str, **settings: Any) -> None:
        """``pulumi up`` with an app's settings laid over what is deployed."""
        self.deploy_apps({app: settings})

    def deploy_apps(self, apps: Mapping[str, Mapping[str, Any]]) -> None:
        self.deploy_stack({"canary-on-istio:apps": apps})

    def deploy_stack(self, extra: Mapping[str, Any]) -> None:
        """``pulumi up`` with more stack configuration laid over what is deployed."""
        self.stack = merge(self.stack, extra)
        self.sandbox.deploy(self.stack, quiet=True)

    def preview(self, *arguments: str, extra: Mapping[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
        """``pulumi preview`` of what is deployed, or with ``extra`` laid over it."""
        return self._look("preview", *arguments, extra=extra)

    def drift(self) -> subprocess.CompletedProcess[str]:
        """``pulumi refresh`` that only looks; it fails where the cluster is not as Pulumi has left it."""
        return self._look("refresh", "--preview-only", "--expect-no-changes", "--diff")

    def _look(
        self, command: str, *arguments: str, extra: Mapping[str, Any] | None = None
    ) -> subprocess.CompletedProcess[str]:
        engine = prepare(self.sandbox.node, merge(self.stack, extra or {}))
        words = engine.command(command, "--non-interactive", "--color=never", "--stack", "dev", *arguments)
        env = os.environ | engine.environment()
        return subprocess.run(words, env=env, capture_output=True, text=True, check=False, timeout=PREVIEW_SECONDS)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.sandbox.kubectl(*arguments, stdin=stdin)

    def apply(self, *objects: Mapping[str, Any]) -> None:
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", "--server-side", "--filename=-", stdin=json.dumps(listed))

    def get(self, kind: str, name: str, namespace: str = PROD) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "--namespace", namespace, "--output=json"))
        return found

    def fetch(self, path: str = "/", headers: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Status and body of a user's request through the gateway."""
        connection = http.client.HTTPConnection(*self.gateway, timeout=SECONDS)
        try:
            return request(connection, "GET", path, headers)
        finally:
            connection.close()

    def version_for(self, headers: Mapping[str, str] | None = None) -> str:
        """Which version of the frontend such a user gets."""
        return str(json.loads(self.fetch("/version", headers)[1])["version"])

    @property
    def gateway(self) -> tuple[str, int]:
        return "127.0.0.1", self.sandbox.node.instance.ports().gateway

    # --- waiting and looking ---

    def mark(self) -> int:
        """A point in time: what is asked for after it must have been seen after it."""
        with self._news:
            return len(self.sights)

    def wait_for(
        self, name: str, what: str, seen: Callable[[Sight], bool], *, after: int = 0, seconds: float = 150
    ) -> Sight:
        """The first sight of a Canary after ``after`` for which ``seen`` holds; ``what`` says it for the failure."""
        deadline = time.monotonic() + seconds
        with self._news:
            while True:
                for sight in self.sights[after:]:
                    if sight.name == name and seen(sight):
                        return sight
                if not self._news.wait(deadline - time.monotonic()):
                    break
        raise AssertionError(f"{name} was not seen {what} within {seconds:g} s\n{self.report(name)}")

    def wait_for_event(self, name: str, start: str, *, after: int, seconds: float = 20) -> str:
        """The first message of a Canary that starts so, of those after ``after``, a length of ``events``.

        Events follow the status that they are about, so a status that was seen does not mean that they were.
        """
        deadline = time.monotonic() + seconds
        with self._news:
            while True:
                for canary, message in self.events[after:]:
                    if canary == name and message.startswith(start):
                        return message
                if not self._news.wait(deadline - time.monotonic()):
                    break
            heard = "\n".join(message for canary, message in self.events[after:] if canary == name)
        raise AssertionError(f"{name}: no event {start!r} within {seconds:g} s, but\n{heard}\n{self.report(name)}")

    def settle(self, *names: str, seconds: float = 150) -> None:
        """Until none of these is under way: a sandbox that was kept has first to come back to what is deployed."""
        for name in names:
            self.wait_for(name, "at rest", self._is_at_rest, seconds=seconds)

    def _is_at_rest(self, sight: Sight) -> bool:
        return sight.phase in AT_REST and sight is [each for each in self.sights if each.name == sight.name][-1]

    def wait_for_phase(self, name: str, phase: str, *, after: int = 0, seconds: float = 150) -> Sight:
        return self.wait_for(name, phase, lambda sight: sight.phase == phase, after=after, seconds=seconds)

    def wait_for_version(self, headers: Mapping[str, str], version: str, seconds: float = 20) -> None:
        """Until such a user gets that version: the gateway takes a moment to hear of new routes."""
        deadline, got = time.monotonic() + seconds, ""
        while time.monotonic() < deadline:
            got = self.version_for(headers)
            if got == version:
                return
            time.sleep(0.1)
        raise AssertionError(f"users with {headers} got {got} for {seconds:g} s, not {version}")

    def wait_for_scale(self, name: str, replicas: int, seconds: float = 20) -> None:
        """Until the Deployment has so many replicas: a canary keeps its pods until requests have ended."""
        deadline, got = time.monotonic() + seconds, -1
        while time.monotonic() < deadline:
            got = self.get("deployment", name)["spec"]["replicas"]
            if got == replicas:
                return
            time.sleep(0.2)
        raise AssertionError(f"{name} had {got} replicas for {seconds:g} s, not {replicas}")

    def measure(self, query: str, expected: float, seconds: float = 20) -> None:
        """Until Prometheus, which takes a moment to scrape, answers the query with this one value."""
        address = f"http://127.0.0.1:{self.sandbox.node.instance.ports().prometheus}/api/v1/query?"
        deadline, got = time.monotonic() + seconds, None
        while time.monotonic() < deadline:
            with urllib.request.urlopen(address + urllib.parse.urlencode({"query": query}), timeout=SECONDS) as answer:
                got = [float(series["value"][1]) for series in json.load(answer)["data"]["result"]]
            if got == [expected]:
                return
            time.sleep(0.2)
        raise AssertionError(f"{query} was {got} for {seconds:g} s, not {expected}")

    def weights_since(self, name: str, mark: int) -> list[int]:
        """The canary's weights that its VirtualService had since, each change once."""
        found: list[int] = []
        for seen, _, weight, _ in self.routes[mark:]:
            if seen == name and (not found or found[-1] != weight):
                found.append(weight)
        return found

    def report(self, name: str) -> str:
        """What helps to see why something did not happen."""
        status = self.kubectl(
            "get", "canaries", "-A", "-o", f"jsonpath={{.items[?(@.metadata.name=='{name}')].status}}"
        )
        log = self.sandbox.node.kubectl(
            "logs", "-n", "istio-system", "deploy/canary-controller", "--tail=15", check=False
        )
        pods = self.kubectl("get", "pods", "-A")
        events = "\n".join([message for canary, message in self.events if canary == name][-15:])
        return f"status: {status}\nevents:\n{events}\ncontroller:\n{log}\npods:\n{pods}"

    def _watch(self, kind: str, see: Callable[[dict[str, Any]], None]) -> None:
        """Tell ``see`` of every state of the objects of a kind, from now on."""
        node = self.sandbox.node
        command = [
            str(node.cache.bin / "kubectl"), f"--kubeconfig={node.instance.kubeconfig}",
            "get", kind, "--all-namespaces", "--watch", "--output=json", "--chunk-size=0",
        ]  # fmt: skip
        while not self._ended.is_set():
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as watching:
                self._watching[kind] = watching
                if self._ended.is_set():  # between the question above and here: nobody else will end it
                    watching.terminate()
                assert watching.stdout is not None
                for item in read_objects(watching.stdout):
                    with self._news:
                        see(item)
                        self._news.notify_all()

    def _see_canary(self, item: dict[str, Any]) -> None:
        status = item.get("status", {})
        self.sights.append(
            Sight(
                item["metadata"]["name"],
                status.get("phase", ""),
                status.get("canaryWeight", 0),
                status.get("iterations", 0),
                status.get("failedChecks", 0),
                status.get("lastAppliedSpec", ""),
                status.get("message", ""),
            )
        )

    def _see_routes(self, item: dict[str, Any]) -> None:
        spec = item["spec"]
        weights = [route.get("weight", 0) for route in (spec.get("http") or spec["tcp"])[0].get("route", [{}])]
        self.routes.append((item["metadata"]["name"], weights[0], weights[-1], time.monotonic()))

    def _hear(self, event: dict[str, Any]) -> None:
        """A watch that begins again lists what was heard already."""
        version = event["metadata"]["uid"], event["metadata"]["resourceVersion"]
        if event["involvedObject"]["kind"] == "Canary" and version not in self._heard:
            self._heard.add(version)
            self.events.append((event["involvedObject"]["name"], event["message"]))


def read_objects(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The objects that ``kubectl --output=json`` prints one after the other, lists of any kind taken apart."""
    text = ""
    for line in lines:
        text += line
        if line.rstrip() == "}":
            found = json.loads(text)
            yield from found.get("items", [found])
            text = ""
