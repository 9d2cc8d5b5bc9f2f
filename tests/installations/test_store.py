"""The installation store, beyond the contract of slack_sdk's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from cryptography.fernet import Fernet
from slack_sdk.oauth.installation_store import Bot, Installation
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError

from bolt_app.db import Database, DecryptionError, schema
from bolt_app.db.models import (
    BotInstallation,
    InstallationRevision,
    Team,
    TokenRevocation,
    UserInstallation,
)
from bolt_app.installations.records import StoredInstallation
from tests.conftest import FakeClock
from tests.installations.installing import (
    CLIENT_ID,
    Store,
    an_installation,
    an_organization_installation,
)

NO_BOT: dict[str, Any] = {"bot_token": None, "bot_id": None, "bot_user_id": None, "bot_scopes": []}
NO_USER_TOKEN: dict[str, Any] = {"user_token": None, "user_scopes": []}


@pytest.fixture
def store(database: Database, clock: FakeClock) -> Store:
    return Store(CLIENT_ID, database, clock=clock)


def rows(
    database: Database,
    model: type[BotInstallation | UserInstallation | InstallationRevision],
) -> int:
    with database.reading() as session:
        return session.scalars(select(func.count()).select_from(model)).one()


def installation_of(store: Store, user_id: str = "U1", team_id: str = "T1") -> Installation:
    found = store.find_installation(enterprise_id=None, team_id=team_id, user_id=user_id)
    assert found is not None
    return found


def bot_of(store: Store, team_id: str = "T1") -> Bot:
    found = store.find_bot(enterprise_id=None, team_id=team_id)
    assert found is not None
    return found


def stored_of(store: Store, user_id: str = "U1") -> StoredInstallation:
    found = store.directory.find(enterprise_id=None, team_id="T1", user_id=user_id)
    assert found is not None
    return found


def revision_of(store: Store, team_id: str = "T1") -> int:
    return store.reader.revision(enterprise_id=None, team_id=team_id)


class TestOneRowEach:
    def test_two_people_in_one_second_keep_their_own_tokens(self, store: Store) -> None:
        for user_id in ("U1", "U2"):
            store.save(an_installation(user_id, installed_at=1_000_000_000.0))

        assert installation_of(store, "U1").user_token == "xoxp-U1"
        assert installation_of(store, "U2").user_token == "xoxp-U2"

    def test_a_hundred_reinstalls_leave_one_row(self, database: Database, store: Store) -> None:
        for number in range(100):
            store.save(an_installation(installed_at=1e9 + number, bot_token=f"xoxb-{number}"))

        assert rows(database, UserInstallation) == 1
        assert rows(database, BotInstallation) == 1
        assert rows(database, InstallationRevision) == 1
        assert bot_of(store).bot_token == "xoxb-99"
        assert installation_of(store).installed_at == 1e9 + 99

    def test_fifty_people_install_in_one_workspace_at_once(
        self, database: Database, store: Store
    ) -> None:
        people = [f"U{number}" for number in range(50)]
        at_once(len(people), lambda number: store.save(an_installation(people[number])))

        tokens = [installation_of(store, user_id).user_token for user_id in people]
        assert tokens == [f"xoxp-{user_id}" for user_id in people]
        assert rows(database, UserInstallation) == 50
        assert rows(database, BotInstallation) == 1
        assert revision_of(store) == 50

    def test_fifty_workspaces_install_at_once(self, database: Database, store: Store) -> None:
        at_once(
            50,
            lambda number: store.save(
                an_installation(team_id=f"T{number}", bot_token=f"xoxb-{number}")
            ),
        )

        bots = [bot_of(store, f"T{number}").bot_token for number in range(50)]
        assert bots == [f"xoxb-{number}" for number in range(50)]
        assert rows(database, UserInstallation) == 50

    def test_one_person_installs_many_times_at_once(self, database: Database, store: Store) -> None:
        at_once(
            # PostgreSQL's lock timeout is a second, which is short for more on a busy machine.
            8,
            lambda number: store.save(
                an_installation(bot_token=f"xoxb-{number}", user_token=f"xoxp-{number}")
            ),
        )

        assert rows(database, UserInstallation) == 1
        assert rows(database, BotInstallation) == 1
        found = installation_of(store)
        # The bot and the person are from the same install.
        assert found.bot_token is not None
        assert found.user_token == found.bot_token.replace("xoxb", "xoxp")

    def test_installs_and_uninstalls_at_once_leave_no_halves(
        self, database: Database, store: Store
    ) -> None:
        def act(number: int) -> None:
            if number % 2:
                store.save(an_installation())
            else:
                store.delete_all(enterprise_id=None, team_id="T1")

        at_once(8, act)

        assert rows(database, UserInstallation) == rows(database, BotInstallation)

    def test_two_apps_in_one_database_do_not_see_one_another(
        self, database: Database, store: Store
    ) -> None:
        other = Store("333.444", database)
        store.save(an_installation())

        assert other.find_bot(enterprise_id=None, team_id="T1") is None
        assert other.directory.find(enterprise_id=None, team_id="T1", user_id="U1") is None
        assert other.directory.find_by_id(stored_of(store).id) is None
        assert other.reader.revision(enterprise_id=None, team_id="T1") == 0
        other.delete_all(enterprise_id=None, team_id="T1")
        assert bot_of(store).bot_token == "xoxb-1"


class TestReinstalls:
    def test_without_a_user_token_the_stored_one_stays(self, store: Store) -> None:
        store.save(
            an_installation(user_refresh_token="xoxe-1", user_token_expires_at=1_900_000_000)
        )
        store.save(an_installation(bot_token="xoxb-2", **NO_USER_TOKEN))

        found = installation_of(store)
        assert found.bot_token == "xoxb-2"
        assert found.user_token == "xoxp-U1"
        assert found.user_scopes == ["users:read"]
        assert found.user_refresh_token == "xoxe-1"
        assert found.user_token_expires_at == 1_900_000_000

    def test_a_new_user_token_replaces_all_of_the_old_one(self, store: Store) -> None:
        store.save(
            an_installation(user_refresh_token="xoxe-1", user_token_expires_at=1_900_000_000)
        )
        store.save(an_installation(user_token="xoxp-2", user_scopes=["users:read.email"]))

        found = installation_of(store)
        assert found.user_token == "xoxp-2"
        assert found.user_scopes == ["users:read.email"]
        assert found.user_refresh_token is None
        assert found.user_token_expires_at is None

    def test_without_a_bot_token_no_bot_is_added(self, database: Database, store: Store) -> None:
        store.save(an_installation(**NO_BOT))

        assert rows(database, BotInstallation) == 0
        assert installation_of(store).bot_token is None

    def test_without_a_bot_token_the_bot_stays_as_it_was(self, store: Store) -> None:
        store.save(an_installation())
        before = vars(bot_of(store))
        store.save(an_installation("U2", **{**NO_BOT, "bot_scopes": ["openid"]}))

        assert vars(bot_of(store)) == before
        assert installation_of(store, "U2").bot_scopes == ["chat:write", "commands"]

    def test_everyone_has_the_new_bot_immediately(self, store: Store) -> None:
        store.save(an_installation("U1"))
        store.save(an_installation("U2", bot_token="xoxb-2", bot_scopes=["chat:write"]))

        found = installation_of(store, "U1")
        assert found.bot_token == "xoxb-2"
        assert found.bot_scopes == ["chat:write"]

    def test_after_the_bot_went_an_installation_has_none(self, store: Store) -> None:
        store.save(an_installation())
        store.delete_bot(enterprise_id=None, team_id="T1")

        found = installation_of(store)
        assert found.bot_token is None
        assert found.bot_id is None
        assert found.user_token == "xoxp-U1"

    def test_without_a_webhook_the_stored_one_stays(self, store: Store) -> None:
        store.save(
            an_installation(
                incoming_webhook_url="https://hooks.example.com/1", incoming_webhook_channel="#a"
            )
        )
        store.save(an_installation())

        assert installation_of(store).incoming_webhook_url == "https://hooks.example.com/1"
        assert installation_of(store).incoming_webhook_channel == "#a"

    def test_it_clears_the_marks_of_invalid_tokens(self, store: Store) -> None:
        store.save(an_installation())
        mark_both_invalid(store)
        store.save(an_installation(bot_token="xoxb-2", user_token="xoxp-2"))

        assert stored_of(store).bot_invalid_reason is None
        assert stored_of(store).user_invalid_reason is None

    def test_a_kept_invalid_user_token_stays_invalid(self, store: Store) -> None:
        store.save(an_installation())
        mark_both_invalid(store)
        store.save(an_installation(bot_token="xoxb-2", **NO_USER_TOKEN))

        assert stored_of(store).bot_invalid_reason is None
        assert stored_of(store).user_invalid_reason == "token_revoked"

    def test_the_profile_is_to_be_recorded_again(self, store: Store, clock: FakeClock) -> None:
        store.save(an_installation())
        store.directory.mark_recorded(stored_of(store).id, clock())
        assert store.directory.pending_recordings() == []

        store.save(an_installation())

        assert [pending.user_id for pending in store.directory.pending_recordings()] == ["U1"]

    def test_an_id_is_never_reused(self, store: Store) -> None:
        store.save(an_installation())
        before = stored_of(store).id
        store.delete_all(enterprise_id=None, team_id="T1")
        store.save(an_installation())

        assert stored_of(store).id != before
        assert store.directory.find_by_id(before) is None

    def test_a_reinstall_keeps_the_id(self, store: Store) -> None:
        store.save(an_installation())
        before = stored_of(store).id
        store.save(an_installation("U2"))
        store.save(an_installation("U1"))

        assert stored_of(store).id == before
        assert store.directory.find_by_id(before) == stored_of(store)


class TestOrganizations:
    def test_one_saved_with_a_team_is_found_without(self, store: Store) -> None:
        # https://github.com/slackapi/python-slack-sdk/issues/1639
        store.save(an_organization_installation(team_id="T1", team_name="Acme"))

        for team_id in (None, "T1", "T2"):
            found = store.find_installation(
                enterprise_id="E1", team_id=team_id, user_id="U1", is_enterprise_install=True
            )
            assert found is not None
            assert found.team_id is None
            assert found.bot_token == "xoxb-1"
            bot = store.find_bot(enterprise_id="E1", team_id=team_id, is_enterprise_install=True)
            assert bot is not None
            assert bot.team_id is None

    def test_the_organization_and_one_of_its_workspaces_are_two_installations(
        self, store: Store
    ) -> None:
        store.save(an_organization_installation(bot_token="xoxb-org"))
        store.save(an_installation(enterprise_id="E1", bot_token="xoxb-team"))

        of_team = store.find_bot(enterprise_id="E1", team_id="T1")
        of_organization = store.find_bot(
            enterprise_id="E1", team_id="T1", is_enterprise_install=True
        )
        assert of_team is not None
        assert of_organization is not None
        assert of_team.bot_token == "xoxb-team"
        assert of_organization.bot_token == "xoxb-org"

    @pytest.mark.parametrize(("before", "after"), [(None, "E1"), ("E1", "E2"), ("E1", None)])
    def test_a_workspace_joins_or_leaves_one(
        self, database: Database, store: Store, before: str | None, after: str | None
    ) -> None:
        """Its id is unique in all of Slack: slack_sdk's store would have further rows."""
        for user_id in ("U1", "U2"):
            store.save(an_installation(user_id, enterprise_id=before, enterprise_name="Before"))
        known = [stored_of(store, user_id).id for user_id in ("U1", "U2")]
        revision = revision_of(store)

        store.save(an_installation("U1", enterprise_id=after, enterprise_name="After"))

        moved = [stored_of(store, user_id) for user_id in ("U1", "U2")]
        assert [found.id for found in moved] == known
        assert {found.enterprise_id for found in moved} == {after}
        assert {found.enterprise_name for found in moved} == {"After"}
        assert {found.bot_token for found in moved} == {"xoxb-1"}
        assert bot_of(store).enterprise_id == after
        assert rows(database, BotInstallation) == rows(database, InstallationRevision) == 1
        for enterprise_id in (before, after):
            place = {"enterprise_id": enterprise_id, "team_id": "T1"}
            assert store.reader.revision(**place) > revision
            assert store.reader.find(**place, user_id="U2") is not None
            assert store.reader.revisions([(enterprise_id, "T1")]).keys() == {(enterprise_id, "T1")}
        store.delete_all(enterprise_id=before, team_id="T1")
        assert rows(database, UserInstallation) == rows(database, BotInstallation) == 0

    def test_its_bot_serves_a_known_workspace(
        self, database: Database, store: Store, clock: FakeClock
    ) -> None:
        store.save(an_organization_installation())
        with database.writing() as session:
            session.add(Team(team_id="T1", enterprise_id="E1", created_at=clock()))

        assert store.directory.find_workspace("T1") == ("E1", True)
        assert store.directory.find_workspace("T2") is None

    def test_a_workspaces_bot_takes_precedence(
        self, database: Database, store: Store, clock: FakeClock
    ) -> None:
        store.save(an_organization_installation())
        store.save(an_installation(enterprise_id="E1"))
        with database.writing() as session:
            session.add(Team(team_id="T1", enterprise_id="E1", created_at=clock()))

        assert store.directory.find_workspace("T1") == ("E1", False)


