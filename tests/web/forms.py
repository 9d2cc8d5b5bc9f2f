"""Forms as a browser sends them: with what the page put into them."""

from __future__ import annotations

import re

from tests.running import Browser, Page


def send_form(browser: Browser, action: str, **fields: str) -> Page:
    """Fill in the form of the profile page that posts to `action`, and send it."""
    page = browser.get("/profile")
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token is not None, page.text
    assert f'action="{action}"' in page.text
    return browser.post(action, {"csrf_token": token[1], **fields})


def follow(browser: Browser, answer: Page) -> Page:
    """Go where a redirect leads."""
    assert answer.status in (302, 303), answer.text
    return browser.get(answer.location)
