"""Cookies of session affinity: which there are, and what they say."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from controller.api.analysis import SessionAffinity
from controller.core.model import NO_COOKIES, Cookies, Routes, State
from controller.core.objects.affinity import has_cookie, next_cookies, set_cookie
from tests.builders import NOW, WEIGHTED, make_canary

BOTH = {"cookieName": "canary", "primaryCookieName": "stable"}
BEGUN = State(applied="aa", begun_at=NOW, routes=Routes(10))
OWN, TWIN = "canary=c822362df956e63e", "stable=11093fc1d215c9ef"


def cookies(state: State, **affinity: Any) -> Cookies:
    analysis = {**WEIGHTED, "sessionAffinity": affinity} if affinity else WEIGHTED
    return next_cookies(make_canary(analysis=analysis), state)


@pytest.mark.parametrize(
    ("before", "routes", "affinity", "after"),
    [
        pytest.param(NO_COOKIES, Routes(), BOTH, NO_COOKIES, id="none while the canary has no traffic"),
        pytest.param(NO_COOKIES, Routes(mirrored=True), BOTH, NO_COOKIES, id="a copy of the traffic needs none"),
        pytest.param(NO_COOKIES, Routes(10), BOTH, Cookies(OWN, TWIN), id="one for each side"),
        pytest.param(NO_COOKIES, Routes(10), {"cookieName": "canary"}, Cookies(OWN), id="the twin only by a name"),
        pytest.param(NO_COOKIES, Routes(10), {}, NO_COOKIES, id="none without affinity"),
        pytest.param(
            Cookies("canary=LpsIa", "", "canary=old"), Routes(), BOTH, Cookies(previous="canary=LpsIa"), id="over"
        ),
        pytest.param(
            Cookies(previous="canary=old"), Routes(), BOTH, Cookies(previous="canary=old"), id="over for long"
        ),
        pytest.param(
            Cookies("canary=LpsIa"),
            Routes(20),
            {"cookieName": "canary"},
            Cookies("canary=LpsIa"),
            id="Flagger's is kept",
        ),
        pytest.param(
            Cookies("canary=LpsIa", previous="canary=old"),
            Routes(10),
            {"cookieName": "other"},
            Cookies("other=" + OWN.partition("=")[2], previous="canary=old"),
            id="another name, another cookie",
        ),
        pytest.param(Cookies("canary=LpsIa", "p=x", "canary=old"), Routes(10), {}, NO_COOKIES, id="no more affinity"),
    ],
)
def test_which_cookies_there_are(before, routes, affinity, after):
    state = replace(BEGUN, cookies=before, routes=routes)
    assert cookies(state, **affinity) == after
    assert cookies(replace(state, cookies=after), **affinity) == after


@pytest.mark.parametrize(
    ("change", "canary_stays"),
    [
        ({"routes": Routes(30)}, True),
        ({"applied": "bb"}, False),
        ({"begun_at": NOW + timedelta(seconds=20)}, False),
    ],
)
def test_each_rollout_has_a_cookie_of_its_own_and_each_weight_a_twin(change, canary_stays):
    first, second = cookies(BEGUN, **BOTH), cookies(replace(BEGUN, **change), **BOTH)
    assert (first.canary == second.canary) is canary_stays
    assert first.primary != second.primary


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({}, "c=v; Max-Age=60"),
        ({"path": "/shop", "domain": "example.com"}, "c=v; Domain=example.com; Max-Age=60; Path=/shop"),
        (
            {"httpOnly": True, "secure": True, "partitioned": True, "sameSite": "None"},
            "c=v; HttpOnly; Max-Age=60; Partitioned; SameSite=None; Secure",
        ),
        ({"httpOnly": False, "path": ""}, "c=v; Max-Age=60"),
        ({"path": "/a%20b"}, "c=v; Max-Age=60; Path=/a%%20b"),
    ],
)
def test_a_cookie_has_the_attributes_that_are_asked_for(attributes, said):
    affinity = SessionAffinity.model_validate({"cookieName": "c", **attributes})
    assert set_cookie(affinity, "c=v", 60) == {"add": {"Set-Cookie": said}}


@pytest.mark.parametrize(
    ("name", "header", "has_it"),
    [
        ("flagger-cookie", "flagger-cookie=v", True),
        ("flagger-cookie", "a=b; flagger-cookie=v; c=d", True),
        ("flagger-cookie", "flagger-cookie=w", False),
        ("c+.*|", "c+.*|=v", True),
        ("c+.*|", "cc=v", False),
    ],
)
def test_a_request_with_the_cookie_is_told_by_its_header(name, header, has_it):
    regex = has_cookie(f"{name}=v")["headers"]["Cookie"]["regex"]
    assert (re.fullmatch(regex, header) is not None) is has_it


def test_the_header_is_matched_as_flagger_does_it():
    assert has_cookie("flagger-cookie=LpsIa") == {"headers": {"Cookie": {"regex": ".*flagger-cookie.*LpsIa.*"}}}
