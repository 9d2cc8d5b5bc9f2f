"""Stored data follows Slack's events, once each, in any order."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from bolt_app.db.models import (
    BotInstallation,
    EventReceipt,
    Membership,
    Preference,
    Subscription,
    Team,
    User,
    UserInstallation,
)
from bolt_app.db.receipts import answering
from bolt_app.lifecycle.events import EventOrigin
from bolt_app.notifications.digests.preferences import NotificationPreferences, Preferences
from bolt_app.notifications.subscriptions import service
from bolt_app.notifications.subscriptions.service import Subscriptions, SubscriptionSpec
from bolt_app.profiles import slack_changes
from bolt_app.profiles.removal import forget_users
from bolt_app.profiles.store import search_member
from tests.conftest import FakeClock
from tests.delivering import wait_until
from tests.locks import is_waited_for
from tests.people import ACME, ANN, ANN_AT_BETA, BEA, BEN, BETA, GENERAL
from tests.running import Bellhop


def count(bellhop: Bellhop, model: type) -> int:
    with bellhop.services.database.reading() as session:
        return session.scalars(select(func.count()).select_from(model)).one()


def send(bellhop: Bellhop, event: dict[str, Any], team_id: str = ACME) -> None:
    delivery = bellhop.slack.send_event(team_id, event)
    assert [attempt.status for attempt in delivery.attempts] == [200]


def assert_forgotten(bellhop: Bellhop) -> None:
    for model in (BotInstallation, UserInstallation, User, Membership, Team):
        assert count(bellhop, model) == 0


@pytest.mark.parametrize("uninstalled_first", [True, False])
def test_an_uninstall_deletes_everything_in_either_order(
    bellhop: Bellhop, uninstalled_first: bool
) -> None:
    browser, _ = bellhop.install(ANN)
    bellhop.install(BEN)

    bellhop.slack.uninstall(ACME, uninstalled_first=uninstalled_first)
    bellhop.settle()

    assert_forgotten(bellhop)
    assert browser.get("/profile").status == 303
    result = bellhop.slack.send_command(ANN, GENERAL, "/profile", "")
    assert result.error == "unknown_command"


@pytest.mark.sqlite_only
@pytest.mark.parametrize("words", ["subscribe deploys", "quiet 22-7"])
def test_a_command_in_progress_stores_nothing_after_an_uninstall(
    bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    """The person was authorized before; it would stay for the next installation."""
    bellhop.install(ANN)

    def uninstall_first(service: Any, method: str) -> None:
        change = getattr(service, method)

        def change_late(*given: Any, **named: Any) -> Any:
            bellhop.slack.uninstall(ACME)
            bellhop.settle()
            return change(*given, **named)

        monkeypatch.setattr(service, method, change_late)

    uninstall_first(Subscriptions, "subscribe")
    uninstall_first(Preferences, "choose")
    bellhop.slack.send_command(ANN, GENERAL, "/notify", words)

    assert_forgotten(bellhop)
    assert (count(bellhop, Subscription), count(bellhop, Preference)) == (0, 0)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_an_uninstall_waits_for_changes_and_deletes_them(
    bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite has one writer at a time."""
    bellhop.install(ANN)
    services, uninstalls = bellhop.services, list[Future[Any]]()
    monkeypatch.setattr(services.installation_checks, "run_in_background", lambda _: None)
    bellhop.slack.uninstall(ACME)
    bellhop.slack.deliver_due()
    find = service._find

    def find_during_uninstall(session: Session, *given: Any) -> Any:
        uninstalls.append(pool.submit(services.installation_checks.run))
        wait_until(bellhop, lambda: uninstalls[0].done() or is_waited_for(session))
        return find(session, *given)

    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(service, "_find", find_during_uninstall)
        with answering("request:1", services.client.keep_installed):
            spec = SubscriptionSpec("deploys", created_by=ANN)
            services.subscriptions.subscribe(ACME, ANN, spec)
        uninstalls[0].result(timeout=30)

    assert_forgotten(bellhop)
    assert count(bellhop, Subscription) == 0


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("is_known", [True, False])
def test_a_removal_waits_for_a_locked_installation(bellhop: Bellhop, is_known: bool) -> None:
    """Also in a workspace of an organization, which nothing has locked before."""
    services = bellhop.services
    place: dict[str, str | None] = {"enterprise_id": None, "team_id": "T0NEW"}
    if is_known:
        services.store.delete_bot(**place)

    with ThreadPoolExecutor(1) as pool:
        with services.database.writing_connection() as connection:
            services.installations.lock(connection, "T0NEW")
            removal = pool.submit(services.store.delete_bot, **place)
            wait_until(bellhop, lambda: removal.done() or is_waited_for(connection))

            assert not removal.done()
        removal.result(timeout=30)


