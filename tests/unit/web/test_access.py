"""Who may change something from the page: nobody without a token that the cluster accepts and allows."""

from __future__ import annotations

import pytest

from controller.api.names import ACTION_ANNOTATION
from controller.web.guard import is_own_name
from tests.builders import canary_manifest
from tests.unit.cli.rollouts import rolling_out
from tests.unit.web.scene import MAY, MAY_NOT, open_scene
from tests.unit.web.test_page import manifests

PAUSE = {"action": "pause"}


def bearer(token: str) -> str:
    return f"Bearer {token}"


async def test_an_action_is_the_annotation_that_the_command_line_writes_in_the_name_of_the_person():
    cluster = rolling_out()
    async with open_scene(*manifests(cluster)) as scene:
        status, answer = await scene.act(PAUSE, Authorization=bearer(MAY), Origin=scene.address)
        written = scene.kube.object("Canary", "prod", "backend")["metadata"]["annotations"][ACTION_ANNOTATION]
        reviews = scene.kube.reviews
    assert status == 200, answer
    words = written.split()
    assert (words[0], words[1], words[3]) == ("pause", f"revision={cluster.canary['status']['revision']}", "by=ann")
    assert reviews == [
        {"token": MAY},
        {
            "user": "ann",
            "uid": "uid-ann",
            "groups": ["dev"],
            "resourceAttributes": {
                "group": "flagger.app",
                "resource": "canaries",
                "verb": "update",
                "namespace": "prod",
                "name": "backend",
            },
        },
    ]


@pytest.mark.parametrize(
    ("headers", "status", "said"),
    [
        ({}, 401, "needs a Kubernetes token"),
        ({"Authorization": "Basic YW5uOmFubg=="}, 401, "needs a Kubernetes token"),
        ({"Authorization": bearer("wrong")}, 401, "does not accept this token"),
        ({"Authorization": bearer(MAY_NOT)}, 403, "bob may not update this Canary"),
        ({"Authorization": bearer(MAY), "Origin": "http://evil.test"}, 403, "Only the page itself"),
        ({"Authorization": bearer(MAY), "Origin": "null"}, 403, "Only the page itself"),
        ({"Authorization": bearer(MAY), "Sec_Fetch_Site": "cross-site"}, 403, "Only the page itself"),
        ({"Authorization": bearer(MAY), "Sec_Fetch_Site": "same-site"}, 403, "Only the page itself"),
        ({"Authorization": bearer(MAY), "Content_Type": "text/plain"}, 415, "An action is JSON"),
    ],
)
async def test_nothing_is_written_for(headers, status, said):
    async with open_scene(*manifests(rolling_out())) as scene:
        answered, text = await scene.act(PAUSE, **headers)
        writes = scene.kube.writes()
    assert (answered, said in text, writes) == (status, True, [])


@pytest.mark.parametrize("body", ["", "[]", "{", '{"action": "destroy"}', '{"action": 1}', "[" * 3000, "x" * 5000])
async def test_what_is_not_an_action_is_refused(body):
    async with open_scene(*manifests(rolling_out())) as scene:
        status, _ = await scene.act(body, Authorization=bearer(MAY))
        assert (status in (400, 413), scene.kube.writes()) == (True, [])


@pytest.mark.parametrize(
    ("action", "why"),
    [
        ("retry", "not possible in phase Progressing, only in Failed"),
        ("resume", "it is not paused"),
        ("approve", "no gate without a URL is waited for"),
        ("weight", "not an action of the page"),
    ],
)
async def test_what_is_not_possible_is_not_written(action, why):
    async with open_scene(*manifests(rolling_out())) as scene:
        status, text = await scene.act({"action": action}, Authorization=bearer(MAY))
        assert (status, text, scene.kube.writes()) == (409, f"Not possible: {why}", [])


async def test_somebody_who_may_in_one_namespace_may_not_in_another():
    canary = canary_manifest()
    canary["metadata"]["namespace"] = "other"
    async with open_scene(canary) as scene:
        status, _ = await scene.act(PAUSE, "/canaries/other/backend", Authorization=bearer(MAY))
        assert (status, scene.kube.writes()) == (403, [])


async def test_tokens_are_not_shown_to_the_cluster_without_end():
    async with open_scene(*manifests(rolling_out())) as scene:
        answers = [(await scene.act(PAUSE, Authorization=bearer("wrong")))[0] for _ in range(40)]
        assert set(answers) == {401, 429}
        assert len(scene.kube.reviews) < 30


@pytest.mark.parametrize(
    ("host", "served"),
    [
        ("127.0.0.1:8081", True),
        ("[::1]:8081", True),
        ("localhost", True),
        ("canary-controller:8081", True),
        ("canary-controller.istio-system.svc", True),
        ("canary-controller.istio-system.svc.cluster.local:8081", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("x.svc.evil.example:8081", False),
        ("[::1", False),
        ("", False),
    ],
)
async def test_the_page_is_not_read_under_a_name_that_somebody_else_may_own(host, served):
    assert is_own_name(host) is served
    async with open_scene() as scene:
        if host and host != "[::1":
            async with scene.session.get(scene.address, headers={"Host": host}) as response:
                assert response.status == (200 if served else 421)


@pytest.mark.parametrize(
    ("host", "served"),
    [
        ("rollouts.example.com", True),
        ("ROLLOUTS.example.com:443", True),
        ("localhost", True),
        ("evil.example", False),
        ("rollouts.example.com.evil.example", False),
    ],
)
def test_the_page_has_the_name_under_which_people_open_it(host, served):
    assert is_own_name(host, "https://rollouts.example.com/") is served
