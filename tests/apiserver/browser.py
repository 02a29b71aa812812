"""Debian's Chromium, driven by Playwright; whoever has none skips what needs one."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import ConsoleMessage, Page, async_playwright

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MILLISECONDS = 60_000


@asynccontextmanager
async def browsing() -> AsyncIterator[Page]:
    """A tab of a new browser. What its console reports as an error fails the test."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed: `apt-get install chromium`, as `make browser` does where it may")
    errors: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type == "error":
            errors.append(message.text)

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=_FLAGS)
        tab = await browser.new_page(viewport={"width": 1366, "height": 768})
        tab.set_default_timeout(PATIENCE_MILLISECONDS)
        tab.on("console", listen)
        tab.on("pageerror", lambda error: errors.append(str(error)))
        yield tab
        await browser.close()
    assert errors == []
