"""The page: what it shows, that nothing in it is taken for HTML, and its news."""

from __future__ import annotations

import asyncio
import re
import time
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest

from controller.views.summary import summarize
from tests.builders import canary_manifest, make_deployment
from tests.unit.cli.rollouts import rolling_out
from tests.unit.core.cluster import Cluster
from tests.unit.web.scene import open_scene

EVIL = """"'><script>alert(1)</script><img src=x onerror=alert(2)>&amp;"""


def manifests(cluster: Cluster) -> list[dict[str, Any]]:
    """Canary, target and primary, as the watches show them."""
    return [cluster.canary, *(cluster.objects["Deployment", name] for name in ("backend", "backend-primary"))]


def at_rest(name: str, **status: Any) -> dict[str, Any]:
    return {**canary_manifest(name=name), "status": {"phase": "Initialized", **status}}


def stuck(name: str) -> dict[str, Any]:
    conditions = [{"type": "Stalled", "status": "True", "reason": "ChecksFailed", "message": "said no"}]
    return at_rest(
        name, phase="Failed", message="Rolling back: errors 30%", reason="ChecksFailed", conditions=conditions
    )


def visible(html: str) -> str:
    """The text of a page, one space between words."""
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


class Outline(HTMLParser):
    """The tags of a page and the attributes that could do something."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.active: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.active += [name for name, _ in attrs if name.startswith("on") or name == "style"]


async def test_what_needs_a_person_comes_first_then_what_is_under_way():
    async with open_scene(at_rest("a-quiet"), stuck("z-failed"), *manifests(rolling_out())) as scene:
        page = await scene.get("/")
    assert re.findall(r'id="card/prod/([^"]*)"', page) == ["z-failed", "backend", "a-quiet"]
    assert "Failed, needs a person" in visible(page)


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", ["z-failed", "backend", "a-quiet"]),
        ("?state=person", ["z-failed"]),
        ("?state=at-rest", ["a-quiet"]),
        ("?name=quiet", ["a-quiet"]),
        ("?namespace=prod&name=e", ["z-failed", "backend", "a-quiet"]),
        ("?namespace=other", []),
    ],
)
async def test_a_filter_leaves_out_the_others(query, shown):
    async with open_scene(at_rest("a-quiet"), stuck("z-failed"), *manifests(rolling_out())) as scene:
        assert re.findall(r'id="card/prod/([^"]*)"', await scene.get(f"/{query}")) == shown


async def test_a_rollout_is_shown_with_its_steps_metrics_sides_and_actions():
    cluster = rolling_out()
    async with open_scene(*manifests(cluster)) as scene:
        page = await scene.get("/canaries/prod/backend")
    text = visible(unescape(page))
    assert summarize(*manifests(cluster)).sentence in text
    assert re.search(r"✓ 10% ✓ 20% ● 30% ○ 40%", text)
    assert "error-rate ✓ passed 0.5" in text
    assert re.search("errors ✓ PASS 2x harmless to 1.25x, harmful from 9x 2,000 errors 2% of 2,000 requests", text)
    assert re.search(r"Primary \S+1 … 0 of 1 70% Canary \S+2 … 0 of 1 30%", text)
    assert "Pause Keeps the canary at 30% of the traffic." in text
    assert "Next step Takes the next step now, if the checks pass: 40% of the traffic." in text
    assert "Retry Not now: not possible in phase Progressing, only in Failed." in text


def stages(bad: int = 20) -> list[dict[str, Any]]:
    """A Canary from look to look, as a watch shows it."""
    return [{**canary_of(looks, bad)} for looks in (0, 1, 2)]


def canary_of(looks: int, bad: int) -> dict[str, Any]:
    return rolling_out(bad=bad, looks=looks).canary


async def test_the_course_of_a_rollout_is_drawn_with_its_harm_zone_and_its_interval():
    async with open_scene(*manifests(rolling_out(looks=0))) as scene:
        scene.put(*stages())
        page = await scene.get("/canaries/prod/backend")
        listed = await scene.get("/")
    assert 'class="zone bad"' in page
    assert 'class="band canary"' in page
    assert "errors: dashed is harm from 9x" in page
    assert 'class="spark"' in listed


async def test_what_happened_lately_is_listed_the_last_first_and_not_without_end():
    async with open_scene(at_rest("one")) as scene:
        for number in range(30):
            scene.put(at_rest("one", reason=f"Reason{number}", message="said so"))
            scene.put(at_rest("one", reason=f"Reason{number}", message="said so"))
        page = await scene.get("/canaries/prod/one")
    assert re.findall(r"<td>(Reason\d+)<div", page) == [f"Reason{number}" for number in range(29, 17, -1)]


async def test_a_rollout_of_the_past_has_a_row_and_a_page():
    failed = rolling_out(bad=300, looks=3)
    async with open_scene(*manifests(rolling_out(looks=1))) as scene:
        scene.put(failed.canary)
        page = await scene.get("/canaries/prod/backend")
        row = re.search(r'<a href="(/canaries/prod/backend/rollouts/1)">1</a>(.*?)</tr>', page)
        assert row is not None
        assert "rolled back (CanaryHarmful)" in visible(row[2])
        past = visible(unescape(await scene.get(row[1])))
        assert "Rollout 1 of prod/backend: rolled back (CanaryHarmful)" in past
        assert "because Rolling back backend.prod errors: errors 30%" in past
        async with scene.session.get(f"{scene.address}/canaries/prod/backend/rollouts/7") as response:
            assert (response.status, "No rollout 7" in await response.text()) == (404, True)


async def test_a_canary_with_an_invalid_spec_says_what_is_wrong():
    broken = canary_manifest()
    broken["spec"]["analysis"]["threshold"] = "many"
    async with open_scene(broken) as scene:
        assert "Invalid: spec.analysis.threshold" in visible(await scene.get("/canaries/prod/backend"))


async def test_a_canary_that_does_not_exist_is_not_found_with_the_headers_of_every_answer():
    async with open_scene() as scene, scene.session.get(f"{scene.address}/canaries/prod/none") as response:
        assert response.status == 404
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
        assert "There is no Canary prod/none" in await response.text()


async def test_no_page_has_anything_inline_that_the_policy_would_have_to_allow():
    async with open_scene(stuck("failed"), *manifests(rolling_out())) as scene:
        for path in ("/", "/canaries/prod/backend", "/canaries/prod/failed"):
            page = await scene.get(path)
            assert Outline(page).active == []
            assert Outline(page).tags.count("script") == 1
            assert "<style" not in page


async def test_text_from_the_cluster_is_never_html():
    canary = rolling_out().canary
    hostile = {
        **canary,
        "metadata": {**canary["metadata"], "name": EVIL, "namespace": EVIL},
        "spec": {
            **canary["spec"],
            "analysis": {
                **canary["spec"]["analysis"],
                "metrics": [{"name": EVIL, "query": EVIL, "thresholdRange": {"max": 1}}],
                "webhooks": [{"name": EVIL, "url": "http://evil.test/?a=" + "<b>"}],
            },
        },
        "status": {
            **canary["status"],
            "message": EVIL,
            "reason": EVIL,
            "checks": [{"name": EVIL, "passed": False, "detail": EVIL}],
            "lastAction": {"text": EVIL, "by": EVIL, "refused": EVIL},
        },
    }
    target = make_deployment(image=EVIL)
    target["metadata"]["namespace"] = EVIL
    async with open_scene(hostile, target) as scene:
        path = re.search(r'href="(/canaries/[^"]*)"', await scene.get("/"))
        assert path is not None
        for page in (
            await scene.get("/"),
            await scene.get(path[1]),
            await scene.get(f"/?name={EVIL}&namespace={EVIL}"),
        ):
            outline = Outline(page)
            assert (outline.active, outline.tags.count("script"), outline.tags.count("img")) == ([], 1, 0)


async def test_a_change_reaches_the_open_list_and_a_deletion_too():
    async with open_scene(at_rest("one")) as scene, scene.news("/live") as news:
        await opened(scene, 1)
        scene.put(stuck("one"))
        at, html = await news.next()
        assert (at, "Failed, needs a person" in visible(html or "")) == ("card/prod/one", True)
        scene.cache.remove(("Canary", "prod", "one"))
        assert await news.next() == ("card/prod/one", None)


async def test_a_card_that_leaves_the_filter_is_taken_away():
    async with open_scene(stuck("one")) as scene, scene.news("/live?state=person") as news:
        await opened(scene, 1)
        scene.put(at_rest("one"))
        assert await news.next() == ("card/prod/one", None)


async def test_of_a_rollout_only_the_parts_that_changed_are_sent():
    cluster = rolling_out()
    async with open_scene(*manifests(cluster)) as scene, scene.news("/canaries/prod/backend/live") as news:
        first = [(await news.next())[0] for _ in range(9)]
        assert first == ["summary", "steps", "actions", "metrics", "sides", "events", "course", "hooks", "past"]
        _, target, _ = manifests(cluster)
        scene.put({**target, "status": {**target["status"], "readyReplicas": 1}}, at_rest("somebody-else"))
        at, html = await news.next()
        assert (at, "1 of 1" in visible(html or "")) == ("sides", True)


async def test_a_closed_page_leaves_no_subscriber():
    async with open_scene(at_rest("one")) as scene:
        for _ in range(20):
            async with scene.news("/live"), scene.news("/canaries/prod/one/live"):
                await opened(scene, 2)
        await opened(scene, 0)


async def test_a_page_that_does_not_read_keeps_each_object_once_and_is_dropped(monkeypatch):
    monkeypatch.setattr("controller.web.live.WRITE_SECONDS", 0.2)
    big = "x" * 200_000
    async with open_scene(at_rest("one")) as scene, scene.news("/live") as news:
        await opened(scene, 1)
        (subscription,) = scene.page.feed._open
        news.response.connection.transport.pause_reading()  # type: ignore[union-attr]
        deadline = time.monotonic() + 20
        number = 0
        while len(scene.page.feed) and time.monotonic() < deadline:
            number += 1
            scene.put(at_rest("one", message=f"{number} {big}"))
            assert len(subscription._changed) <= 1
            await asyncio.sleep(0.02)
        assert len(scene.page.feed) == 0


async def test_no_more_pages_are_open_than_the_limit(monkeypatch):
    monkeypatch.setattr("controller.web.server.MOST_PAGES", 1)
    async with open_scene() as scene, scene.news("/live"):
        await opened(scene, 1)
        async with scene.session.get(f"{scene.address}/live") as response:
            assert response.status == 503


async def test_500_canaries_are_listed_in_time_and_others_get_their_turn_meanwhile():
    canary = rolling_out().canary
    many = [{**canary, "metadata": {**canary["metadata"], "name": f"app-{number}"}} for number in range(500)]
    async with open_scene(*many) as scene:
        began = time.monotonic()
        listing = asyncio.create_task(scene.get("/"))
        longest = 0.0
        while not listing.done():
            before = time.monotonic()
            await asyncio.sleep(0)
            longest = max(longest, time.monotonic() - before)
        first = time.monotonic() - began
        began = time.monotonic()
        assert len(await scene.get("/")) > 100_000
        again = time.monotonic() - began
    assert again < first / 5
    assert longest < 1.0


async def opened(scene: Any, count: int) -> None:
    """Until so many pages are open."""
    async with asyncio.timeout(5):
        while len(scene.page.feed) != count:  # noqa: ASYNC110 -- nothing says when the server has noticed
            await asyncio.sleep(0.01)
