"""Who leads, on a virtual clock: whatever happens to the Lease, to the API, and to the process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from controller.api.names import LEASE_NAME
from controller.shell.kubernetes.errors import Conflict, Rejected, StoppedError, Transient
from controller.shell.kubernetes.kinds import LEASE
from controller.shell.leadership import (
    ATTEMPT_SECONDS,
    LEASE_SECONDS,
    LOOK_SECONDS,
    RENEW_SECONDS,
    WRITE_SECONDS,
    Election,
)
from tests.unit.shell.fakes import FakeKube

pytestmark = pytest.mark.looptime

NAMESPACE = "istio-system"
LONG_AGO, SOON = "2001-01-01T00:00:00.000000Z", "2101-01-01T00:00:00.000000Z"
AWAY = Transient("GET", 0, "Cannot connect to host")


def lease(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": LEASE_NAME, "namespace": NAMESPACE},
        "spec": spec,
    }


def held(holder: str = "other", renewed: str = LONG_AGO, seconds: int | None = 12, **spec: Any) -> dict[str, Any]:
    return lease(holderIdentity=holder, leaseDurationSeconds=seconds, renewTime=renewed, leaseTransitions=3, **spec)


def candidate(kube: FakeKube, name: str = "me") -> Election:
    return Election(kube, NAMESPACE, name, asyncio.get_running_loop().time)


def spec_of(kube: FakeKube) -> dict[str, Any]:
    spec: dict[str, Any] = kube.object("Lease", NAMESPACE, LEASE_NAME)["spec"]
    return spec


async def leads_after(election: Election) -> float:
    """The seconds until it leads."""
    started = asyncio.get_running_loop().time()
    await election.acquire()
    return round(asyncio.get_running_loop().time() - started, 3)


def test_a_leader_that_is_killed_is_replaced_within_15_seconds_and_stops_writing_well_before():
    assert LEASE_SECONDS + 2 * LOOK_SECONDS < 15
    assert WRITE_SECONDS <= LEASE_SECONDS - ATTEMPT_SECONDS
    assert WRITE_SECONDS >= RENEW_SECONDS + 2 * ATTEMPT_SECONDS, "two attempts may hang before the Lease is lost"


@pytest.mark.parametrize(
    ("found", "seconds", "transitions"),
    [
        pytest.param(None, 0, 0, id="there is none"),
        pytest.param(lease(), 0, 0, id="it is empty"),
        pytest.param(lease(leaseTransitions=3), 0, 4, id="it was released"),
        pytest.param(held(holder=""), 0, 4, id="it was released by an older client"),
        pytest.param(held(holder="me"), 0, 3, id="it is ours"),
        pytest.param(held(), 12, 4, id="it is held, and was renewed long ago by the clock of its holder"),
        pytest.param(held(renewed=SOON), 12, 4, id="it is held, and was renewed in the future"),
        pytest.param(held(seconds=60), 60, 4, id="it is Flagger's, which asks for a minute"),
        pytest.param(held(seconds=None), 12, 4, id="it does not say for how long"),
    ],
)
async def test_a_lease_is_free_at_once_or_after_it_has_not_changed_for_its_duration(found, seconds, transitions):
    kube = FakeKube(*([found] if found else []))
    election = candidate(kube)
    assert await leads_after(election) == seconds
    assert election.may_write()
    spec = spec_of(kube)
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"], spec.get("leaseTransitions")) == (
        "me",
        LEASE_SECONDS,
        transitions,
    )
    assert ("acquireTime" in spec) == (found is None or found["spec"].get("holderIdentity") != "me")


CHANGES: Mapping[str, tuple[Any, float]] = {
    "renewed at 5 s": (lambda kube: kube.set(held(renewed=SOON)), 5 + 12),
    "taken by a third at 5 s": (lambda kube: kube.set(held(holder="third")), 5 + 12),
    "released at 5 s": (lambda kube: kube.set(lease(leaseTransitions=3)), 5),
    "deleted at 5 s": (lambda kube: kube.remove("Lease", NAMESPACE, LEASE_NAME), 12),
    "touched at 5 s, not renewed": (lambda kube: kube.set(held()), 12),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_one_that_stands_by_waits_for_as_long_as_the_lease_may_be_held(change):
    do, seconds = CHANGES[change]
    kube = FakeKube(held())
    asyncio.get_running_loop().call_later(4.9, do, kube)
    assert await leads_after(candidate(kube)) == seconds


@pytest.mark.parametrize(
    "error",
    [AWAY, Rejected("GET", 403, "forbidden")],
    ids=["the API is away", "it has no right"],
)
async def test_what_keeps_one_from_leading_is_logged_once_and_tried_again(error, caplog):
    kube = FakeKube()
    kube.failures["get"] = [error] * 5
    assert await leads_after(candidate(kube)) == 5 * LOOK_SECONDS
    assert [record.levelname for record in caplog.records].count("WARNING") == 1
    assert f"Lease {LEASE_NAME}.{NAMESPACE} cannot be had: {error}" in caplog.text


async def test_of_two_that_want_it_at_once_one_gets_it():
    kube = FakeKube(lease())
    one, other = candidate(kube, "one"), candidate(kube, "other")
    seen = await kube.get(LEASE, NAMESPACE, LEASE_NAME)
    assert await one.ask()
    other._own = seen  # as if it had read before the first one wrote
    assert not await other.ask()
    assert spec_of(kube)["holderIdentity"] == "one"
    assert not await other.ask()


async def test_a_leader_renews_with_one_request_and_never_stops_writing():
    kube = FakeKube()
    election = candidate(kube)
    await election.acquire()
    kube.requests.clear()
    holding = asyncio.create_task(election.hold())
    for _ in range(60):
        await asyncio.sleep(1)
        assert election.may_write()
    holding.cancel()
    assert kube.requests == [("replace", f"Lease/{LEASE_NAME}")] * 30


class HangingKube(FakeKube):
    """Once it ``hangs`` it answers nothing about a Lease any more."""

    hangs = False

    async def replace(self, manifest, *, dry_run=False):
        await asyncio.sleep(3600 * self.hangs)
        return await super().replace(manifest, dry_run=dry_run)

    async def get(self, kind, namespace, name):
        await asyncio.sleep(3600 * self.hangs)
        return await super().get(kind, namespace, name)


def away(kube: HangingKube) -> None:
    for verb in ("get", "replace"):
        kube.failures[verb] = [AWAY] * 100


def hang(kube: HangingKube) -> None:
    kube.hangs = True


@pytest.mark.parametrize(("breaks", "why"), [(away, "Cannot connect to host"), (hang, "no answer in time")])
async def test_a_leader_without_the_api_stops_writing_long_before_another_leads(breaks, why):
    kube, loop = HangingKube(), asyncio.get_running_loop()
    election = candidate(kube)
    await election.acquire()
    breaks(kube)
    with pytest.raises(StoppedError, match=rf"Lease {LEASE_NAME}.{NAMESPACE} is lost: .*{why}"):
        await election.hold()
    assert loop.time() == pytest.approx(WRITE_SECONDS, abs=0.01)
    assert not election.may_write()
    kube.hangs = False
    kube.failures.clear()
    assert not await election.ask(), "lost is lost"


@pytest.mark.parametrize("failures", [1, 2])
async def test_a_leader_survives_some_attempts_that_fail(failures):
    kube = FakeKube()
    election = candidate(kube)
    await election.acquire()
    kube.failures["replace"] = [AWAY] * failures
    holding = asyncio.create_task(election.hold())
    await asyncio.sleep(60)
    assert election.may_write()
    holding.cancel()


async def test_an_edit_of_the_lease_by_somebody_else_does_not_end_a_leader():
    kube = FakeKube()
    election = candidate(kube)
    await election.acquire()
    edited = kube.object("Lease", NAMESPACE, LEASE_NAME)
    kube.set({**edited, "metadata": {**edited["metadata"], "annotations": {"seen": "yes"}}})
    holding = asyncio.create_task(election.hold())
    await asyncio.sleep(30)
    assert election.may_write()
    holding.cancel()


async def test_a_leader_that_finds_another_name_in_the_lease_has_lost_it():
    kube, loop = FakeKube(), asyncio.get_running_loop()
    election = candidate(kube)
    await election.acquire()
    kube.set(held())
    with pytest.raises(StoppedError, match="is held by other"):
        await election.hold()
    assert loop.time() <= 2 * RENEW_SECONDS
    assert spec_of(kube)["holderIdentity"] == "other"


class Clock:
    """Goes with the loop, and ahead of it where the process was stopped."""

    def __init__(self) -> None:
        self.stopped = 0.0

    def __call__(self) -> float:
        return asyncio.get_running_loop().time() + self.stopped


@pytest.mark.parametrize("taken", [True, False])
async def test_a_leader_that_was_stopped_past_its_lease_writes_nothing_about_it_either(taken):
    kube, clock = FakeKube(), Clock()
    election = Election(kube, NAMESPACE, "me", clock)
    await election.acquire()
    holding = asyncio.create_task(election.hold())
    await asyncio.sleep(1)
    clock.stopped = WRITE_SECONDS
    if taken:
        kube.set(held())
    assert not election.may_write(), "before anything else of it has run"
    kube.requests.clear()
    with pytest.raises(StoppedError, match="not renewed for 8s"):
        await holding
    assert kube.requests == []


async def test_a_renewal_that_is_answered_too_late_does_not_bring_the_lease_back():
    kube, clock = FakeKube(), Clock()
    election = Election(kube, NAMESPACE, "me", clock)
    await election.acquire()
    replace = kube.replace

    async def late(manifest, *, dry_run=False):
        clock.stopped = WRITE_SECONDS
        return await replace(manifest, dry_run=dry_run)

    kube.replace = late  # type: ignore[method-assign]
    assert not await election.ask()
    assert not election.may_write()


async def test_a_released_lease_is_taken_at_once_by_one_that_stands_by():
    kube, loop = FakeKube(), asyncio.get_running_loop()
    leader, other = candidate(kube, "leader"), candidate(kube, "other")
    await leader.acquire()
    holding, standing_by = asyncio.create_task(leader.hold()), asyncio.create_task(other.acquire())
    await asyncio.sleep(30.5)
    holding.cancel()
    released_at = loop.time()
    await leader.release()
    assert not leader.may_write()
    await standing_by
    assert loop.time() - released_at <= LOOK_SECONDS
    assert other.may_write()


@pytest.mark.parametrize("failure", [AWAY, Conflict("PUT", 409, "the object has been modified")])
async def test_a_release_that_fails_ends_the_writing_all_the_same(failure, caplog):
    kube = FakeKube()
    election = candidate(kube)
    await election.acquire()
    kube.failures["replace"] = [failure]
    await election.release()
    assert not election.may_write()
    assert "is not released, it runs out" in caplog.text


@pytest.mark.parametrize("found", [None, held()], ids=["there is none", "it is another's"])
async def test_one_that_stands_by_releases_nothing(found):
    kube = FakeKube(*([found] if found else []))
    await candidate(kube).release()
    assert kube.writes() == []