class TestRevisions:
    def test_there_is_none_before_the_first_install(self, store: Store) -> None:
        assert revision_of(store) == 0

    def test_every_change_raises_it(self, database: Database, store: Store) -> None:
        seen = []

        def look() -> None:
            seen.append(revision_of(store))

        store.save(an_installation())
        look()
        store.save_bot(bot_of(store))
        look()
        mark_both_invalid(store)
        look()
        with database.writing() as session:
            store.removals.release(session, stored_of(store))
        look()
        store.delete_installation(enterprise_id=None, team_id="T1")
        look()
        store.delete_bot(enterprise_id=None, team_id="T1")
        look()
        store.delete_all(enterprise_id=None, team_id="T1")
        look()

        assert seen == sorted(set(seen))

    def test_another_workspace_keeps_its_own(self, store: Store) -> None:
        store.save(an_installation(team_id="T2"))
        store.save(an_installation(team_id="T1"))

        assert revision_of(store, "T2") == 1

    def test_recording_a_profile_does_not_raise_it(self, store: Store, clock: FakeClock) -> None:
        store.save(an_installation())
        store.directory.mark_recorded(stored_of(store).id, clock())

        assert revision_of(store) == 1
        assert stored_of(store).profile_recorded_at == clock()

    def test_it_goes_on_after_an_uninstall(self, store: Store) -> None:
        store.save(an_installation())
        store.delete_all(enterprise_id=None, team_id="T1")
        gone = revision_of(store)
        store.save(an_installation())

        assert revision_of(store) > gone > 1

    def test_a_failed_change_does_not_raise_it(self, store: Store) -> None:
        store.save(an_installation())
        broken = an_installation(bot_token="xoxb-2")
        broken.user_id = None  # type: ignore[assignment]

        with pytest.raises(SQLAlchemyError):
            store.save(broken)

        assert revision_of(store) == 1
        assert bot_of(store).bot_token == "xoxb-1"


