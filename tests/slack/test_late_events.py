"""Late events, which never overwrite or delete newer data."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml
from sqlalchemy import select

from bolt_app.db.models import Channel, InstallationCheck, Team, UserInstallation
from bolt_app.manifest import manifest_with_step
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from slack_sandbox import Fault
from slack_sandbox.tokens import InstallKey
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop, Browser

Event = Mapping[str, Any]
TOKENS = {"oauth": [ANN], "bot": ["U0BOT"]}
UNINSTALL: list[Event] = [
    {"type": "app_uninstalled"},
    {"type": "tokens_revoked", "tokens": TOKENS},
]


def send(bellhop: Bellhop, event: Event, seconds_ago: int) -> None:
    """Deliver an event about something that happened earlier."""
    installation = bellhop.slack.installation_for(ACME)
    delivery = bellhop.slack.queue_event(ACME, dict(event), installation)
    happened = int(bellhop.clock.timestamp()) - seconds_ago
    delivery.body = json.dumps(delivery.payload | {"event_time": happened}).encode()
    bellhop.settle()
    assert [attempt.status for attempt in delivery.attempts] == [200]


def paused(bellhop: Bellhop) -> object:
    [found] = bellhop.services.subscriptions.of_address(ACME, GENERAL)
    return found.paused


def channel_name(bellhop: Bellhop) -> object:
    with bellhop.services.database.reading() as session:
        return session.scalar(select(Channel.name).where(Channel.channel_id == GENERAL))


def workspace(bellhop: Bellhop) -> object:
    with bellhop.services.database.reading() as session:
        return session.execute(select(Team.name, Team.domain)).one()


def bot_joined(bellhop: Bellhop) -> Event:
    bot = bellhop.services.store.find_bot(enterprise_id=None, team_id=ACME)
    assert bot is not None
    return {"type": "member_joined_channel", "user": bot.bot_user_id, "channel": GENERAL}


def renamed(kind: str, name: str) -> Event:
    return {"type": f"{kind}_rename", "channel": {"id": GENERAL, "name": name}}


# An event, an earlier one that arrives after it, and the state that must remain.
Case = tuple[Event | Callable[[Bellhop], Event], Event, Callable[[Bellhop], object]]
CASES: dict[str, Case] = {
    "team_rename": (
        {"type": "team_rename", "name": "New"},
        {"type": "team_rename", "name": "Old"},
        workspace,
    ),
    "team_domain_change": (
        {"type": "team_domain_change", "domain": "new"},
        {"type": "team_domain_change", "domain": "old"},
        workspace,
    ),
}
for kind in ("channel", "group"):
    CASES |= {
        f"{kind}_archive": (
            {"type": f"{kind}_unarchive", "channel": GENERAL},
            {"type": f"{kind}_archive", "channel": GENERAL},
            paused,
        ),
        f"{kind}_unarchive": (
            {"type": f"{kind}_archive", "channel": GENERAL},
            {"type": f"{kind}_unarchive", "channel": GENERAL},
            paused,
        ),
        f"{kind}_left": (bot_joined, {"type": f"{kind}_left", "channel": GENERAL}, paused),
        f"{kind}_rename": (renamed(kind, "new"), renamed(kind, "old"), channel_name),
    }
# Events that cannot overwrite newer data, with the reason.
OTHERS = {
    "app_home_opened": "shows what holds now",
    "app_uninstalled": "verified with Slack, below",
    "channel_deleted": "Slack uses no id again",
    "channel_id_changed": "Slack uses no id again",
    "group_deleted": "Slack uses no id again",
    "link_shared": "shows what holds now",
    "member_joined_channel": "a case of its own, below",
    "member_left_channel": "only ends what is remembered",
    "team_access_granted": "verified with Slack, in test_organization_events.py",
    "team_access_revoked": "verified with Slack, in test_organization_events.py",
    "tokens_revoked": "verified with Slack, below",
    "user_change": "compared by the person's own `updated`, in test_lifecycle.py",
}


def test_every_event_is_looked_at() -> None:
    manifest = yaml.safe_load(manifest_with_step("https://bellhop.example.com"))
    known = set(manifest["settings"]["event_subscriptions"]["bot_events"])

    assert known - {"function_executed"} == CASES.keys() | OTHERS.keys()


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.begin(install_an_hour_ago)
    return bellhop


def install_an_hour_ago(bellhop: Bellhop) -> None:
    bellhop.clock.advance(-3600)
    bellhop.install(ANN)
    services = bellhop.services
    services.channels.search(services.client.find_workspace(ACME))
    services.subscriptions.subscribe(ACME, GENERAL, SubscriptionSpec("deploys", created_by=ANN))
    bellhop.clock.advance(3600)


@pytest.mark.parametrize("name", CASES)
def test_an_earlier_event_changes_nothing(installed: Bellhop, name: str) -> None:
    later, earlier, state = CASES[name]
    before = state(installed)
    send(installed, earlier, 300)
    after_earlier = state(installed)
    later = later(installed) if callable(later) else later
    send(installed, later, 60)
    held = state(installed)
    # Each of the two changes the checked state, so the case can fail.
    assert after_earlier != before or held != before

    send(installed, earlier, 120)

    assert state(installed) == held


def test_an_earlier_return_ends_no_pause(installed: Bellhop) -> None:
    send(installed, {"type": "channel_left", "channel": GENERAL}, 60)

    send(installed, bot_joined(installed), 120)

    assert paused(installed) == "removed"


def test_an_earlier_archiving_pauses_no_later_subscription(installed: Bellhop) -> None:
    installed.services.subscriptions.subscribe(ACME, GENERAL, SubscriptionSpec("deploys"))

    send(installed, {"type": "channel_archive", "channel": GENERAL}, 120)

    assert paused(installed) is None


def test_an_earlier_name_replaces_none_that_was_listed_since(installed: Bellhop) -> None:
    services = installed.services
    services.channels.search(services.client.find_workspace(ACME))

    send(installed, renamed("channel", "old"), 120)

    assert channel_name(installed) == "general"


def test_an_earlier_name_of_the_workspace_replaces_none_that_slack_gave_since(
    installed: Bellhop,
) -> None:
    installed.install(BEN)
    held = workspace(installed)

    send(installed, {"type": "team_rename", "name": "Old"}, 120)

    assert workspace(installed) == held


class TestRemovals:
    """Reports of an uninstall or a revocation are verified with Slack."""

    @pytest.mark.parametrize("seconds", [120, 3, -60])
    @pytest.mark.parametrize("event", UNINSTALL, ids=lambda event: str(event["type"]))
    def test_a_report_about_tokens_that_work_deletes_nothing(
        self, bellhop: Bellhop, event: Event, seconds: int
    ) -> None:
        bellhop.install(ANN)
        bellhop.slack.uninstall(ACME)
        bellhop.install(ANN)

        send(bellhop, event, seconds)

        assert bellhop.services.profiles.find(ACME, ANN) is not None
        assert bellhop.services.store.find_bot(enterprise_id=None, team_id=ACME) is not None
        assert pending(bellhop) == []

    @pytest.mark.parametrize("event", UNINSTALL, ids=lambda event: str(event["type"]))
    def test_a_report_ends_only_the_sessions_that_began_before_it(
        self, bellhop: Bellhop, event: Event
    ) -> None:
        is_uninstall, key = event["type"] == "app_uninstalled", InstallKey(None, ACME)
        before = [bellhop.install(user_id)[0] for user_id in (ANN, BEN)]
        bellhop.clock.advance(60)
        if is_uninstall:
            bellhop.slack.tokens.uninstall(key)
        else:
            bellhop.slack.tokens.revoke(key, "user", ANN)
        bellhop.clock.advance(60)
        after = [bellhop.install(ANN)[0] for _ in range(2)]
        bellhop.clock.advance(240)

        send(bellhop, event, 300)

        assert [can_see_profile(browser) for browser in before] == [False, not is_uninstall]
        assert [can_see_profile(browser) for browser in after] == [True, True]
        # A session of a person whose token is dead may be deleted with the person since.
        ended = ["session:1", "session:2"] if is_uninstall else ["session:1"]
        entries = bellhop.services.audit.find(team_id=ACME, action="session_ended")
        assert [entry.credential for entry in entries] == ended

    def test_the_late_revocation_of_an_unlinked_token_ends_no_later_session(
        self, bellhop: Bellhop
    ) -> None:
        """While Slack was down, a person unlinked and then linked again."""
        bellhop.install(BEN)
        bellhop.install(ANN)
        stored = bellhop.services.installations.find(enterprise_id=None, team_id=ACME, user_id=ANN)
        assert stored is not None
        bellhop.services.lifecycle.profiles.unlink(stored)
        browser, _ = bellhop.install(ANN)
        bellhop.clock.advance(60)

        send(bellhop, {"type": "tokens_revoked", "tokens": {"oauth": [ANN], "bot": []}}, 0)

        assert can_see_profile(browser)

    @pytest.mark.parametrize("query", ["", "?only=profile"])
    def test_the_next_sign_in_replaces_a_lost_report(self, bellhop: Bellhop, query: str) -> None:
        before = [bellhop.install(user_id)[0] for user_id in (ANN, ANN, BEN)]
        bellhop.clock.advance(60)
        bellhop.slack.tokens.revoke(InstallKey(None, ACME), "user", ANN)

        after, _ = bellhop.install(ANN, query=query)

        assert [can_see_profile(browser) for browser in before] == [False, False, True]
        assert can_see_profile(after)

    def test_the_next_install_replaces_a_lost_report(self, bellhop: Bellhop) -> None:
        before = [bellhop.install(user_id)[0] for user_id in (ANN, BEN)]
        bellhop.clock.advance(60)
        bellhop.slack.tokens.uninstall(InstallKey(None, ACME))

        after, _ = bellhop.install(ANN)

        assert [can_see_profile(browser) for browser in before] == [False, False]
        assert can_see_profile(after)

    def test_a_replaced_token_that_slack_does_not_verify_is_rejected(
        self, bellhop: Bellhop
    ) -> None:
        before, _ = bellhop.install(ANN)
        bellhop.slack.tokens.revoke(InstallKey(None, ACME), "user", ANN)
        bellhop.slack.faults.add(Fault("auth.test", "server_error"))

        after, _ = bellhop.install(ANN)

        assert [can_see_profile(browser) for browser in (before, after)] == [False, True]

    def test_sign_ins_with_a_valid_token_end_no_session(self, bellhop: Bellhop) -> None:
        browsers = [bellhop.install(ANN, query=query)[0] for query in ("", "?only=profile", "")]
        asked = len(bellhop.slack.calls_to("auth.test"))

        browsers.append(bellhop.install(ANN, query="?only=profile")[0])

        assert [can_see_profile(browser) for browser in browsers] == [True] * 4
        # Slack returned the token that was stored.
        assert len(bellhop.slack.calls_to("auth.test")) == asked

    @pytest.mark.sqlite_only
    @pytest.mark.parametrize("hours", [1, 13])
    def test_a_rotating_token_that_was_not_revoked_is_replaced_without_effect(
        self, bellhop: Bellhop, hours: int
    ) -> None:
        """It is valid, or has expired."""
        before, _ = bellhop.install(ANN)
        give_rotating_token(bellhop, hours)

        bellhop.install(ANN, query="?only=profile")

        assert can_see_profile(before)

    def test_a_late_report_ends_the_sessions_of_a_token_that_had_expired(
        self, bellhop: Bellhop
    ) -> None:
        before, _ = bellhop.install(ANN)
        bellhop.clock.advance(60)
        bellhop.slack.tokens.revoke(InstallKey(None, ACME), "user", ANN)
        give_rotating_token(bellhop, 13)
        bellhop.clock.advance(60)
        after, _ = bellhop.install(ANN, query="?only=profile")
        assert can_see_profile(before)
        bellhop.clock.advance(240)

        send(bellhop, {"type": "tokens_revoked", "tokens": {"oauth": [ANN], "bot": []}}, 300)

        assert [can_see_profile(browser) for browser in (before, after)] == [False, True]

    def test_an_outage_of_slack_delays_a_removal(self, bellhop: Bellhop) -> None:
        bellhop.install(ANN)
        bellhop.slack.faults.add(Fault("auth.test", "server_error"))
        bellhop.slack.uninstall(ACME)
        bellhop.settle()
        assert {"installation", "user"} <= set(pending(bellhop))
        assert bellhop.services.profiles.find(ACME, ANN) is not None

        bellhop.slack.faults.clear()
        bellhop.services.installation_checks.run()

        assert pending(bellhop) == []
        assert bellhop.services.profiles.find(ACME, ANN) is None

    def test_a_late_report_erases_nothing_after_an_unlink(self, bellhop: Bellhop) -> None:
        bellhop.install(ANN)
        stored = bellhop.services.installations.find(enterprise_id=None, team_id=ACME, user_id=ANN)
        assert stored is not None
        bellhop.services.lifecycle.profiles.unlink(stored)
        bellhop.services.subscriptions.subscribe(ACME, ANN, SubscriptionSpec("deploys"))

        # The event with which Slack reports the revocation.
        bellhop.services.revocations.revoke_pending()
        bellhop.settle()

        assert len(bellhop.services.subscriptions.of_address(ACME, ANN)) == 1
        assert pending(bellhop) == []

    def test_an_install_while_slack_is_asked_stays(
        self, bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bellhop.install(ANN)
        verify = bellhop.services.client.verify_bot
        bellhop.slack.uninstall(ACME)

        def verify_and_install(place: Any) -> None:
            verify(place)
            bellhop.install(ANN)

        monkeypatch.setattr(bellhop.services.client, "verify_bot", verify_and_install)
        bellhop.settle()

        assert bellhop.services.profiles.find(ACME, ANN) is not None
        assert bellhop.services.store.find_bot(enterprise_id=None, team_id=ACME) is not None


def give_rotating_token(bellhop: Bellhop, hours: int) -> None:
    """Replace Ann's stored token by a rotating one, issued some hours ago."""
    key, issued_at = InstallKey(None, ACME), bellhop.clock.timestamp() - hours * 3600
    issued = bellhop.slack.tokens.issue(key, "user", ANN, (), now=issued_at, rotating=True)
    with bellhop.services.database.writing() as session:
        session.scalars(select(UserInstallation)).one().user_token = issued.token.value


def can_see_profile(browser: Browser) -> bool:
    return browser.get("/profile").status == 200


def pending(bellhop: Bellhop) -> list[str]:
    with bellhop.services.database.reading() as session:
        return list(session.scalars(select(InstallationCheck.kind)))
