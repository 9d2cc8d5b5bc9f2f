"""Security headers and cache headers of every kind of response."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from tests.conftest import FakeClock
from tests.people import ANN
from tests.running import Bellhop, running_bellhop

pytestmark = pytest.mark.sqlite_only

KINDS_OF_ANSWER = ["/", "/profile", "/slack/install", "/healthz", "/nowhere", "/static/bell.svg"]


class InlineCode(HTMLParser):
    """Collects inline code and styles, which the content security policy forbids."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {name for name, _ in attrs}
        if tag == "style" or (tag == "script" and "src" not in names):
            self.found.append(tag)
        self.found += [name for name in names if name == "style" or name.startswith("on")]


@pytest.mark.parametrize("path", KINDS_OF_ANSWER)
def test_every_answer_has_the_security_headers(bellhop: Bellhop, path: str) -> None:
    headers = bellhop.browser().get(path).headers

    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Request-Id"]
    assert "Strict-Transport-Security" not in headers
    # Also those that a view sets itself. The server adds a date.
    names = [name for name in map(str.lower, headers) if name not in ("set-cookie", "date")]
    assert sorted(names) == sorted(set(names))


def test_https_is_to_stay_https(database_url: str, encryption_key: str, clock: FakeClock) -> None:
    address = "https://bell.example.com"
    with running_bellhop(database_url, encryption_key, clock, public_url=address) as running:
        headers = running.browser().get("/").headers

    assert headers["Strict-Transport-Security"] == "max-age=31536000"


@pytest.mark.parametrize("path", ["/", "/profile", "/nowhere", "/slack/oauth_redirect"])
def test_pages_hold_no_inline_code_or_style(bellhop: Bellhop, path: str) -> None:
    browser, _ = bellhop.install(ANN)
    reader = InlineCode()

    reader.feed(browser.get(path).text)

    assert reader.found == []


def test_pages_are_not_kept_and_static_files_are(bellhop: Bellhop) -> None:
    browser = bellhop.browser()
    page = browser.get("/")
    asset = re.search(r'href="(/static/bellhop\.css\?v=\w+)"', page.text)

    assert page.headers["Cache-Control"] == "no-store"
    assert asset is not None
    kept = browser.get(asset[1])
    assert kept.status == 200
    assert "max-age=31536000" in kept.headers["Cache-Control"]
