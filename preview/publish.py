"""Keeps one comment in a pull request on GitHub, found again by its first line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from controller.api.errors import CanaryError
from preview.comment import MARKER

GITHUB = "https://api.github.com"
_PAGE = 100
_SECONDS = 30


class PublishError(CanaryError):
    """GitHub did not take the comment. The message says what it answered."""


@dataclass(frozen=True, slots=True)
class PullRequest:
    """One pull request, and who may write to it.

    Attributes:
        repository: as in ``owner/name``.
        token: of somebody who may write to pull requests.
        server: GitHub's API, as ``GITHUB_API_URL`` has it.
    """

    repository: str
    number: int
    token: str
    server: str = GITHUB


async def publish(pull_request: PullRequest, comment: str) -> None:
    """Replace the comment, or write it where there is none. Raises PublishError."""
    issues = f"{pull_request.server}/repos/{pull_request.repository}/issues"
    headers = {"Authorization": f"Bearer {pull_request.token}", "Accept": "application/vnd.github+json"}
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=_SECONDS)) as session:
        known = await _find(session, f"{issues}/{pull_request.number}/comments")
        if known is None:
            await _call(session, "POST", f"{issues}/{pull_request.number}/comments", json={"body": comment})
        else:
            await _call(session, "PATCH", f"{issues}/comments/{known}", json={"body": comment})


async def _find(session: aiohttp.ClientSession, comments: str) -> int | None:
    """The number of the comment; the first, should there be several."""
    page = 1
    while True:
        found = await _call(session, "GET", comments, params={"per_page": str(_PAGE), "page": str(page)})
        for each in found:
            if str(each["body"]).startswith(MARKER):
                return int(each["id"])
        if len(found) < _PAGE:
            return None
        page += 1


async def _call(session: aiohttp.ClientSession, method: str, url: str, **options: Mapping[str, str]) -> Any:
    try:
        async with session.request(method, url, **options) as response:  # type: ignore[arg-type]  # params or json
            if not response.ok:
                raise PublishError(f"GitHub, {method} {url}: {response.status} {(await response.text())[:500]}")
            return await response.json()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise PublishError(f"GitHub, {method} {url}: {error or f'no answer in {_SECONDS} s'}") from error
