"""No person uses up Slack's limits of the methods that everyone's access depends on."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import pytest

from bolt_app.access.authorization import (
    CHANGES_A_MINUTE,
    CHECKS_A_MINUTE,
    JOINS_A_MINUTE,
    PROFILES_A_MINUTE,
    Role,
)
from bolt_app.application import REFRESHES_A_MINUTE
from bolt_app.config import ROOT
from slack_sandbox import Fault
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop, Browser

pytestmark = pytest.mark.sqlite_only

GUEST = "U0GUS00001"
INFO, MEMBERSHIPS = "users.info", "users.conversations"
PROFILE = "?only=profile"
# More than Slack allows within a minute.
FLOOD = 110


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.install(ANN)
    bellhop.services.webhooks.create(ACME, "Backups", [GENERAL])
    return bellhop


def calls_of(
    bellhop: Bellhop, do: Callable[[], object], times: int = FLOOD, method: str = INFO
) -> int:
    """Return how many calls of a method repeated requests of a person cause."""
    before = len(bellhop.slack.calls_to(method))
    for _ in range(times):
        do()
    return len(bellhop.slack.calls_to(method)) - before


def notify(bellhop: Bellhop, user_id: str, words: str, channel_id: str = GENERAL) -> str:
    message = bellhop.slack.send_command(user_id, channel_id, "/notify", words).message
    assert message is not None
    return str(message.text) + str(message.blocks)


@pytest.mark.slow
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


class TestChangedProfiles:
    """`user_change`, which a person causes with each change of their title or status."""

    @staticmethod
    def change(bellhop: Bellhop, **changes: object) -> None:
        bellhop.slack.update_user(BEN, **changes)
        bellhop.slack.deliver_due()

    @pytest.mark.parametrize("method", [INFO, MEMBERSHIPS])
    def test_they_let_slack_be_asked_seldom(self, installed: Bellhop, method: str) -> None:
        def do() -> None:
            self.change(installed, title="at lunch")
            installed.services.access.person(ACME, BEN).memberships()

        assert calls_of(installed, do, 10, method) <= 1 + PROFILES_A_MINUTE

    def test_a_new_role_takes_effect_at_once(self, installed: Bellhop) -> None:
        access = installed.services.access
        for _ in range(PROFILES_A_MINUTE + 1):
            self.change(installed, title="at lunch")
            assert access.person(ACME, BEN).role is Role.MEMBER

        self.change(installed, is_restricted=True)
        assert access.person(ACME, BEN).role is Role.GUEST
        self.change(installed, deleted=True)
        assert access.person(ACME, BEN).role is Role.DEACTIVATED


class TestChannelsOfPeople:
    """`users.conversations`, which everyone's private channels depend on."""

    @pytest.fixture
    def secret(self, installed: Bellhop) -> str:
        channel = installed.slack.add_channel(ACME, "secret", members=[BEN], is_private=True)
        installed.slack.invite_bot(BEN, channel.id)
        return channel.id

    @staticmethod
    def event(bellhop: Bellhop, kind: str, channel_id: str = GENERAL, **more: str) -> None:
        bellhop.slack.send_event(ACME, {"type": kind, "channel": channel_id, **more})
        bellhop.slack.deliver_due()

    def seen(self, bellhop: Bellhop, user_id: str = BEN) -> Mapping[str, str]:
        return bellhop.services.access.person(ACME, user_id).memberships()

    @pytest.mark.parametrize(
        "kinds", [("member_left_channel", "member_joined_channel"), ("channel_archive",) * 2]
    )
    def test_events_let_slack_be_asked_seldom(
        self, installed: Bellhop, secret: str, kinds: tuple[str, str]
    ) -> None:
        def do() -> None:
            for kind in kinds:
                self.event(installed, kind, user=BEN)
                assert secret in self.seen(installed)

        assert calls_of(installed, do, 10, MEMBERSHIPS) <= 1 + JOINS_A_MINUTE + CHANGES_A_MINUTE

    def test_beyond_the_limit_a_channel_that_was_left_is_hidden_at_once(
        self, installed: Bellhop, secret: str
    ) -> None:
        for _ in range(JOINS_A_MINUTE):
            self.event(installed, "member_joined_channel", user=BEN)
        assert {secret, GENERAL} <= self.seen(installed).keys()

        def leave() -> None:
            self.event(installed, "member_left_channel", secret, user=BEN)
            assert secret not in self.seen(installed)

        assert calls_of(installed, leave, 1, MEMBERSHIPS) == 0
        assert GENERAL in self.seen(installed)

    def test_so_is_one_that_the_bot_left(self, installed: Bellhop, secret: str) -> None:
        for _ in range(CHANGES_A_MINUTE):
            self.event(installed, "channel_archive", user=ANN)
        assert secret in self.seen(installed)

        self.event(installed, "group_left", secret)

        assert secret not in self.seen(installed)


@pytest.mark.parametrize("method", [INFO, MEMBERSHIPS])
def test_nothing_else_calls_the_method(method: str) -> None:
    """A new call belongs into this list together with its limit."""
    constant = method.replace(".", "_").upper()
    called = re.compile(rf'"{re.escape(method)}"|\b{constant}\b')
    files = sorted(ROOT.glob("bolt_app/**/*.py"))

    found = {str(file.relative_to(ROOT)) for file in files if called.search(file.read_text())}

    assert found == CALLERS[method]


CALLERS = {
    MEMBERSHIPS: {
        "bolt_app/access/authorization.py",  # cached; `JOINS_A_MINUTE`
        "bolt_app/web/methods/conversations.py",  # Bellhop's own method
    },
    INFO: {
        "bolt_app/access/authorization.py",  # cached; `require_now`
        "bolt_app/profiles/service.py",  # `TooManyRefreshesError`
        "bolt_app/slack/preferences/time_zones.py",  # cached
        "bolt_app/web/methods/users.py",  # `LookupBudgets`
        "bolt_app/workspaces/lookup_budgets.py",
        "bolt_app/workspaces/people.py",  # `LookupBudgets`
    },
}
