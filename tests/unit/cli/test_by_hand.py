"""The verbs of the command line, on a cluster whose controller answers at once; and how ``canary wait`` ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from typer.testing import CliRunner

from controller.api import CanaryStatus
from controller.api.instruction import Verb, parse_instruction
from controller.api.names import ACTION_ANNOTATION
from controller.cli import app, by_hand, wait
from controller.cli.errors import CommandError
from controller.cli.wait import End, find_end, longest_seconds
from controller.core.model import Manifest
from controller.shell.kubernetes.errors import Rejected, Transient
from controller.shell.kubernetes.kinds import Kind
from tests.builders import WEIGHTED, canary_manifest, make_canary
from tests.unit.core.cluster import initialized
from tests.unit.shell.fakes import FakeKube

REVISION, OTHER = "79b4f6a0c1d2e3f4", "0123456789abcdef"


class Controlled(FakeKube):
    """A cluster whose controller answers each action as it is written: ``refused`` says how."""

    def __init__(self, *manifests: Mapping[str, Any], refused: str | None = "", user: str = "alice") -> None:
        super().__init__(*manifests)
        self.refused, self.user = refused, user

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Mapping[str, Any]) -> Manifest:
        written = await super().patch(kind, namespace, name, patch)
        text = written["metadata"]["annotations"][ACTION_ANNOTATION]
        if self.refused is not None:
            last = {"text": text, "nonce": 1, "by": "alice", "refused": self.refused}
            self.set({**written, "status": {**written["status"], "lastAction": last}})
        return written

    async def create(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        if not self.user:
            raise Rejected("POST selfsubjectreviews", 403, "forbidden")
        return {**manifest, "status": {"userInfo": {"username": self.user}}}


def canary(**status: Any) -> dict[str, Any]:
    return {**canary_manifest(), "status": {"phase": "Progressing", "revision": REVISION, **status}}


def run(kube: FakeKube, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str]:
    async def with_cluster(context: str, ask: Callable[[Any], Awaitable[Any]]) -> Any:
        return await ask(kube)

    for module in (by_hand, wait):
        monkeypatch.setattr(module, "with_cluster", with_cluster)
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("arguments", "verb", "weight"),
    [
        *((verb, verb, None) for verb in ("promote", "pause", "resume", "abort", "retry", "approve")),
        ("promote --full", "promote-fully", None),
        ("weight 20", "weight", 20),
    ],
)
def test_a_verb_writes_its_annotation_and_waits_for_the_answer(arguments, verb, weight, monkeypatch):
    kube = Controlled(canary(), user="Alice Smith")
    command, *options = arguments.split()
    assert run(kube, monkeypatch, command, "backend", *options, "-n", "prod") == (0, f"{verb} prod/backend: done\n")
    asked = parse_instruction(kube.object("Canary", "prod", "backend")["metadata"]["annotations"][ACTION_ANNOTATION])
    assert not isinstance(asked, str)
    assert (asked.verb, asked.revision, asked.by, asked.weight) == (Verb(verb), REVISION, "Alice_Smith", weight)


@pytest.mark.parametrize("last", [41, 10**12])
def test_the_nonce_is_above_the_last_one_whatever_the_clock_says(last, monkeypatch):
    kube = Controlled(canary(lastAction={"text": "", "nonce": last}), user="")
    assert run(kube, monkeypatch, "pause", "backend", "-n", "prod")[0] == 0
    asked = parse_instruction(kube.object("Canary", "prod", "backend")["metadata"]["annotations"][ACTION_ANNOTATION])
    assert not isinstance(asked, str)
    assert asked.nonce > last
    assert asked.by == ""


@pytest.mark.parametrize(
    ("kube", "message"),
    [
        (Controlled(canary(), refused="it is not paused"), "canary resume: refused: it is not paused"),
        (Controlled(canary(revision="")), "has no revision yet; is the controller running?"),
        (Controlled(), "canary resume: no Canary 'backend' in namespace 'prod'"),
    ],
)
def test_a_verb_that_was_not_obeyed_ends_with_status_1_and_says_why(kube, message, monkeypatch):
    code, shown = run(kube, monkeypatch, "resume", "backend", "-n", "prod")
    assert code == 1
    assert message in shown


async def test_a_controller_that_does_not_answer_is_not_waited_for_for_ever():
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    kube = Controlled(canary(), refused=None)
    text = await by_hand.instruct(kube, "prod", "backend", Verb.PAUSE)
    with pytest.raises(CommandError, match="has not answered within 20s; is it running"):
        await by_hand.await_answer(kube, "prod", "backend", text, sleep)
    assert sum(waited) == by_hand.ANSWER_SECONDS


@pytest.mark.parametrize(
    ("status", "seen", "end"),
    [
        ({"phase": "Progressing", "lastAppliedSpec": REVISION}, True, None),
        ({"phase": "Succeeded", "lastAppliedSpec": REVISION, "lastPromotedSpec": REVISION}, True, End.PROMOTED),
        ({"phase": "Finalising", "lastAppliedSpec": REVISION, "lastPromotedSpec": OTHER}, True, None),
        ({"phase": "Failed", "lastAppliedSpec": REVISION, "lastPromotedSpec": OTHER}, True, End.ROLLED_BACK),
        ({"phase": "Failed", "lastAppliedSpec": REVISION, "lastPromotedSpec": REVISION}, True, End.ROLLED_BACK),
        ({"phase": "Progressing", "lastAppliedSpec": OTHER, "revision": OTHER}, True, End.SUPERSEDED),
        ({"phase": "Succeeded", "lastAppliedSpec": OTHER, "revision": OTHER}, False, None),
    ],
)
def test_how_a_rollout_has_ended(status, seen, end):
    read = CanaryStatus.model_validate({"revision": REVISION, **status})
    assert find_end(read, REVISION, seen=seen) == end


@pytest.mark.parametrize(
    ("then", "code", "lines"),
    [
        ({"phase": "Succeeded", "canaryWeight": 0, "lastPromotedSpec": REVISION}, 0, ["Succeeded"]),
        ({"phase": "Failed", "canaryWeight": 0, "message": "errors 9 > 1"}, 1, ["Failed errors 9 > 1"]),
        ({"revision": OTHER}, 2, []),
        ({}, 3, []),
    ],
)
def test_wait_shows_each_change_once(then, code, lines):
    before = {"lastAppliedSpec": REVISION, "canaryWeight": 20}
    kube, now, shown = FakeKube(canary(**before)), 0.0, list[str]()

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        if now == 5:
            kube.set(canary(**{**before, **then}))

    following = wait.follow(kube, "prod", "backend", REVISION, 10, show=shown.append, sleep=sleep, clock=lambda: now)
    assert asyncio.run(following).end == code
    assert shown == [f"prod/backend: {line}" for line in ("Progressing 20%", *lines)]


CHECKS = [
    {"name": "errors", "passed": False, "detail": "errors 9 > 1"},
    {"name": "latency", "passed": True, "detail": "latency 20 <= 500"},
    {"name": "tried", "passed": False, "detail": "tried 9 > 1", "dryRun": True},
]


def test_wait_ends_the_process_with_the_status_and_what_the_last_look_has_found(monkeypatch):
    status = {"phase": "Failed", "reason": "ChecksFailed", "message": "Rolling back backend.prod", "checks": CHECKS}
    kube = FakeKube(canary(**status, lastAppliedSpec=REVISION))
    code, shown = run(kube, monkeypatch, "wait", "backend", "-n", "prod", "--for-revision", REVISION)
    assert code == 1
    assert shown.splitlines()[1:] == [
        "prod/backend: rolled back (ChecksFailed): Rolling back backend.prod",
        "  errors 9 > 1",
    ]


@pytest.mark.parametrize(
    ("phase", "shown"),
    [("Failed", ["  https://rollouts.example.com/canaries/prod/backend"]), ("Succeeded", [])],
)
def test_wait_leads_to_the_page_of_what_was_not_promoted(monkeypatch, phase, shown):
    kube = FakeKube(canary(phase=phase, lastAppliedSpec=REVISION, lastPromotedSpec=REVISION))
    page = "--page-url=https://rollouts.example.com/"
    _, said = run(kube, monkeypatch, "wait", "backend", "-n", "prod", "--for-revision", REVISION, page)
    assert [line for line in said.splitlines() if "https" in line] == shown


def primary_pod(digest: str) -> dict[str, Any]:
    owner = {"kind": "ReplicaSet", "name": "backend-primary-5d8"}
    metadata = {"name": "backend-primary-5d8-x", "namespace": "prod", "ownerReferences": [owner]}
    status = {"containerStatuses": [{"name": "backend", "imageID": f"podinfo@{digest}"}]}
    return {"kind": "Pod", "metadata": {**metadata, "labels": {"app": "backend-primary"}}, "status": status}


def test_wait_is_for_what_the_target_asks_for_and_says_in_json_what_was_promoted(monkeypatch):
    cluster = initialized()
    kube = FakeKube(*cluster.objects.values(), primary_pod("sha256:12"))
    status: dict[str, Any] = {"phase": "Succeeded", "reason": "Promoted", "lastTransitionTime": "2026-11-30T10:00:00Z"}
    receipt = {"revision": cluster.state.revision, "skipped": "skipAnalysis", "promotedAt": "2026-11-30T10:00:00Z"}
    status |= {"lastPromotedSpec": cluster.state.revision, "receipt": receipt}
    kube.set({**canary_manifest(), "status": status})
    code, shown = run(kube, monkeypatch, "wait", "backend", "-n", "prod", "--output", "json")
    found = json.loads(next(line for line in shown.splitlines() if line.startswith("{")))
    assert (code, found) == (
        0,
        {
            "canary": "prod/backend",
            "outcome": "promoted",
            "revision": cluster.state.revision,
            "images": {"backend": "podinfo:1"},
            "digests": {"backend": "podinfo@sha256:12"},
            "reason": "Promoted",
            "message": "",
            "checks": [],
            "receipt": receipt,
            "finishedAt": "2026-11-30T10:00:00Z",
        },
    )


def test_wait_for_a_canary_without_a_target_fails(monkeypatch):
    code, shown = run(FakeKube(canary()), monkeypatch, "wait", "backend", "-n", "prod")
    assert (code, shown) == (End.UNKNOWN, "canary wait: Deployment prod/backend does not exist\n")


GATE = {"name": "go", "type": "confirm-promotion"}


@pytest.mark.parametrize(
    ("spec", "seconds"),
    [
        ({"analysis": WEIGHTED, "progressDeadlineSeconds": 60}, 5 * 10 + 3 * 60),
        ({"analysis": WEIGHTED, "skipAnalysis": True}, 3 * 600),
        ({"analysis": {**WEIGHTED, "webhooks": [GATE]}}, 3600),
        ({"analysis": {**WEIGHTED, "webhooks": [{**GATE, "type": "confirm-rollout"}]}}, 3600),
        (
            {"analysis": {**WEIGHTED, "holdback": {"weight": 10, "duration": "5m"}}, "progressDeadlineSeconds": 60},
            5 * 10 + 300 + 3 * 60,
        ),
    ],
    ids=["weighted", "without analysis", "a gate before the promotion", "a gate before the start", "held back"],
)
def test_how_long_is_waited_by_default(spec, seconds):
    assert longest_seconds(make_canary(**spec)) == seconds


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("backend", "--timeout", "soon"), "canary wait: --timeout: "), (("cart",), "canary wait: no Canary 'cart'")],
    ids=["no duration", "no such Canary"],
)
def test_a_wait_that_fails_is_no_rollback(arguments, said, monkeypatch):
    code, shown = run(FakeKube(canary()), monkeypatch, "wait", *arguments, "-n", "prod")
    assert code == End.UNKNOWN
    assert said in shown


@pytest.mark.parametrize(("away", "end"), [(3, End.PROMOTED), (60, None)])
def test_an_api_server_that_is_away_for_a_while_ends_no_wait(away, end):
    kube, now = FakeKube(canary()), 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    def fail(_line: str) -> None:
        kube.set(canary(phase="Succeeded", lastAppliedSpec=REVISION, lastPromotedSpec=REVISION))
        kube.failures["get"] = [Transient("GET /canaries", 503, "try later") for _ in range(away)]

    waiting = wait.follow(kube, "prod", "backend", REVISION, 10, show=fail, sleep=sleep, clock=lambda: now)
    if end is None:
        with pytest.raises(Transient):
            asyncio.run(waiting)
    else:
        assert asyncio.run(waiting).end == end
