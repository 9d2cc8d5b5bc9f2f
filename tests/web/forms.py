"""Forms as a browser sends them, with the hidden fields of the page."""

from __future__ import annotations

import re

from tests.running import Browser, Page


def send_form(browser: Browser, action: str, **fields: str) -> Page:
    """Fill in the form of the profile page that posts to `action`, and submit it."""
    page = browser.get("/profile")
    assert f'action="{action}"' in page.text
    return browser.post(action, {"csrf_token": _csrf_in(page), **fields})


def csrf_of(browser: Browser) -> str:
    """Return the CSRF token of this browser's session."""
    return _csrf_in(browser.get("/profile"))


def _csrf_in(page: Page) -> str:
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token is not None, page.text
    return token[1]


def follow(browser: Browser, answer: Page) -> Page:
    """Follow a redirect."""
    assert answer.status in (302, 303), answer.text
    return browser.get(answer.location)


def without_token(page: Page) -> str:
    """Return a page without the token of its forms, which holds the time in seconds."""
    return re.sub(r'(?<=name="csrf_token" value=")[^"]+', "", page.text)