class TestGrants:
    def test_there_is_none_before_the_first_install(self, store: Store) -> None:
        assert store.reader.find(enterprise_id=None, team_id="T1", user_id="U1") is None

    def test_it_holds_the_bot_and_that_persons_own_token(self, store: Store) -> None:
        store.save(an_installation("U1"))
        store.save(an_installation("U2"))

        grant = store.reader.find(enterprise_id=None, team_id="T1", user_id="U1")

        assert grant is not None
        assert grant.revision == revision_of(store)
        assert grant.bot_token == "xoxb-1"
        assert grant.bot_scopes == ("chat:write", "commands")
        assert grant.user_token == "xoxp-U1"
        assert grant.user_scopes == ("users:read",)
        assert grant.installation_id == stored_of(store, "U1").id

    @pytest.mark.parametrize("user_id", ["U2", None, ""])
    def test_a_person_without_a_token_gets_none(self, store: Store, user_id: str | None) -> None:
        store.save(an_installation("U1"))

        grant = store.reader.find(enterprise_id=None, team_id="T1", user_id=user_id)

        assert grant is not None
        assert grant.bot_token == "xoxb-1"
        assert grant.user_token is None
        assert grant.installation_id is None

    def test_after_an_uninstall_it_is_empty(self, store: Store) -> None:
        store.save(an_installation("U1"))
        store.delete_all(enterprise_id=None, team_id="T1")

        grant = store.reader.find(enterprise_id=None, team_id="T1", user_id="U1")

        assert grant is not None
        assert grant.bot_token is None
        assert grant.user_token is None


