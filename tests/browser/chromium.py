"""Chromium, driven against the running app and the stand-in."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

# Generous, because the machine may be busy.
PATIENCE_MS = 20_000
expect.set_options(timeout=PATIENCE_MS)
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

OpenPage = Callable[..., Page]
Shoot = Callable[[Page, str], None]


@dataclass(frozen=True)
class Chromium:
    """A browser, and the event loop that its driver uses in this thread.

    Playwright leaves its loop marked as running between calls, and `asyncio.run` refuses to work
    meanwhile: tests of other kinds in the same process need the mark removed.
    """

    browser: Browser
    loop: asyncio.AbstractEventLoop

    @contextmanager
    def driven(self) -> Iterator[Browser]:
        """Mark the loop as running while a test drives the browser."""
        asyncio._set_running_loop(self.loop)
        try:
            yield self.browser
        finally:
            asyncio._set_running_loop(None)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """A headless Chromium, or a skip where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        if os.environ.get("REQUIRE_BROWSER") == "1":
            raise FileNotFoundError("no Chromium, and REQUIRE_BROWSER=1")
        pytest.skip("no Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(_ARGUMENTS))
        running = Chromium(browser, asyncio.get_running_loop())
        asyncio._set_running_loop(None)
        yield running
        asyncio._set_running_loop(running.loop)
        browser.close()
    asyncio._set_running_loop(None)


@pytest.fixture
def open_page(chromium: Chromium) -> Iterator[OpenPage]:
    """Open a page in a browser of its own; fails the test on any error in the page's scripts."""
    with chromium.driven() as browser:
        yield from _pages(browser)


def _pages(browser: Browser) -> Iterator[OpenPage]:
    problems: list[str] = []
    contexts = []

    def opened(*, scheme: str = "light", width: int = 1280, height: int = 800) -> Page:
        context = browser.new_context(
            color_scheme="dark" if scheme == "dark" else "light",
            viewport={"width": width, "height": height},
        )
        contexts.append(context)
        context.on("weberror", lambda error: problems.append(str(error.error)))
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("console", lambda said: problems.append(said.text) if _is_bad(said.text) else None)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert problems == []


def _is_bad(text: str) -> bool:
    return "Content Security Policy" in text or "Uncaught" in text


@pytest.fixture
def shoot(tmp_path: Path) -> Shoot:
    """Take a screenshot into SCREENSHOTS_DIR; the page must not be wider than its window."""
    folder = Path(os.environ.get("SCREENSHOTS_DIR") or tmp_path)

    def shot(page: Page, name: str) -> None:
        too_wide = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert too_wide <= 0, f"{name} is {too_wide} px wider than the window"
        folder.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=folder / f"{name}.png")

    return shot