def test_an_uninstall_elsewhere_changes_nothing_here(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    bellhop.install(ANN_AT_BETA)

    bellhop.slack.uninstall(BETA)
    bellhop.settle()

    assert bellhop.services.profiles.find(ACME, ANN) is not None
    assert bellhop.services.profiles.find(BETA, ANN_AT_BETA) is None


def test_events_about_people_and_workspaces_never_seen(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    send(bellhop, {"type": "tokens_revoked", "tokens": {"oauth": ["U0NOBODY1"], "bot": []}})
    send(bellhop, {"type": "user_change", "user": {"id": "U0NOBODY1", "profile": {}}})
    send(bellhop, {"type": "team_rename", "name": "Unknown"}, BETA)

    assert count(bellhop, User) == 1


def test_a_person_who_takes_their_token_back_is_forgotten(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    bellhop.install(BEN)

    bellhop.slack.revoke_tokens(ACME, users=[BEN])
    bellhop.settle()

    assert bellhop.services.profiles.find(ACME, BEN) is None
    assert bellhop.services.profiles.find(ACME, ANN) is not None
    assert bellhop.services.store.find_bot(enterprise_id=None, team_id=ACME) is not None


def test_a_revoked_bot_token_leaves_the_profiles(bellhop: Bellhop) -> None:
    bellhop.install(ANN)

    bellhop.slack.revoke_tokens(ACME, bot=True)
    bellhop.settle()

    assert bellhop.services.store.find_bot(enterprise_id=None, team_id=ACME) is None


def test_a_changed_profile_is_followed(bellhop: Bellhop) -> None:
    bellhop.install(ANN)

    bellhop.slack.update_user(ANN, real_name="Ann Smith", title="Concierge", tz="Asia/Tokyo")
    bellhop.slack.deliver_due()

    profile = bellhop.services.profiles.find(ACME, ANN)
    assert profile is not None
    assert (profile.real_name, profile.title, profile.tz) == (
        "Ann Smith",
        "Concierge",
        "Asia/Tokyo",
    )
    assert profile.email == "ann@acme.example"


def test_an_older_change_that_comes_late_is_not_taken_over(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    old = {"id": ANN, "team_id": ACME, "updated": 1, "profile": {"real_name": "Ann Before"}}

    send(bellhop, {"type": "user_change", "user": old})

    profile = bellhop.services.profiles.find(ACME, ANN)
    assert profile is not None
    assert profile.real_name == "Ann Archer"


def test_a_renamed_workspace_is_followed(bellhop: Bellhop) -> None:
    bellhop.install(ANN)

    bellhop.slack.rename_team(ACME, "Acme & Sons")
    bellhop.slack.change_domain(ACME, "acme-sons")
    bellhop.slack.deliver_due()

    profile = bellhop.services.profiles.find(ACME, ANN)
    assert profile is not None
    assert (profile.workspaces[0].name, profile.workspaces[0].domain) == (
        "Acme & Sons",
        "acme-sons",
    )


def test_an_event_takes_effect_once(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    bellhop.slack.rename_team(ACME, "First")
    bellhop.slack.deliver_due()
    delivery = bellhop.slack.deliveries[-1]
    bellhop.slack.rename_team(ACME, "Second")
    bellhop.slack.deliver_due()

    lifecycle, event_id = bellhop.services.lifecycle, delivery.payload["event_id"]

    lifecycle.profiles.team_changed(EventOrigin(event_id, None, ACME, False), "name", "First")

    profile = bellhop.services.profiles.find(ACME, ANN)
    assert profile is not None
    assert profile.workspaces[0].name == "Second"


def test_receipts_are_swept_after_a_day(bellhop: Bellhop, clock: FakeClock) -> None:

    lifecycle = bellhop.services.lifecycle
    lifecycle.installations.app_uninstalled(EventOrigin("Ev1", None, ACME, False))
    clock.advance(24 * 3600 + 1)
    lifecycle.installations.app_uninstalled(EventOrigin("Ev2", None, ACME, False))

    with bellhop.services.database.reading() as session:
        assert session.scalars(select(EventReceipt.event_id)).all() == ["Ev2"]


def test_slack_retries_an_event_while_the_database_is_down(
    bellhop: Bellhop, clock: FakeClock
) -> None:

    bellhop.install(ANN)
    database = bellhop.services.database
    with database.writing_connection() as connection:
        connection.execute(text("ALTER TABLE event_receipts RENAME TO away"))
    delivery = bellhop.slack.send_event(ACME, {"type": "team_rename", "name": "Renamed"})
    # Slack's first retry is immediate, so it may have happened already.
    assert {attempt.status for attempt in delivery.attempts} == {503}
    with database.writing_connection() as connection:
        connection.execute(text("ALTER TABLE away RENAME TO event_receipts"))

    def is_delivered() -> bool:
        # Past the time of the next retry, because one under way may still arrive too early.
        clock.advance(300)
        bellhop.slack.deliver_due()
        return delivery.attempts[-1].status == 200

    wait_until(bellhop, is_delivered)
    profile = bellhop.services.profiles.find(ACME, ANN)
    assert profile is not None
    assert profile.workspaces[0].name == "Renamed"


class TestExternalUsers:
    """Slack also sends a workspace the people of others that share a channel with it."""

    @pytest.fixture
    def both(self, bellhop: Bellhop) -> Bellhop:
        bellhop.install(ANN)
        bellhop.install(BEA)
        bellhop.services.subscriptions.subscribe(
            BETA, BEA, SubscriptionSpec("deploys", created_by=BEA)
        )
        bellhop.services.preferences.choose(
            BETA, BEA, NotificationPreferences(direct="hourly", tz="UTC")
        )
        bellhop.clock.advance(3600)
        return bellhop

    @pytest.mark.parametrize("is_stranger", [True, False])
    @pytest.mark.parametrize("updated", [0, 1_900_000_000])
    def test_an_event_about_them_changes_nothing_at_home(
        self, both: Bellhop, updated: int, is_stranger: bool
    ) -> None:
        guest = {"is_restricted": True, "is_admin": False, "is_owner": False}
        for change in (guest, {"deleted": True}):
            user = {"id": BEA, "team_id": BETA, "updated": updated, "is_stranger": is_stranger}
            send(both, {"type": "user_change", "user": {**user, **change}}, ACME)

        [found] = both.services.subscriptions.of_address(BETA, BEA)
        assert found.paused is None
        assert both.services.preferences.find(BETA, BEA).direct == "hourly"
        profile = both.services.profiles.find(BETA, BEA)
        assert profile is not None
        assert not profile.is_deleted
        assert profile.workspaces[0].is_admin

    def test_a_person_without_a_link_is_not_erased(self, bellhop: Bellhop) -> None:
        bellhop.install(ANN)
        bellhop.install(ANN_AT_BETA)
        bellhop.services.subscriptions.subscribe(
            BETA, BEA, SubscriptionSpec("deploys", created_by=BEA)
        )
        bellhop.clock.advance(3600)
        gone = {"id": BEA, "team_id": BETA, "deleted": True, "is_stranger": True}

        send(bellhop, {"type": "user_change", "user": gone}, ACME)

        [found] = bellhop.services.subscriptions.of_address(BETA, BEA)
        assert found.paused is None


class TestLateEvents:
    """Slack retries an event for minutes, so a later one may have taken effect by then."""

    @pytest.mark.parametrize("is_linked", [True, False])
    def test_an_earlier_role_brings_nothing_back(self, bellhop: Bellhop, is_linked: bool) -> None:
        bellhop.install(ANN)
        if is_linked:
            bellhop.install(BEN)
        bellhop.services.subscriptions.subscribe(ACME, BEN, SubscriptionSpec("*"))
        earlier = bellhop.slack.users[BEN].as_slack("http://x", at=0)
        bellhop.clock.advance(60)
        bellhop.slack.update_user(BEN, is_restricted=True)
        bellhop.slack.deliver_due()

        send(bellhop, {"type": "user_change", "user": earlier})

        [found] = bellhop.services.subscriptions.of_address(ACME, BEN)
        assert found.paused == "guest"

    @pytest.mark.parametrize("is_linked", [True, False])
    def test_a_change_without_a_date_is_as_old_as_its_event(
        self, bellhop: Bellhop, is_linked: bool
    ) -> None:
        bellhop.install(ANN)
        if is_linked:
            bellhop.install(BEN)
        bellhop.services.subscriptions.subscribe(ACME, BEN, SubscriptionSpec("*"))
        user = bellhop.slack.users[BEN].as_slack("http://x", at=0)
        undated = {**user, "updated": 0}
        earlier = EventOrigin("Ev0LATE", None, ACME, False, bellhop.clock())
        bellhop.clock.advance(60)
        bellhop.slack.update_user(BEN, is_restricted=True)
        bellhop.slack.deliver_due()

        bellhop.services.lifecycle.profiles.user_changed(earlier, undated)
        [found] = bellhop.services.subscriptions.of_address(ACME, BEN)
        assert found.paused == "guest"

        bellhop.clock.advance(60)
        send(bellhop, {"type": "user_change", "user": undated})
        [found] = bellhop.services.subscriptions.of_address(ACME, BEN)
        assert found.paused is None

    def test_an_earlier_role_takes_nothing_away(self, bellhop: Bellhop) -> None:
        bellhop.install(ANN)
        bellhop.services.subscriptions.subscribe(ACME, BEN, SubscriptionSpec("*"))
        bellhop.slack.update_user(BEN, is_restricted=True)
        guest = bellhop.slack.users[BEN].as_slack("http://x", at=bellhop.clock.timestamp())
        bellhop.clock.advance(60)
        bellhop.slack.update_user(BEN, is_restricted=False)
        bellhop.slack.deliver_due()

        send(bellhop, {"type": "user_change", "user": guest})

        [found] = bellhop.services.subscriptions.of_address(ACME, BEN)
        assert found.paused is None

    def test_an_earlier_deactivation_erases_nothing(self, bellhop: Bellhop) -> None:
        bellhop.install(ANN)
        gone = bellhop.slack.users[BEN].as_slack("http://x", at=bellhop.clock.timestamp())
        bellhop.clock.advance(60)
        bellhop.services.preferences.choose(
            ACME, BEN, NotificationPreferences(direct="hourly", tz="UTC")
        )

        send(bellhop, {"type": "user_change", "user": {**gone, "deleted": True}})

        assert bellhop.services.preferences.find(ACME, BEN).direct == "hourly"

    def test_a_change_brings_back_nobody_who_unlinks_meanwhile(
        self, bellhop: Bellhop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """On PostgreSQL, rows may disappear between two statements of one transaction."""
        bellhop.install(ANN)

        def search_and_lose(session: Session, *given: Any) -> int | None:
            found = search_member(session, *given)
            forget_users(session, [ACME], [ANN])
            return found

        facts = bellhop.slack.users[ANN].as_slack("http://x", at=bellhop.clock.timestamp())
        monkeypatch.setattr(slack_changes, "search_member", search_and_lose)
        with bellhop.services.database.writing() as session:
            slack_changes.follow_user(session, ACME, None, facts, bellhop.clock())

        assert count(bellhop, User) == 0
