"""Chromium, driven against the running app and the stand-in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
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


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A headless Chromium; skips the test if it is not installed."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        if os.environ.get("REQUIRE_BROWSER") == "1":
            raise FileNotFoundError("no Chromium, and REQUIRE_BROWSER=1")
        pytest.skip("no Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(_ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[OpenPage]:
    """Open a page in a separate browser; fail the test on any script error."""
    problems: list[str] = []
    contexts = []

    def opened(*, scheme: str = "light", width: int = 1280, height: int = 800) -> Page:
        context = chromium.new_context(
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