class TestDeadTokens:
    def test_both_are_marked_with_slacks_reason(self, store: Store) -> None:
        store.save(an_installation())
        mark_both_invalid(store)

        assert stored_of(store).bot_invalid_reason == "account_inactive"
        assert stored_of(store).user_invalid_reason == "token_revoked"

    def test_a_token_that_was_replaced_meanwhile_is_left_alone(self, store: Store) -> None:
        store.save(an_installation(bot_token="xoxb-2", user_token="xoxp-2"))
        mark_both_invalid(store)

        assert stored_of(store).bot_invalid_reason is None
        assert stored_of(store).user_invalid_reason is None

    def test_a_missing_installation_is_not_marked(self, store: Store) -> None:
        mark_both_invalid(store)

        assert store.directory.find(enterprise_id=None, team_id="T1", user_id="U1") is None

    def test_an_invalid_token_affects_only_its_person(self, store: Store) -> None:
        store.save(an_installation("U1"))
        store.save(an_installation("U2"))
        mark_both_invalid(store)

        assert stored_of(store, "U2").user_invalid_reason is None

    def test_an_expired_token_that_can_be_refreshed_is_due_instead(
        self, store: Store, clock: FakeClock
    ) -> None:
        # Rotation resolves "token_expired".
        later = int(clock.timestamp()) + 3600
        store.save(
            an_installation(
                bot_refresh_token="xoxe-1",
                bot_token_expires_at=later,
                user_refresh_token="xoxe-2",
                user_token_expires_at=later,
            )
        )
        mark_both_invalid(store, reason="token_expired")

        grant = store.reader.find(enterprise_id=None, team_id="T1", user_id="U1")
        assert grant is not None
        assert grant.bot_invalid_reason is None
        assert grant.user_invalid_reason is None
        assert grant.bot_token_expires_at == grant.user_token_expires_at == clock()

    def test_an_expired_token_without_refresh_is_invalid(self, store: Store) -> None:
        store.save(an_installation())
        mark_both_invalid(store, reason="token_expired")

        assert stored_of(store).bot_invalid_reason == "token_expired"
        assert stored_of(store).user_invalid_reason == "token_expired"


