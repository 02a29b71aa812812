"""Session affinity in whole rollouts: who goes where with which cookie."""

from __future__ import annotations

from typing import Any

from controller.api.status import Phase
from controller.core.model import Cookies
from controller.core.probes import Value
from tests.builders import ERROR_RATE, WEIGHTED, canary_manifest
from tests.unit.core.cluster import Cluster, by_weight, initialized, progressing, rolled_out

AFFINITY = {"cookieName": "canary", "primaryCookieName": "stable", "maxAge": 3600, "path": "/"}
STICKY = {**WEIGHTED, "threshold": 1, "metrics": [ERROR_RATE], "sessionAffinity": AFFINITY}


def routes(cluster: Cluster) -> list[dict[str, Any]]:
    return list(cluster.objects["VirtualService", "backend"]["spec"]["http"])


def led(cluster: Cluster) -> dict[str, tuple[int, int]]:
    """Weights of primary and canary for the requests with each cookie that the routes know."""
    return {
        route["match"][0]["headers"]["Cookie"]["regex"]: tuple(each["weight"] for each in route["route"])
        for route in routes(cluster)
        if "match" in route
    }


def regex(cookie: str) -> str:
    return f".*{cookie.replace('=', '.*')}.*"


def test_a_rollout_keeps_its_users_until_it_is_over():
    cluster = progressing(20, canary_manifest(analysis=STICKY))
    first = cluster.state.cookies
    assert led(cluster) == {regex(first.canary): (0, 100), regex(first.primary): (100, 0)}
    shares = by_weight(cluster.objects["VirtualService", "backend"])["route"]
    assert [share["headers"]["response"]["add"]["Set-Cookie"] for share in shares] == [
        f"{first.primary}; Max-Age=10; Path=/",
        f"{first.canary}; Max-Age=3600; Path=/",
    ]
    cluster.tick(10)
    second = cluster.state.cookies
    assert second.canary == first.canary
    assert led(cluster) == {regex(first.canary): (0, 100), regex(second.primary): (100, 0)}
    assert second.primary != first.primary
    assert rolled_out(cluster)[-1] == (Phase.SUCCEEDED, 0)
    assert cluster.state.cookies == Cookies(previous=first.canary)
    dropped, plain = routes(cluster)
    assert dropped["headers"] == {"response": {"add": {"Set-Cookie": f"{first.canary}; Max-Age=-1; Path=/"}}}
    assert (dropped["name"], dropped["route"]) == ("sticky-route", plain["route"])
    assert led(cluster) == {regex(first.canary): (100, 0)}


def test_a_cookie_of_a_revision_that_was_rolled_back_leads_to_no_canary_again():
    cluster = progressing(20, canary_manifest(analysis=STICKY))
    bad = cluster.state.cookies.canary
    cluster.answers["metric/error-rate"] = Value(100.0)
    cluster.tick(10)
    assert (cluster.phase, led(cluster)) == (Phase.FAILED, {regex(bad): (100, 0)})
    cluster.answers = {}
    for image in ("podinfo:1", "podinfo:2"):
        cluster.set_image(image)
        cluster.tick(20)
    cluster.tick(10)
    assert (cluster.phase, cluster.weights()) == (Phase.PROGRESSING, (80, 20))
    assert regex(bad) not in led(cluster)


def test_a_newer_revision_does_not_inherit_the_users_of_the_one_it_replaces():
    cluster = progressing(20, canary_manifest(analysis=STICKY))
    old = cluster.state.cookies.canary
    cluster.set_image("podinfo:3")
    cluster.tick(1)
    assert led(cluster) == {regex(old): (100, 0)}
    cluster.tick(10)
    assert cluster.weights() == (80, 20)
    assert regex(old) not in led(cluster)


def test_a_cookie_that_flagger_gave_away_stays_valid():
    cluster = progressing(20, canary_manifest(analysis=STICKY))
    cluster.canary["status"] = {
        **cluster.canary["status"],
        "lastAppliedSpec": "7554554c66",
        "lastPromotedSpec": "9dccb99c5",
        "sessionAffinityCookie": "canary=LpsIaLdoNZ",
    }
    cluster.tick(1)
    assert led(cluster)[regex("canary=LpsIaLdoNZ")] == (0, 100)
    assert cluster.canary["status"]["sessionAffinityCookie"] == "canary=LpsIaLdoNZ"


def test_without_affinity_no_route_knows_a_cookie():
    cluster = initialized(canary_manifest(analysis=STICKY))
    assert led(cluster) == {}
    cluster = progressing(20, canary_manifest(analysis=STICKY))
    cluster.edit_analysis(sessionAffinity=None)
    cluster.tick(1)
    assert (led(cluster), cluster.state.cookies) == ({}, Cookies())
