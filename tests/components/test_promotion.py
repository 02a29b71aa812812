"""What the program asks of stacks before it touches an app, and how it refuses."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pulumi
import pytest
from pulumi.runtime.mocks import MockResourceArgs

from components.promotion import full_name
from controller.api import CanaryError
from tests.components.recording import PROJECT, Recording, run, run_program

PODINFO = "ghcr.io/stefanprodan/podinfo"
STAGING, HERE = f"organization/{PROJECT}/staging", f"organization/{PROJECT}/test"
FROZEN = {"from": "2026-01-01T00:00:00Z", "to": "2999-01-01T00:00:00Z", "reason": "sale"}
FROM = {"from": "staging", "soak": "1h"}


def promoted(name: str, tag: str = "6.1.0", at: str = "2026-01-01T00:00:00Z", **more: Any) -> dict[str, Any]:
    images = {name: f"{PODINFO}:{tag}"}
    receipt = {"revision": "0" * 16, "images": images, "promotedAt": at, **more}
    return {"outcome": "promoted", "images": images, "receipt": receipt}


def stacks(there: dict[str, Any], here: dict[str, Any] | None = None) -> dict[str, Any]:
    return {STAGING: {"rollouts": there}, HERE: {"versions": here or {}}}


BOTH = {name: promoted(name) for name in ("frontend", "backend")}


def refusal(promotion: dict[str, Any], known: dict[str, Any], *, preview: bool = False) -> list[str]:
    with pytest.raises(pulumi.RunError) as caught:
        run_program({"promotion": promotion}, stacks=known, preview=preview)
    return [line.strip() for line in str(caught.value).splitlines()]


def versions(program: Recording) -> Any:
    return program.outputs["versions"]


@pytest.mark.parametrize("preview", [True, False], ids=["preview", "up"])
def test_apps_without_proof_are_refused_all_in_one_error(preview: bool) -> None:
    lately = (datetime.now(UTC) - timedelta(minutes=20, seconds=5)).isoformat()
    known = stacks({"frontend": promoted("frontend", "6.0.0"), "backend": promoted("backend", at=lately)})
    assert refusal(FROM, known, preview=preview) == [
        "2 apps may not have the version of this stack (docs/environments.md):",
        "frontend: 6.1.0 has no receipt in staging, which runs 6.0.0",
        "backend: 6.1.0 has run in staging for 20m of 1h",
    ]


def test_what_is_refused_is_asked_of_the_other_cluster_if_its_context_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    began = (datetime.now(UTC) - timedelta(minutes=12, seconds=5)).isoformat()
    status = {"phase": "Progressing", "canaryWeight": 40, "startedAt": began}
    asked: list[tuple[list[str], str]] = []

    async def ask(names: list[str], context: str, _kubeconfig: str) -> dict[str, Any]:
        asked.append((names, context))
        if context == "gone":
            raise CanaryError("no context gone")
        return {"qa/backend": {"status": status, "images": {"backend": f"{PODINFO}:6.1.0"}}}

    monkeypatch.setattr("components.promotion.ask_rollouts", ask)
    before = promoted("backend", "6.0.0") | {"canary": "qa/backend"}
    known = stacks({"frontend": promoted("frontend"), "backend": before})
    assert refusal({**FROM, "context": "staging"}, known)[1:] == [
        "backend: 6.1.0 is at 40% in staging, since 12m (Progressing)"
    ]
    assert refusal({**FROM, "context": "gone"}, known)[1:] == [
        "backend: 6.1.0 has no receipt in staging, which runs 6.0.0"
    ]
    assert asked == [(["qa/backend"], "staging"), (["qa/backend"], "gone")]
    run_program({"promotion": {**FROM, "context": "staging"}}, stacks=stacks(BOTH))
    assert len(asked) == 2, "what is proven is not asked for"


def test_nothing_of_any_app_is_touched_where_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    note = Recording.new_resource

    def noting(self: Recording, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        made.append(f"{args.typ} {args.name}")
        return note(self, args)

    monkeypatch.setattr(Recording, "new_resource", noting)
    refusal(FROM, stacks({"backend": BOTH["backend"]}))
    assert not [each for each in made if "Canary" in each.split()[0] or each.split()[1] in {"frontend", "backend"}]


def test_apps_with_proof_are_made_and_remembered_with_those_before() -> None:
    former = [{"backend": f"{PODINFO}:6.0.0"}]
    program = run_program({"promotion": FROM}, stacks=stacks(BOTH, {"backend": former}))
    assert {canary.name for canary in program.of_kind("Canary")} >= {"frontend", "backend"}
    assert versions(program) == {
        "frontend": [{"frontend": f"{PODINFO}:6.1.0"}],
        "backend": [{"backend": f"{PODINFO}:6.1.0"}, *former],
    }


def test_what_the_stack_had_needs_no_proof() -> None:
    here = {name: [{name: f"{PODINFO}:6.2.0"}, {name: f"{PODINFO}:6.1.0"}] for name in BOTH}
    assert versions(run_program({"promotion": FROM}, stacks=stacks({}, here)))["backend"][0] == {
        "backend": f"{PODINFO}:6.1.0"
    }


def test_a_stack_that_asks_for_no_proof_reads_no_stack_and_says_what_it_has() -> None:
    assert versions(run_program()) == {name: [{name: f"{PODINFO}:6.1.0"}] for name in BOTH}


def test_an_override_is_on_the_canary_for_the_receipt() -> None:
    override = {"backend": {"version": "6.1.0", "by": "alice", "why": "outage"}}
    program = run_program({"promotion": {**FROM, "override": override}}, stacks=stacks({"frontend": BOTH["frontend"]}))
    annotations = {
        each.name: each.inputs["metadata"].get("annotations") for each in program.of_kind("Canary") if each.inputs
    }
    text = annotations["backend"]["flagger.app/promotion-override"]
    assert json.loads(text) == {"what": "promotion", "by": "alice", "why": "outage"}
    assert annotations["frontend"] is None


def test_a_freeze_refuses_up_and_lets_preview_warn() -> None:
    said = "backend: 6.1.0 is another version, and none may change before 2999-01-01 00:00 UTC: sale"
    here = {"frontend": [{"frontend": f"{PODINFO}:6.1.0"}]}
    assert refusal({"freeze": [FROZEN]}, stacks({}, here))[1:] == [said]
    assert run_program({"promotion": {"freeze": [FROZEN]}}, stacks=stacks({}, here), preview=True).of_kind("Canary")


@pytest.mark.parametrize(
    ("stack", "name"),
    [("staging", STAGING), ("shop/staging", "organization/shop/staging"), ("acme/shop/staging", "acme/shop/staging")],
)
def test_what_a_stack_does_not_name_is_as_it_is_here(stack: str, name: str) -> None:
    found: list[str] = []
    run(lambda: found.append(full_name(stack)))
    assert found == [name]