class TestRecordings:
    def test_the_oldest_come_first_and_no_more_than_asked_for(
        self, store: Store, clock: FakeClock
    ) -> None:
        for number, user_id in enumerate(["U3", "U1", "U2", "U4"]):
            store.save(an_installation(user_id, installed_at=1e9 + number))
        store.directory.mark_recorded(stored_of(store, "U1").id, clock())

        assert [recording.user_id for recording in store.directory.pending_recordings()] == [
            "U3",
            "U2",
            "U4",
        ]
        assert [recording.user_id for recording in store.directory.pending_recordings(limit=2)] == [
            "U3",
            "U2",
        ]

    def test_an_invalid_token_blocks_nobody(self, store: Store) -> None:
        store.save(an_installation("U1"))
        store.save(an_installation("U2"))
        mark_both_invalid(store)

        assert [recording.user_id for recording in store.directory.pending_recordings()] == ["U2"]


class TestRelease:
    def test_the_token_waits_to_be_handed_back(
        self, database: Database, store: Store, clock: FakeClock
    ) -> None:
        store.save(an_installation("U1"))
        store.save(an_installation("U2"))
        with database.writing() as session:
            store.removals.release(session, stored_of(store, "U1"))

        assert revocations(database) == ["xoxp-U1"]
        assert store.directory.find(enterprise_id=None, team_id="T1", user_id="U1") is None
        assert stored_of(store, "U2").user_token == "xoxp-U2"
        assert stored_of(store, "U2").bot_token == "xoxb-1"

    @pytest.mark.parametrize("team_id", [None, "T1"])
    def test_a_person_of_an_organization_loses_all_its_installations(
        self, database: Database, store: Store, team_id: str | None
    ) -> None:
        in_organization = {"enterprise_id": "E1"}
        store.save(an_organization_installation("W1", user_token="xoxp-E1"))
        for number in ("1", "2"):
            place = {**in_organization, "team_id": f"T{number}"}
            store.save(an_installation("W1", user_token=f"xoxp-T{number}", **place))
            store.save(an_installation("W2", **place))
        store.save(an_installation("W1", enterprise_id="E2", team_id="T3"))
        released = store.directory.find(
            enterprise_id="E1", team_id=team_id, user_id="W1", is_enterprise_install=not team_id
        )
        assert released is not None

        with database.writing() as session:
            assert store.removals.release(session, released) == ("E1", None)

        assert sorted(revocations(database)) == ["xoxp-E1", "xoxp-T1", "xoxp-T2"]
        with database.reading() as session:
            rows = session.execute(
                select(UserInstallation.enterprise_id, UserInstallation.user_id)
            ).all()
        assert sorted(rows) == [("E1", "W2"), ("E1", "W2"), ("E2", "W1")]

    def test_a_rejected_token_that_is_gone_releases_no_other(
        self, database: Database, store: Store
    ) -> None:
        store.save(an_installation("W1", enterprise_id="E1"))

        with database.writing() as session:
            assert not store.removals.remove_account(session, "E1", None, "W1")

        assert revocations(database) == []
        found = store.directory.find(enterprise_id="E1", team_id="T1", user_id="W1")
        assert found is not None

    def test_it_is_the_token_stored_now(self, database: Database, store: Store) -> None:
        store.save(an_installation())
        read_before = stored_of(store)
        store.save(an_installation(user_token="xoxp-2"))
        with database.writing() as session:
            store.removals.release(session, read_before)

        assert revocations(database) == ["xoxp-2"]

    def test_a_person_without_a_token_leaves_none_to_revoke(
        self, database: Database, store: Store
    ) -> None:
        store.save(an_installation(**NO_USER_TOKEN))
        with database.writing() as session:
            store.removals.release(session, stored_of(store))

        assert revocations(database) == []

    def test_removals_join_the_callers_transaction(self, database: Database, store: Store) -> None:
        store.save(an_installation())

        def remove_and_fail() -> None:
            with database.writing() as session:
                store.removals.remove_all(session, None, "T1")
                raise RuntimeError("afterwards")

        with pytest.raises(RuntimeError):
            remove_and_fail()

        assert stored_of(store).bot_token == "xoxb-1"
        assert revision_of(store) == 1


