"""Requests without credentials, to every URL: they store nothing and reflect nothing."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from sqlalchemy import func, select

from bolt_app.db.models import AuditEvent, Base
from tests.people import ACME, ANN
from tests.running import Bellhop, Browser, Page

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

# Parameters of the two install URLs: those that they read, and those of other versions
# of OAuth which they must not.
PARAMETERS = (
    "state",
    "code",
    "error",
    "error_description",
    "error_uri",
    "team",
    "only",
    "scope",
    "user_scope",
    "client_id",
    "redirect_uri",
    "next",
)
MARKER = "kilroy"
VALUES = (
    MARKER,
    f"<b>{MARKER}</b>",
    f"T1&scope={MARKER}",
    f"T0ACME0001#{MARKER}",
    f"T0ACME0001\r\nX-{MARKER}: yes",
    f"profile&x={MARKER}",
    f"https://{MARKER}.example/",
    f"{MARKER}\0",
)


def rows(bellhop: Bellhop) -> dict[str, int]:
    with bellhop.services.database.reading() as session:
        return {
            table.name: session.scalars(select(func.count()).select_from(table)).one()
            for table in Base.metadata.sorted_tables
            if table.name != AuditEvent.__tablename__
        }


def everywhere(bellhop: Bellhop) -> Iterator[tuple[str, str]]:
    for rule in bellhop.app.url_map.iter_rules():
        path = str(rule.rule)
        for name in rule.arguments:
            path = path.replace(f"<{name}>", "x").replace(f"<path:{name}>", "x")
        for method in sorted((rule.methods or set()) & {"GET", "POST"}):
            yield method, path


def test_no_outsider_makes_rows(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    before = rows(bellhop)

    for method, path in everywhere(bellhop):
        for _ in range(3):
            visitor = bellhop.browser()
            if method == "GET":
                page = visitor.get(path, {"Authorization": "Bearer bh_wrong"})
            else:
                form = {"payload": "{}", "text": "x", "csrf_token": "x"}
                page = visitor.post(path, form, {"Authorization": "Bearer bh_wrong"})
            assert page.status < 500, (method, path, page.status)

    assert rows(bellhop) == before
    bellhop.services.audit.flush()
    found = bellhop.services.audit.find()
    assert {one.action for one in found if one.team_id is None} == {
        "api_key_rejected",
        "webhook_rejected",
    }
    assert len([one for one in found if one.team_id is None]) <= 4


def started(bellhop: Bellhop) -> tuple[Browser, str]:
    browser = bellhop.browser()
    location = browser.get("/slack/install").location
    return browser, location.partition("state=")[2].partition("&")[0]


def assert_not_shown(page: Page) -> None:
    assert MARKER not in page.text.lower()
    assert MARKER not in str(page.headers).lower()
    assert page.status < 500


@pytest.mark.slow
@pytest.mark.parametrize("name", PARAMETERS)
def test_nothing_of_an_address_is_shown_back_or_passed_on(bellhop: Bellhop, name: str) -> None:
    signed_in, _ = bellhop.install(ANN)
    for value in map(quote, VALUES):
        for browser in (bellhop.browser(), signed_in):
            for query in (f"{name}={value}", f"only=profile&team={ACME}&{name}={value}"):
                assert_not_shown(browser.get(f"/slack/install?{query}"))
            assert_not_shown(browser.get(f"/slack/oauth_redirect?{name}={value}"))
        browser, state = started(bellhop)
        given = f"{name}={value}" if name == "state" else f"state={state}&{name}={value}"
        assert_not_shown(browser.get(f"/slack/oauth_redirect?{given}"))
