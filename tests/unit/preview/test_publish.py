"""The one comment on GitHub, against a server that keeps comments as GitHub does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from preview.comment import MARKER
from preview.publish import PublishError, PullRequest, publish
from tests.unit.shell.fakes import serving

FOREIGN = [{"id": number, "body": f"about {MARKER}"} for number in range(1, 131)]


@dataclass
class GitHub:
    """Pull request 7 of shop/store.

    Attributes:
        comments: the oldest first.
        refuses: the status of every answer, if set.
    """

    comments: list[dict[str, Any]] = field(default_factory=list)
    refuses: int = 0
    said: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.said.append(f"{request.method} {request.path}")
        if self.refuses:
            return web.json_response({"message": "Resource not accessible by integration"}, status=self.refuses)
        assert request.headers["Authorization"] == "Bearer secret"
        if request.method == "GET":
            size, page = int(request.query["per_page"]), int(request.query["page"])
            return web.json_response(self.comments[(page - 1) * size : page * size])
        body = (await request.json())["body"]
        if request.method == "POST":
            self.comments.append({"id": 1000, "body": body})
            return web.json_response(self.comments[-1], status=201)
        (known,) = (each for each in self.comments if each["id"] == int(request.path.rpartition("/")[2]))
        known["body"] = body
        return web.json_response(known)


@pytest.mark.parametrize(
    ("there", "written"),
    [
        pytest.param([], "POST /repos/shop/store/issues/7/comments", id="the first is written"),
        pytest.param(FOREIGN, "POST /repos/shop/store/issues/7/comments", id="other comments are left alone"),
        pytest.param(
            [*FOREIGN, {"id": 200, "body": f"{MARKER}\nbefore"}],
            "PATCH /repos/shop/store/issues/comments/200",
            id="the former one is replaced, on whichever page it is",
        ),
    ],
)
async def test_there_is_one_comment(there, written):
    github = GitHub([dict(each) for each in there])
    async with serving(github.answer) as address:
        await publish(PullRequest("shop/store", 7, "secret", address), f"{MARKER}\nnow")
    assert github.said[-1] == written
    assert [each["body"] for each in github.comments if each not in FOREIGN] == [f"{MARKER}\nnow"]


async def test_what_github_answers_is_told():
    github = GitHub(refuses=403)
    async with serving(github.answer) as address:
        with pytest.raises(PublishError, match=r"403 .*Resource not accessible by integration"):
            await publish(PullRequest("shop/store", 7, "secret", address), "now")


async def test_a_server_that_is_away_is_told():
    with pytest.raises(PublishError, match=r"GitHub, GET http://127.0.0.1:1/repos"):
        await publish(PullRequest("shop/store", 7, "secret", "http://127.0.0.1:1"), "now")