class TestSecrets:
    @pytest.fixture
    def misconfigured(self, database_url: str) -> Iterator[Store]:
        """The same database opened with another key."""
        database = Database(database_url, [Fernet.generate_key().decode()])
        yield Store(CLIENT_ID, database)
        database.close()

    def test_a_wrong_key_is_an_error_and_never_nothing(
        self, store: Store, misconfigured: Store
    ) -> None:
        store.save(an_installation())
        workspace: dict[str, Any] = {"enterprise_id": None, "team_id": "T1"}

        with pytest.raises(DecryptionError):
            misconfigured.find_bot(**workspace)
        with pytest.raises(DecryptionError):
            misconfigured.find_installation(**workspace)
        with pytest.raises(DecryptionError):
            misconfigured.reader.find(**workspace, user_id="U1")
        with pytest.raises(DecryptionError):
            misconfigured.directory.find(**workspace, user_id="U1")
        # An unreadable row does not block the others: a warning names it.
        assert list(misconfigured.directory.pending_recordings()) == []

    def test_uninstalling_needs_no_key(self, store: Store, misconfigured: Store) -> None:
        store.save(an_installation())
        misconfigured.delete_all(enterprise_id=None, team_id="T1")

        assert store.find_bot(enterprise_id=None, team_id="T1") is None

    @pytest.mark.parametrize("length", [1, 200, 201, 4000, 100_000])
    def test_a_token_of_any_length_is_preserved(self, store: Store, length: int) -> None:
        store.save(an_installation(bot_token="b" * length, user_token="u" * length))

        assert installation_of(store).bot_token == "b" * length
        assert installation_of(store).user_token == "u" * length

    def test_many_scopes_are_preserved(self, store: Store) -> None:
        scopes = [f"scope{number}:write" for number in range(500)]
        store.save(an_installation(bot_scopes=scopes, user_scopes=scopes))

        assert installation_of(store).bot_scopes == scopes
        assert installation_of(store).user_scopes == scopes

    def test_no_token_shows_in_a_repr(self, store: Store) -> None:
        store.save(an_installation(bot_refresh_token="xoxe-1", bot_token_expires_in=10))
        grant = store.reader.find(enterprise_id=None, team_id="T1", user_id="U1")

        assert "xox" not in repr(stored_of(store))
        assert "xox" not in repr(grant)

    def test_no_secret_is_in_the_file(self, tmp_path: Path, encryption_key: str) -> None:
        path = tmp_path / "bellhop.db"
        database = Database(f"sqlite:///{path}", [encryption_key])
        schema.upgrade(database)
        store = Store(CLIENT_ID, database)
        for number in range(20):
            store.save(
                an_installation(
                    f"U{number}",
                    bot_token=f"xoxb-bot-{number}",
                    bot_refresh_token=f"xoxe-1-bot-{number}",
                    bot_token_expires_in=43_200,
                    user_token=f"xoxp-user-{number}",
                    user_refresh_token=f"xoxe-1-user-{number}",
                    user_token_expires_in=43_200,
                    incoming_webhook_url=f"https://hooks.slack.com/services/T1/B1/{number}",
                )
            )
        with database.writing() as session:
            store.removals.release(session, stored_of(store, "U3"))
        wal = path.with_name("bellhop.db-wal").read_bytes()
        with database.engine.connect() as connection:
            connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
        database.close()

        for content in (wal, path.read_bytes()):
            assert b"U19" in content
            strings = b"\n".join(re.findall(rb"[\x20-\x7e]{4,}", content))
            # A part of a token that is too long to appear in a ciphertext by chance.
            assert not re.search(rb"xox[a-z]-[a-z0-9-]*(bot|user)-|hooks\.slack\.com", strings)


