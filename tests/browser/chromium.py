"""Chromium, driven against the running app and the stand-in."""

from __future__ import annotations

import inspect
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

T = TypeVar("T")

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

# Widths in pixels, and the color schemes that a person may prefer.
LOOKS: Sequence[tuple[int, Literal["light", "dark"]]] = ((1280, "light"), (360, "dark"))
HEIGHT = 800

OpenPage = Callable[..., Page]
Shoot = Callable[[Page, str], None]


@dataclass(frozen=True)
class Chromium:
    """A browser, and the thread in which its tests run.

    Playwright leaves an event loop running in the thread that drives a browser, where `asyncio.run`
    refuses to work: tests of other kinds in the same process need a thread without it.
    """

    browser: Browser
    thread: ThreadPoolExecutor

    def run(self, function: Callable[[], T]) -> T:
        """Run a function in the thread of the browser; return what it returns."""
        return self.thread.submit(function).result()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that uses the browser in the browser's thread."""
    chromium = pyfuncitem.funcargs.get("chromium")
    if not isinstance(chromium, Chromium):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    given = {name: pyfuncitem.funcargs[name] for name in names}
    chromium.run(partial(pyfuncitem.obj, **given))
    return True


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """A headless Chromium, or a skip where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        if os.environ.get("REQUIRE_BROWSER") == "1":
            raise FileNotFoundError("no Chromium, and REQUIRE_BROWSER=1")
        pytest.skip("no Chromium")
    with ThreadPoolExecutor(1, thread_name_prefix="chromium") as thread:
        playwright = thread.submit(lambda: sync_playwright().start()).result()
        launch = partial(playwright.chromium.launch, executable_path=found, args=list(_ARGUMENTS))
        running = Chromium(thread.submit(launch).result(), thread)
        yield running
        running.run(running.browser.close)
        running.run(playwright.stop)


@pytest.fixture
def open_page(chromium: Chromium) -> Iterator[OpenPage]:
    """Open a page in a browser of its own; fails the test on any error in the page's scripts."""
    problems: list[str] = []
    contexts: list[BrowserContext] = []

    def opened(*, width: int = LOOKS[0][0], height: int = HEIGHT) -> Page:
        context = chromium.browser.new_context(
            viewport={"width": width, "height": height},
            reduced_motion="reduce",  # no picture of a transition
        )
        contexts.append(context)
        context.on("weberror", lambda error: problems.append(str(error.error)))
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("console", lambda said: problems.append(said.text) if _is_bad(said.text) else None)
        return page

    yield opened
    for context in contexts:
        chromium.run(context.close)
    assert problems == []


def _is_bad(text: str) -> bool:
    return "Content Security Policy" in text or "Uncaught" in text


@pytest.fixture
def shoot() -> Shoot:
    """Show the page in every look, in which it must not be wider than its window.

    The next steps of the test take place in another look than those before.
    """
    looks = list(LOOKS)

    def shot(page: Page, name: str) -> None:
        for width, scheme in looks:
            page.set_viewport_size({"width": width, "height": HEIGHT})
            page.emulate_media(color_scheme=scheme)
            too_wide = page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert too_wide <= 0, f"{name} is {too_wide} px wider than {width}"
            take_picture(page, f"{name}-{scheme}-{width}")
        looks.reverse()

    return shot


def take_picture(page: Page, name: str) -> None:
    """Take a screenshot if SCREENSHOTS_DIR is set."""
    folder = os.environ.get("SCREENSHOTS_DIR")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png")
