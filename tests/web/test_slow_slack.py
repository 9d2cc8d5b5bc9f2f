"""A slow Slack holds a quarter of the web threads, for all requests together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial

import pytest

from slack_sandbox import Fault
from tests.conftest import FakeClock
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop, Page, running_bellhop

pytestmark = pytest.mark.sqlite_only

PROFILE = "?only=profile"


@pytest.fixture
def small(database_url: str, encryption_key: str, clock: FakeClock) -> Iterator[Bellhop]:
    """Bellhop, of whose web threads one may wait for Slack."""
    with running_bellhop(database_url, encryption_key, clock, web_threads=4) as bellhop:
        bellhop.install(ANN)
        yield bellhop


def refused(bellhop: Bellhop, method: str, visits: list[Callable[[], Page]]) -> list[Page]:
    """Make visits at once while Slack does not answer; return all but the last one to end."""
    bellhop.slack.faults.add(Fault(method, "timeout"))
    with ThreadPoolExecutor(len(visits)) as threads:
        pages = as_completed([threads.submit(visit) for visit in visits])
        found = [next(pages).result() for _ in visits[1:]]
        assert bellhop.browser().get("/healthz").status == 200
        bellhop.slack.faults.clear()
    return found


def callback(bellhop: Bellhop, user_id: str) -> Callable[[], Page]:
    browser = bellhop.browser()
    to_slack = browser.get(f"/slack/install{PROFILE}").location
    url = bellhop.slack.authorize(user_id, to_slack)
    return lambda: browser.get(url)


def test_callbacks_with_codes(small: Bellhop) -> None:
    visits = [callback(small, BEN) for _ in range(4)]

    pages = refused(small, "oauth.v2.access", visits)

    assert [(page.status, page.headers["Retry-After"]) for page in pages] == [(503, "10")] * 3
    assert "Reload this page" in pages[0].text
    assert small.slack.faults.taken("oauth.v2.access") <= 1
    # The approvals of people who were refused are still valid.
    assert [visit().status for visit in visits].count(303) == 3


def test_calls_before_the_callback_count_too(small: Bellhop) -> None:
    visit = callback(small, BEN)
    with small.services.slack_waits.enter() as has_room:
        assert has_room

        assert visit().status == 503

    assert visit().status == 303


@pytest.mark.parametrize("path", ["/webhooks/1", "/files/F0000000000000000"])
def test_pages_of_signed_in_people(small: Bellhop, path: str) -> None:
    small.services.webhooks.create(ACME, "Backups", [GENERAL])
    browsers = [small.install(who, query=PROFILE)[0] for who in (ANN, BEN)]
    small.clock.advance(61)

    pages = refused(small, "users.info", [partial(one.get, path) for one in browsers])

    assert [(page.status, page.headers["Retry-After"]) for page in pages] == [(503, "60")]
    assert "Slack is answering slowly" in pages[0].text


def test_a_page_waits_for_several_answers_in_one_thread(small: Bellhop) -> None:
    browser, _ = small.install(ANN, query=PROFILE)
    small.clock.advance(3600)

    assert "general" in browser.get("/profile").text


def test_a_listing_that_was_not_made_is_no_outage(small: Bellhop) -> None:
    browser, _ = small.install(ANN, query=PROFILE)
    small.clock.advance(3600)
    with small.services.slack_waits.enter():
        assert "Slack is answering slowly" in browser.get("/profile").text

    assert "Slack is" not in browser.get("/profile").text


def test_work_outside_of_web_threads_is_not_limited(small: Bellhop) -> None:
    with small.services.slack_waits.enter(), ThreadPoolExecutor(1) as threads:
        role = threads.submit(lambda: small.services.access.person(ACME, BEN).role.value)

        assert role.result() == "member"