class TestMoments:
    def test_the_time_of_the_install_is_preserved(self, store: Store) -> None:
        installation = an_installation(installed_at=1_764_000_000.123456)
        store.save(installation)

        assert installation_of(store).installed_at == installation.installed_at
        assert bot_of(store).installed_at == installation.installed_at

    def test_expiries_are_read_as_whole_seconds(self, store: Store) -> None:
        store.save(
            an_installation(bot_token_expires_at=1_900_000_000, user_token_expires_at=1_900_000_001)
        )

        found = installation_of(store)
        assert (found.bot_token_expires_at, found.user_token_expires_at) == (
            1_900_000_000,
            1_900_000_001,
        )
        assert type(found.bot_token_expires_at) is int


def test_a_broken_database_raises_its_own_error(database: Database, store: Store) -> None:
    with database.writing_connection() as connection:
        connection.execute(text("ALTER TABLE bots RENAME TO bots_gone"))
    try:
        with pytest.raises(SQLAlchemyError):
            store.find_bot(enterprise_id=None, team_id="T1")
        with pytest.raises(SQLAlchemyError):
            store.save(an_installation())
        assert revision_of(store) == 0
    finally:
        with database.writing_connection() as connection:
            connection.execute(text("ALTER TABLE bots_gone RENAME TO bots"))


def at_once(number: int, act: Callable[[int], object]) -> None:
    """Call `act` with 0, 1, … from as many threads, all starting together."""
    barrier = Barrier(number)

    def run(each: int) -> None:
        barrier.wait()
        act(each)

    with ThreadPoolExecutor(number) as threads:
        list(threads.map(run, range(number)))


def mark_both_invalid(store: Store, reason: str | None = None) -> None:
    store.invalid_tokens.mark_bot(
        enterprise_id=None, team_id="T1", token="xoxb-1", reason=reason or "account_inactive"
    )
    store.invalid_tokens.mark_user(
        enterprise_id=None,
        team_id="T1",
        user_id="U1",
        token="xoxp-U1",
        reason=reason or "token_revoked",
    )


def revocations(database: Database) -> list[str]:
    with database.reading() as session:
        return list(session.scalars(select(TokenRevocation.token)))
