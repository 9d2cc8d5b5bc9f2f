"""No person uses up Slack's limit of `users.info`, which everyone's role checks share."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from bolt_app.access.authorization import CHECKS_A_MINUTE
from bolt_app.application import REFRESHES_A_MINUTE
from bolt_app.config import ROOT
from slack_sandbox import Fault
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop, Browser

pytestmark = pytest.mark.sqlite_only

GUEST = "U0GUS00001"
INFO = "users.info"
PROFILE = "?only=profile"
# More than Slack allows within a minute.
FLOOD = 110


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.install(ANN)
    bellhop.services.webhooks.create(ACME, "Backups", [GENERAL])
    return bellhop


def calls_of(bellhop: Bellhop, do: Callable[[], object], times: int = FLOOD) -> int:
    """Return how many calls of `users.info` repeated requests of a person cause."""
    before = len(bellhop.slack.calls_to(INFO))
    for _ in range(times):
        do()
    return len(bellhop.slack.calls_to(INFO)) - before


def notify(bellhop: Bellhop, user_id: str, words: str, channel_id: str = GENERAL) -> str:
    message = bellhop.slack.send_command(user_id, channel_id, "/notify", words).message
    assert message is not None
    return str(message.text) + str(message.blocks)


@pytest.mark.parametrize("user_id", [BEN, GUEST])
@pytest.mark.parametrize("path", ["/webhooks/1", "/webhooks/7"])
def test_the_page_of_a_webhook_asks_seldom_about_others(
    installed: Bellhop, user_id: str, path: str
) -> None:
    browser, _ = installed.install(user_id, query=PROFILE)

    assert calls_of(installed, lambda: browser.get(path)) <= 1

    assert "deploys" in notify(installed, ANN, "subscribe deploys")


def test_an_unknown_webhook_and_one_of_others_look_the_same_while_slack_fails(
    installed: Bellhop,
) -> None:
    browser, _ = installed.install(BEN, query=PROFILE)
    installed.services.access.person_changed(BEN)
    installed.slack.faults.add(Fault(INFO, "server_error", times=100))

    assert [browser.get(f"/webhooks/{id_}").status for id_ in (1, 7)] == [502, 502]


def test_an_admin_opens_so_many_pages_of_webhooks_a_minute(installed: Bellhop) -> None:
    browser: Browser = installed.install(ANN, query=PROFILE)[0]
    installed.services.access.person(ACME, ANN)
    statuses = []

    calls = calls_of(installed, lambda: statuses.append(browser.get("/webhooks/1").status), 30)

    assert calls == CHECKS_A_MINUTE
    assert statuses == [200] * CHECKS_A_MINUTE + [429] * (30 - CHECKS_A_MINUTE)
    installed.clock.advance(60)
    assert browser.get("/webhooks/1").status == 200


def test_a_member_changes_so_many_subscriptions_a_minute(installed: Bellhop) -> None:
    installed.services.access.person(ACME, BEN)

    calls = calls_of(installed, lambda: notify(installed, BEN, "subscribe deploys"), 30)

    assert calls == CHECKS_A_MINUTE
    assert "Try again in a minute" in notify(installed, BEN, "subscribe deploys")
    assert "deploys" in notify(installed, ANN, "subscribe deploys")


def test_a_guest_who_may_not_subscribe_is_refused_without_a_call(installed: Bellhop) -> None:
    direct = installed.slack.app_dm(ACME, GUEST).id

    calls = calls_of(installed, lambda: notify(installed, GUEST, "subscribe x", direct), 30)

    assert calls <= 1


def test_slack_is_asked_seldom_where_an_unlinked_person_lives(installed: Bellhop) -> None:
    calls = calls_of(installed, lambda: notify(installed, BEN, "quiet 22-7"), 30)

    assert calls <= 2  # the role, and the time zone


def test_a_profile_is_refreshed_so_often_a_minute(installed: Bellhop) -> None:
    def refresh() -> str:
        answer = installed.slack.send_command(ANN, GENERAL, "/profile", "refresh").message
        return "" if answer is None else str(answer.text)

    assert calls_of(installed, refresh, 30) == REFRESHES_A_MINUTE

    assert "Try again in a minute" in refresh()


def test_nothing_else_calls_the_method() -> None:
    """A new call belongs into this list together with its limit."""
    called = re.compile(r'"users\.info"|\bUSERS_INFO\b')
    files = sorted(ROOT.glob("bolt_app/**/*.py"))

    found = {str(file.relative_to(ROOT)) for file in files if called.search(file.read_text())}

    assert found == {
        "bolt_app/access/authorization.py",  # cached; `require_now`
        "bolt_app/profiles/service.py",  # `TooManyRefreshesError`
        "bolt_app/slack/preferences/time_zones.py",  # cached
        "bolt_app/web/methods/users.py",  # `LookupBudgets`
        "bolt_app/workspaces/lookup_budgets.py",
        "bolt_app/workspaces/people.py",  # `LookupBudgets`
    }
