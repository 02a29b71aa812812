"""The pictures of the page in the documentation, taken of the real page in a browser: `make screenshots` renews them.

A picture is text: an SVG with the page itself in it, as XHTML with its style, so that a change of it can be read in a
diff, and it is light or dark as the browser is that shows it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from tests.apiserver.browser import browsing
from tests.golden_files import assert_text_of
from tests.unit.cli.rollouts import ANALYSIS, rolling_out
from tests.unit.cli.test_tree import pod
from tests.unit.web.scene import Scene, open_scene
from tests.unit.web.test_page import manifests

DOCS = Path(__file__).parents[2] / "docs"
OLD, NEW = "6.1.0", "6.1.1"
LOOKS = 5
COMPARED = {**ANALYSIS, "metrics": ANALYSIS["metrics"][:2]}

_TAKE = """
async () => {
  const style = await (await fetch("/style.css")).text();
  const body = document.body.cloneNode(true);
  for (const each of body.querySelectorAll("#token-form, #answer, [hidden]")) each.remove();
  for (const each of body.querySelectorAll("[id]")) each.removeAttribute("id");
  return [style, new XMLSerializer().serializeToString(body)];
}
"""


def dressed(manifest: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object of the scene under the name of an app, with versions that people have."""
    text = json.dumps(manifest).replace("podinfo:1", f"podinfo:{OLD}").replace("podinfo:2", f"podinfo:{NEW}")
    found: dict[str, Any] = json.loads(text.replace("backend", name))
    if found["kind"] == "Deployment":
        found["status"] = {**found.get("status", {}), "readyReplicas": found["spec"].get("replicas", 1)}
    return found


def app(name: str, looks: int, **course: Any) -> list[dict[str, Any]]:
    """The Canary last, as a controller sees it that runs when the rollout begins."""
    return [dressed(each, name) for each in reversed(manifests(rolling_out(looks=looks, analysis=COMPARED, **course)))]


def at_rest(name: str) -> list[dict[str, Any]]:
    primary, _, canary = app(name, 0)
    return [{**canary, "status": {"phase": "Succeeded"}}, primary]


PODS = [
    pod("backend-7c9d8b6f5-q8w4z", "backend", "2026-01-01T12:00:00Z", ready=True),
    pod("backend-primary-5f6d7c8b9-m2xkp", "backend-primary", "2026-01-01T09:00:00Z", ready=True),
]


@dataclass
class Clock:
    now: datetime = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def play(scene: Scene, clock: Clock) -> None:
    """Two rollouts under way, look by look: one goes on, the other is rolled back."""
    for looks in range(1, LOOKS):
        clock.now += timedelta(seconds=10)
        scene.put(*app("backend", looks, bad=12), *app("checkout", looks, bad=300))


def picture(style: str, body: str, width: int, height: int) -> str:
    """The page as one picture."""
    lines = body.replace("><section", ">\n<section")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">\n'
        f"<style>{style.strip()}</style>\n"
        f'<foreignObject width="{width}" height="{height}">\n{lines}\n'
        "</foreignObject>\n</svg>\n"
    )


@pytest.mark.parametrize(
    ("name", "path", "seen", "width", "height"),
    [
        ("page-list", "/", "6.1.1 has 50% of the traffic", 1100, 370),
        ("page-rollout", "/canaries/prod/backend", "backend-7c9d8b6f5-q8w4z ready", 1400, 900),
    ],
)
async def test_the_pictures_of_the_documentation_are_of_this_page(name, path, seen, width, height):
    clock = Clock()
    objects = [*app("backend", 0, bad=12), *app("checkout", 0, bad=300), *at_rest("frontend"), *PODS]
    async with open_scene(*objects, clock=clock) as scene, browsing() as tab:
        play(scene, clock)
        await tab.set_viewport_size({"width": width, "height": height})
        await tab.goto(scene.address + path)
        await expect(tab.locator("main")).to_contain_text(seen)
        style, body = await tab.evaluate(_TAKE)
        taken = picture(style, body, width, height)
        await tab.goto("about:blank")
    assert_text_of(DOCS / f"{name}.svg", taken)
