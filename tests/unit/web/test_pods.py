"""The pods on the page of a rollout: what is said of them, and that only those are watched that somebody looks at."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controller.shell.kubernetes.errors import Rejected
from tests.unit.cli.rollouts import rolling_out
from tests.unit.cli.test_tree import PODS, PULL, pod
from tests.unit.web.scene import News, open_scene
from tests.unit.web.test_page import EVIL, Outline, manifests, opened, visible

PAGE = "/canaries/prod/backend"


async def sides(news: News, *parts: str) -> str:
    """The section with both sides, once its text has all of these."""
    async with asyncio.timeout(5):
        while True:
            at, html = await news.next()
            if at == "sides" and all(part in visible(html or "") for part in parts):
                return html or ""


async def at_rest(scene: Any) -> None:
    """Until nothing is watched any more."""
    async with asyncio.timeout(5):
        while len(scene.page.pods) or scene.kube.watching:  # noqa: ASYNC110 -- nothing says when the server has noticed
            await asyncio.sleep(0.01)


async def test_the_pods_of_both_sides_are_shown_with_their_state_and_the_worst_comes_first():
    async with open_scene(*manifests(rolling_out()), *PODS) as scene, scene.news(f"{PAGE}/live") as news:
        text = visible(await sides(news, "Canary: pods"))
    assert text.endswith(
        "Primary: pods ✓ backend-primary-5d4f-a ready"
        " Canary: pods ✕ backend-5d4f-new container app cannot pull its image podinfo:2 (ImagePullBackOff): not found"
        " ✓ backend-5d4f-old ready"
    )


async def test_a_pod_that_changes_comes_or_goes_is_news():
    async with open_scene(*manifests(rolling_out()), *PODS) as scene, scene.news(f"{PAGE}/live") as news:
        await sides(news, "Canary: pods")
        mended = pod("backend-5d4f-new", "backend", "2026-01-01T12:00:30Z", ready=True)
        mended["status"]["containerStatuses"][0]["restartCount"] = 3
        scene.kube.set(mended)
        await sides(news, "✓ backend-5d4f-new ready, restarts: 3")
        scene.kube.remove("Pod", "prod", "backend-5d4f-old")
        assert "backend-5d4f-old" not in await sides(news)
        scene.kube.set(pod("backend-5d4f-third", "backend", "2026-01-01T12:00:40Z", ready=True))
        await sides(news, "backend-5d4f-third")


async def test_pods_are_watched_once_for_all_who_look_and_not_after_the_last_has_left():
    async with open_scene(*manifests(rolling_out()), *PODS) as scene:
        async with scene.news("/live"):
            await opened(scene, 1)
        assert about_pods(scene) == []
        for _ in range(5):
            before = len(about_pods(scene))
            async with scene.news(f"{PAGE}/live") as first:
                await sides(first, "Canary: pods")
                async with scene.news(f"{PAGE}/live") as second:
                    await sides(second, "Canary: pods")
                await opened(scene, 1)
                scene.kube.set(pod("backend-5d4f-new", "backend", "2026-01-01T12:00:30Z", ready=True))
                await sides(first, "✓ backend-5d4f-new")
                scene.kube.set(PODS[0])
                await sides(first, "✕ backend-5d4f-new")
            await at_rest(scene)
            assert len(about_pods(scene)) == before + 4  # a list and a watch of each side


def about_pods(scene: Any) -> list[tuple[str, str]]:
    return [each for each in scene.kube.requests if each[1] == "Pod"]


async def test_a_workload_that_comes_or_goes_while_somebody_looks_is_followed():
    canary, target, primary = manifests(rolling_out())
    async with open_scene(canary, target, *PODS) as scene, scene.news(f"{PAGE}/live") as news:
        assert "Primary: pods" not in await sides(news, "Canary: pods")
        scene.put(primary)
        await sides(news, "Primary: pods")
        scene.cache.remove(("Deployment", "prod", "backend"))
        assert "Canary: pods" not in await sides(news)
        assert len(scene.page.pods) == 1


async def test_pods_that_may_not_be_read_are_said_to_be_unknown_and_tried_again(monkeypatch):
    monkeypatch.setattr("controller.web.pods.backoff_seconds", lambda attempt: 0.05)
    async with open_scene(*manifests(rolling_out()), *PODS) as scene:
        scene.kube.failures["list Pod"] = [Rejected("GET /api/v1/namespaces/prod/pods", 403, "forbidden")] * 2
        async with scene.news(f"{PAGE}/live") as news:
            await sides(news, "The Kubernetes API does not show this controller the pods; its log says why.")
            assert "does not show" not in await sides(news, "Primary: pods", "Canary: pods")


async def test_a_watch_that_the_server_ends_is_opened_again_and_nothing_is_missed(monkeypatch):
    waited: list[int] = []

    def at_once(attempt: int) -> float:
        waited.append(attempt)
        return 0.0

    monkeypatch.setattr("controller.web.pods.backoff_seconds", at_once)
    async with open_scene(*manifests(rolling_out()), *PODS) as scene, scene.news(f"{PAGE}/live") as news:
        await sides(news, "Primary: pods", "Canary: pods")
        for number in range(3):
            ended, scene.kube.watching = scene.kube.watching, []
            for each in ended:
                each.put_nowait(("END", {}))
            scene.kube.set(pod(f"backend-5d4f-{number}", "backend", "2026-01-01T12:00:40Z", ready=True))
            await sides(news, f"✓ backend-5d4f-{number} ready")
    assert {*waited} == {1}


async def test_no_more_workloads_are_watched_than_the_limit(monkeypatch):
    monkeypatch.setattr("controller.web.pods.MOST_WATCHES", 1)
    async with open_scene(*manifests(rolling_out()), *PODS) as scene, scene.news(f"{PAGE}/live") as news:
        await sides(news, "are being looked at already; close other pages")
        assert len(scene.page.pods) == 1


async def test_many_pods_are_counted():
    many = [pod(f"backend-5d4f-{number:02}", "backend", "2026-01-01T12:00:20Z", ready=True) for number in range(30)]
    async with open_scene(*manifests(rolling_out()), *many) as scene, scene.news(f"{PAGE}/live") as news:
        await sides(news, "and 18 more")


async def test_what_a_pod_says_is_never_html():
    evil = pod(EVIL, "backend", "2026-01-01T12:00:20Z", ready=False, waiting={**PULL, "message": EVIL})
    async with open_scene(*manifests(rolling_out()), evil) as scene, scene.news(f"{PAGE}/live") as news:
        outline = Outline(await sides(news, "Canary: pods"))
    assert (outline.active, {"script", "img"} & {*outline.tags}) == ([], set())


@pytest.mark.parametrize("path", ["/", PAGE])
async def test_a_page_without_a_script_asks_for_no_pod(path):
    async with open_scene(*manifests(rolling_out()), *PODS) as scene:
        await scene.get(path)
        assert about_pods(scene) == []
