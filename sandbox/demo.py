"""The demonstration: a good version of an app is promoted, a bad one rolled back, both watched live.

The app is podinfo, and the bad version is podinfo with its own switch for random errors. The users are the load test
of the app's Service, whom the weights concern as everybody; what they saw is asked of Prometheus.
"""

import json
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.live import Live

from controller.api import Phase
from controller.cli.tree import draw_scene
from controller.views.rows import CanaryRow
from sandbox.deploy.project import read_configured
from sandbox.running import SandboxError
from sandbox.view import Kubectl, read_canaries, read_scene

WATCH_SECONDS = 900
_PODINFO = "stefanprodan/podinfo"
_FASTER = {"interval": "10s", "stepWeight": 10}
_GOOD = ("6.1.2", "6.1.0")
"""The one that is not promoted yet; 6.1.1 is left for the README's next step."""
_BAD = {"tag": "6.1.1", "config": {"PODINFO_RANDOM_ERROR": "true"}}
_SEEN = (
    'sum(increase(istio_requests_total{{reporter="destination",destination_workload_namespace="{namespace}",'
    'destination_workload=~"{name}|{name}-primary"{more}}}[{seconds}s]))'
)
_FAILED = ',response_code=~"5.."'


@dataclass(frozen=True)
class Ground:
    """A cluster to which the program has been deployed.

    Attributes:
        canaries: those of the stack, each as ``namespace/name``.
        kubectl: runs it there.
        deploy: runs `pulumi up` with more configuration of the stack.
        prometheus: gives an address of Prometheus at which it answers from here.
        page: how to open the page of a canary.
        up: the command that deploys the stack.
    """

    canaries: Sequence[str]
    kubectl: Kubectl
    deploy: Callable[[Mapping[str, Any]], None]
    prometheus: Callable[[], AbstractContextManager[str]]
    page: str
    up: str


@dataclass(frozen=True)
class Seen:
    """What users saw: requests, and those that ended in an error of the server."""

    requests: float
    failed: float

    def __str__(self) -> str:
        share = 100 * self.failed / self.requests if self.requests else 0.0
        return f"users sent {self.requests:,.0f} requests, and {self.failed:,.0f} ({share:.1f}%) ended in an error"


def demonstrate(ground: Ground, console: Console, *, puts_back: bool = False) -> None:
    """Roll out both versions, each until it has ended as it should; then, if asked, the one that was there.

    Raises:
        SandboxError: no app of the stack can be used, or one of the versions ends otherwise.
    """
    name, primary = _find_app(ground)
    console.print(f"Watch it on a page, too: {ground.page.format(canary=name)}")
    try:
        _show(ground, console, name, primary)
        if puts_back:
            console.rule("What was there")
            _roll_out(ground, console, name, {}, expected=Phase.SUCCEEDED)
    finally:
        if puts_back:
            console.print("Deploying what Pulumi.dev.yaml says, and nothing else")
            ground.deploy({})
    if not puts_back:
        console.print(f"{name} is as the demo has left it; the next `make up` gives it the version of Pulumi.dev.yaml.")


def _show(ground: Ground, console: Console, canary: str, primary: str) -> None:
    tag = next(each for each in _GOOD if each not in primary)
    console.rule(f"A good version: {canary} {tag}")
    image = {"image": re.sub(r"[:@][^/]*$", "", primary)}
    seen = _roll_out(ground, console, canary, {**image, "tag": tag}, expected=Phase.SUCCEEDED)
    console.print(f"Promoted. Meanwhile {seen}.")
    console.rule(f"A bad version: {canary} {_BAD['tag']}, of which one answer in nine is an error")
    seen = _roll_out(ground, console, canary, {**image, **_BAD}, expected=Phase.FAILED)
    console.print(f"Rolled back. Meanwhile {seen}.")


def _find_app(ground: Ground) -> tuple[str, str]:
    """An app that can show it, as ``namespace/name``, and the image of its primary. Raises SandboxError."""
    listed = json.loads(ground.kubectl("get", "canaries.flagger.app", "-A", "-o", "json", check=False) or "{}")
    weighted = {_label(each) for each in listed.get("items", ()) if "stepWeight" in each["spec"].get("analysis", {})}
    deployments = json.loads(ground.kubectl("get", "deployments", "-A", "-o", "json"))["items"]
    images = {_label(each): each["spec"]["template"]["spec"]["containers"][0]["image"] for each in deployments}
    named = read_configured().get("config", {}).get("canary-on-istio:apps") or {}
    for canary in ground.canaries:
        primary = images.get(f"{canary}-primary", "")
        if canary.partition("/")[2] in named and canary in weighted and _PODINFO in primary:
            return canary, primary
    raise SandboxError(
        "No app of this stack can show it: the demo needs podinfo, released by weights. Name `backend: {tag: 6.1.0}`"
        f" under canary-on-istio:apps in Pulumi.dev.yaml, and run `{ground.up}`."
    )


def _label(manifest: Mapping[str, Any]) -> str:
    return f"{manifest['metadata']['namespace']}/{manifest['metadata']['name']}"


def _roll_out(ground: Ground, console: Console, canary: str, app: dict[str, Any], expected: Phase) -> Seen:
    before, began = _row(ground, canary), time.monotonic()
    namespace, _, name = canary.partition("/")
    console.print("Deploying with Pulumi")
    ground.deploy({"canary-on-istio:apps": {name: {**app, "analysis": _FASTER}}})
    ended = _watch(ground, console, before)
    if ended.phase != expected:
        raise SandboxError(f"{canary} should be {expected} now, and is {ended.phase}: {ended.message}")
    about = {"namespace": namespace, "name": name, "seconds": round(time.monotonic() - began)}
    return Seen(*(_ask(ground, _SEEN.format(more=more, **about)) for more in ("", _FAILED)))


def _ask(ground: Ground, query: str) -> float:
    """The number that Prometheus answers; 0 where it has none. Raises SandboxError."""
    with ground.prometheus() as address:
        url = f"{address}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                found = json.load(answer)["data"]["result"]
        except OSError as error:
            raise SandboxError(f"{url} does not answer: {error}") from None
    return float(found[0]["value"][1]) if found else 0.0


def _watch(ground: Ground, console: Console, before: CanaryRow) -> CanaryRow:
    """Show the rollout until the canary has begun something new and ended it. Raises SandboxError."""
    deadline = time.monotonic() + WATCH_SECONDS
    shown = before
    with Live(console=console, refresh_per_second=2, transient=not console.is_terminal) as live:
        while time.monotonic() < deadline:
            row = _row(ground, before.label)
            live.update(draw_scene(read_scene(ground.kubectl, row.namespace, row.name)))
            if row != shown and not console.is_terminal:
                console.print(f"{row.phase} {row.traffic}, {row.failed} failed: {row.message}")
            shown = row
            if row != before and row.phase in (Phase.SUCCEEDED, Phase.FAILED):
                return row
            time.sleep(1)
    raise SandboxError(f"The canary of {before.label} has not ended after {WATCH_SECONDS} s.")


def _row(ground: Ground, canary: str) -> CanaryRow:
    """The canary as it stands. Raises SandboxError if there is none any more."""
    found = [each for each in read_canaries(ground.kubectl) if each.label == canary]
    if not found:
        raise SandboxError(f"The canary of {canary} is gone.")
    return found[0]
