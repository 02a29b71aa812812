"""Which versions an app may have, from what another stack has made of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stack.promotion import Past, PromotionConfig, find_barred, find_frozen, find_unproven, remember, version_of

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
DIGEST, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
APP = {"backend": "podinfo:6.1.2"}
MIRRORED = {"backend": "mirror/podinfo:6.1.2"}
BEFORE = {"backend": "podinfo:6.1.1"}
CONFIG = PromotionConfig.model_validate({"from": "staging", "soak": "1h"})


def receipt(minutes: float = 90, images: Mapping[str, str] = APP, **more: Any) -> dict[str, Any]:
    promoted = NOW - timedelta(minutes=minutes)
    return {"revision": "0" * 16, "images": images, "promotedAt": promoted.isoformat(), **more}


def rollout(outcome: str = "promoted", images: Mapping[str, str] = APP, **more: Any) -> dict[str, Any]:
    return {"outcome": outcome, "images": images, "receipt": None, "message": "", "reason": "", **more}


UNPROVEN: Mapping[str, tuple[Mapping[str, Any] | None, str]] = {
    # what is known of the other stack: (its output, what is said of the version)
    "promoted and soaked": ({"backend": rollout(receipt=receipt())}, ""),
    "soaked to the second": ({"backend": rollout(receipt=receipt(60))}, ""),
    "promoted lately": ({"backend": rollout(receipt=receipt(20))}, "6.1.2 has run in staging for 20m of 1h"),
    "without analysis": (
        {"backend": rollout(receipt=receipt(skipped="promote-fully by alice"))},
        "6.1.2 was promoted in staging without analysis (promote-fully by alice)",
    ),
    "another version": (
        {"backend": rollout(images=BEFORE, receipt=receipt(images=BEFORE))},
        "6.1.2 has no receipt in staging, which runs 6.1.1",
    ),
    "the first version": (
        {"backend": rollout()},
        "6.1.2 has no receipt in staging: no rollout has promoted it there",
    ),
    "rolled back, the one before is proven": (
        {"backend": rollout("rolled back", message="Rolling back: errors 9 > 1", receipt=receipt(images=BEFORE))},
        "6.1.2 is not promoted in staging: rolled back, Rolling back: errors 9 > 1",
    ),
    "another registry": (
        {"backend": rollout(images=MIRRORED, receipt=receipt(images=MIRRORED))},
        "podinfo:6.1.2 has no receipt in staging, which runs mirror/podinfo:6.1.2",
    ),
    "no such app": ({}, "6.1.2 was never in staging, which follows no rollout of backend"),
    "no output at all": (
        None,
        "6.1.2 has no proof: stack staging has no output `rollouts`; it needs rollouts.follow, and an `up`",
    ),
    "an output that is damaged": (
        {"backend": rollout(receipt={"revision": 7})},
        "6.1.2 has no receipt in staging: no rollout has promoted it there",
    ),
}


@pytest.mark.parametrize("case", UNPROVEN)
def test_a_version_needs_a_receipt_that_is_whole_and_old_enough(case):
    there, said = UNPROVEN[case]
    assert [*find_unproven(CONFIG, {"backend": APP}, Past({}, there), NOW)] == ([f"backend: {said}"] if said else [])


def live(phase: str = "Progressing", images: Mapping[str, str] = APP, **status: Any) -> dict[str, Any]:
    """What the cluster of the other stack has, 12 minutes after the rollout began."""
    began = (NOW - timedelta(minutes=12)).isoformat()
    return {"images": images, "status": {"phase": phase, "canaryWeight": 40, "startedAt": began, **status}}


UNDER_WAY: Mapping[str, tuple[Mapping[str, Any], str]] = {
    # what is there now -> what is said of the version
    "on its way": (live(), "6.1.2 is at 40% in staging, since 12m (Progressing)"),
    "before a gate": (live("WaitingPromotion"), "6.1.2 is at 40% in staging, since 12m (WaitingPromotion)"),
    "not begun": (live("Waiting"), "6.1.2 waits for its start in staging, since 12m (Waiting)"),
    "another version is": (live(images=BEFORE), "6.1.2 has no receipt in staging, which runs 6.1.1"),
    "at rest": (live("Failed"), "6.1.2 has no receipt in staging, which runs 6.1.1"),
    "a status of another controller": (live(startedAt=None), "6.1.2 has no receipt in staging, which runs 6.1.1"),
    "a status that is damaged": (live("Sleeping"), "6.1.2 has no receipt in staging, which runs 6.1.1"),
}


@pytest.mark.parametrize("case", UNDER_WAY)
def test_a_version_without_proof_is_said_to_be_as_far_as_the_other_cluster_has_it_now(case):
    found, said = UNDER_WAY[case]
    there = {"backend": rollout(images=BEFORE, receipt=receipt(images=BEFORE), canary="qa/backend")}
    past = Past({}, there, {"qa/backend": found})
    assert [*find_unproven(CONFIG, {"backend": APP}, past, NOW)] == [f"backend: {said}"]


PROVEN: Mapping[str, tuple[Mapping[str, str], Mapping[str, Any], bool]] = {
    # whatever names the image: (the images here, the receipt, whether it proves them)
    "the same reference": ({"app": "a:1"}, {"images": {"app": "a:1"}}, True),
    "another reference": ({"app": "a:1"}, {"images": {"app": "a:2"}}, False),
    "the digest that the pods ran": (
        {"app": f"mirror/a@{DIGEST}"},
        {"images": {"app": "a:1"}, "imageIds": {"app": f"docker.io/library/a@{DIGEST}"}},
        True,
    ),
    "the digest that the template named": ({"app": f"a@{DIGEST}"}, {"images": {"app": f"b@{DIGEST}"}}, True),
    "another digest under the same tag": (
        {"app": f"a:1@{OTHER}"},
        {"images": {"app": "a:1"}, "imageIds": {"app": f"a@{DIGEST}"}},
        False,
    ),
    "a digest where none is known": ({"app": f"a@{DIGEST}"}, {"images": {"app": "a:1"}}, False),
    "one of two containers": ({"app": "a:1", "proxy": "p:1"}, {"images": {"app": "a:1"}}, False),
    "both of two": ({"app": "a:1", "proxy": "p:1"}, {"images": {"proxy": "p:1", "app": "a:1"}}, True),
}


@pytest.mark.parametrize("case", PROVEN)
def test_an_image_is_known_by_its_digest_or_else_by_its_reference(case):
    images, found, proves = PROVEN[case]
    there = {"cart": rollout(images=images, receipt={**receipt(), **found})}
    assert (not [*find_unproven(CONFIG, {"cart": images}, Past({}, there), NOW)]) == proves


def test_all_apps_are_looked_at_but_for_those_without_need():
    """What this stack had needs no proof, also when it goes back to it; an override is a person's word."""
    override = {"cart": {"version": "1", "by": "alice", "why": "hotfix"}}
    config = PromotionConfig.model_validate({"from": "staging", "override": override})
    images = {"backend": APP, "frontend": BEFORE, "cart": {"cart": "cart:1"}, "search": {"search": "search:1"}}
    past = Past({"frontend": [APP, BEFORE]}, {})
    assert [each.partition(":")[0] for each in find_unproven(config, images, past, NOW)] == ["backend", "search"]
    assert not [*find_unproven(PromotionConfig(), images, past, NOW)]


