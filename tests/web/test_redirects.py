"""Redirects: none repeats a request with its secret and body at another origin or over http."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from werkzeug.routing import Rule

from tests.people import ANN
from tests.running import Bellhop
from tests.web.calling import call_app

pytestmark = pytest.mark.sqlite_only

# Programs repeat the method and the body.
REPEATING = (307, 308)


def rules(bellhop: Bellhop) -> list[Rule]:
    return list(bellhop.app.url_map.iter_rules())


def path_of(rule: Rule) -> str:
    path = str(rule.rule)
    for name in rule.arguments:
        for given in (f"<{name}>", f"<path:{name}>", f"<int:{name}>"):
            path = path.replace(given, "1")
    assert "<" not in path
    return path


def spellings(path: str) -> Iterator[str]:
    """Yield a path, and others that a router may take for it."""
    yield path
    yield f"{path}/"
    yield path.rstrip("/")
    for at in (number for number, character in enumerate(path) if character == "/"):
        yield f"{path[:at]}/{path[at:]}"
        yield f"{path[:at]}/.{path[at:]}"
        yield f"{path[:at]}%2F{path[at + 1 :]}"


def test_no_rule_redirects(bellhop: Bellhop) -> None:
    for rule in rules(bellhop):
        assert rule.redirect_to is None
        assert rule.merge_slashes is False
        # Otherwise a path without a slash at its end is redirected to one with it.
        assert not rule.rule.endswith("/") or rule.strict_slashes is False


@pytest.mark.parametrize("is_signed_in", [False, True])
def test_no_spelling_of_a_path_is_redirected(bellhop: Bellhop, is_signed_in: bool) -> None:
    cookie = ""
    if is_signed_in:
        browser, _ = bellhop.install(ANN)
        cookie = "; ".join(f"{one.name}={one.value}" for one in browser.cookies)
    for rule in rules(bellhop):
        path = path_of(rule)
        for spelling in spellings(path):
            for method in sorted((rule.methods or set()) - {"OPTIONS"}):
                headers = {"Cookie": cookie} if cookie else {}
                answer = call_app(bellhop, method, f"{bellhop.url}{spelling}", b"{}", headers)
                location = answer.headers.get("Location", "")

                assert answer.status not in REPEATING, (method, spelling, location)
                # The sign-in at Slack is the only other origin.
                is_own = location.startswith("/") and not location.startswith("//")
                is_slacks = (
                    location.startswith(f"{bellhop.slack_url}/") and path == "/slack/install"
                )
                assert not location or is_own or is_slacks, (method, spelling, location)