SALE = {"from": "2026-11-30T12:00:00+00:00", "to": "2026-12-01T09:00:00+01:00", "reason": "sale"}


@pytest.mark.parametrize(
    ("minutes", "here", "frozen"),
    [
        (-1, [BEFORE], False),
        (0, [BEFORE], True),
        (0, [APP], False),
        (0, [BEFORE, APP], True),
        (0, [], True),
        (20 * 60 - 1, [BEFORE], True),
        (20 * 60, [BEFORE], False),
    ],
)
def test_in_a_freeze_no_version_changes(minutes, here, frozen):
    config = PromotionConfig.model_validate({"freeze": [SALE]})
    found = [*find_frozen(config, {"backend": APP}, Past({"backend": here}, None), NOW + timedelta(minutes=minutes))]
    said = "backend: 6.1.2 is another version, and none may change before 2026-12-01 09:00 +01:00: sale"
    assert found == ([said] if frozen else [])


def test_an_override_is_not_frozen_out():
    config = PromotionConfig.model_validate(
        {"freeze": [SALE], "override": {"backend": {"version": "6.1.2", "by": "alice", "why": "hotfix"}}}
    )
    assert not [*find_frozen(config, {"backend": APP}, Past({}, None), NOW)]


def test_what_is_blocked_or_overridden_for_another_version_is_refused_at_once():
    override = {name: {"version": "6.1.1", "by": "alice", "why": "hotfix"} for name in ("backend", "cart")}
    blocked = {"backend": {"6.1.2": "leaks memory"}, "gone": {"1": "old"}}
    config = PromotionConfig.model_validate({"override": override})
    assert [str(problem) for problem in find_barred(config, blocked, {"backend": APP})] == [
        'promotion.override.backend.version: Invalid value: "6.1.1": backend has 6.1.2; set that, or remove it',
        "promotion.override.cart: Not found: the stack has no app cart; remove it",
        "blocked.backend: Forbidden: the stack has 6.1.2: leaks memory",
    ]


@pytest.mark.parametrize(
    ("images", "version"),
    [
        ({"a": "registry:5000/a"}, "latest"),
        ({"a": "registry:5000/a:1"}, "1"),
        ({"a": f"a:1@{DIGEST}"}, DIGEST),
        ({"a": "a:1", "b": "b:2"}, "1, 2"),
    ],
)
def test_a_version_is_what_a_person_changes(images, version):
    assert version_of(images) == version


def test_the_last_versions_are_remembered_once_each():
    former = [{"a": f"a:{number}"} for number in (4, 3, 2, 1, 0)]
    assert remember("a", {"a": "a:5"}, Past({"a": former}, None)) == [{"a": "a:5"}, *former[:4]]
    assert remember("a", {"a": "a:3"}, Past({"a": former}, None)) == [
        {"a": "a:3"},
        *(each for each in former if each != {"a": "a:3"}),
    ]
    assert remember("a", APP, Past({}, None)) == [APP]


def test_a_freeze_ends_after_it_begins():
    with pytest.raises(ValueError, match="must be before to"):
        PromotionConfig.model_validate({"freeze": [{**SALE, "to": SALE["from"]}]})
