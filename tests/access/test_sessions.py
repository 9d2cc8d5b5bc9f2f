"""Sessions in the database, on SQLite and PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from bolt_app.access.sessions import KEEP_FOR, Sessions
from bolt_app.db import Database
from bolt_app.db.models import WebSession
from bolt_app.db.web_sessions import ABSOLUTE_TIMEOUT, IDLE_TIMEOUT
from bolt_app.installations.tokens.refresh_leases import RefreshLeases, TokenOwner
from tests.conftest import FakeClock
from tests.installations.installing import (
    CLIENT_ID,
    Store,
    an_installation,
    an_organization_installation,
)
from tests.people import ACME, ANN, GRID, NORTH, SOUTH, WES
from tests.running import Bellhop, Browser


@pytest.fixture
def sessions(database: Database, clock: FakeClock) -> Sessions:
    return Sessions(database, clock=clock)


@pytest.fixture
def store(database: Database, clock: FakeClock) -> Store:
    return Store(CLIENT_ID, database, clock=clock)


@pytest.fixture
def installation_id(store: Store) -> int:
    return install(store)


def install(store: Store, user_id: str = "U1", **changes: object) -> int:
    store.save(an_installation(user_id, **changes))
    found = store.directory.find(
        enterprise_id=changes.get("enterprise_id"),  # type: ignore[arg-type]
        team_id=str(changes.get("team_id", "T1")),
        user_id=user_id,
    )
    assert found is not None
    return found.id


def last_seen(database: Database) -> object:
    with database.reading() as session:
        return session.scalars(select(WebSession.last_seen_at)).one()


def test_a_session_is_found_only_by_its_token(sessions: Sessions, installation_id: int) -> None:
    token = sessions.begin(installation_id)

    assert sessions.find(token) == installation_id
    for wrong in ("", token[:-1], token + "x", token.swapcase()):
        assert sessions.find(wrong) is None


def test_it_is_idle_for_less_than_twelve_hours(
    sessions: Sessions, installation_id: int, clock: FakeClock
) -> None:
    token = sessions.begin(installation_id)
    for _ in range(3):
        clock.advance(IDLE_TIMEOUT.total_seconds() - 1)
        assert sessions.find(token) == installation_id

    assert [one.state(clock()) for one in sessions.of_team("T1")] == ["active"]
    clock.advance(IDLE_TIMEOUT.total_seconds())
    assert sessions.find(token) is None
    assert [one.state(clock()) for one in sessions.of_team("T1")] == ["expired"]


def test_it_lasts_thirty_days_however_much_it_is_used(
    sessions: Sessions, installation_id: int, clock: FakeClock
) -> None:
    token, began = sessions.begin(installation_id), clock()
    while clock() < began + ABSOLUTE_TIMEOUT - timedelta(hours=12):
        clock.advance(11 * 3600)
        assert sessions.find(token) == installation_id
    clock.now = began + ABSOLUTE_TIMEOUT

    assert sessions.find(token) is None


def test_a_page_does_not_write_each_time(
    database: Database, sessions: Sessions, installation_id: int, clock: FakeClock
) -> None:
    token, began = sessions.begin(installation_id), clock()
    clock.advance(59)
    sessions.find(token)
    assert last_seen(database) == began

    clock.advance(1)
    sessions.find(token)
    assert last_seen(database) == clock()


def test_a_new_session_ends_the_one_it_replaces(sessions: Sessions, installation_id: int) -> None:
    first = sessions.begin(installation_id)
    other = sessions.begin(installation_id)
    second = sessions.begin(installation_id, replaces=first)

    assert sessions.find(first) is None
    assert sessions.find(second) == sessions.find(other) == installation_id


def test_a_session_that_has_ended_stays_so(sessions: Sessions, installation_id: int) -> None:
    token = sessions.begin(installation_id)

    assert sessions.end(1)
    assert not sessions.end(1)
    assert not sessions.end(2)
    assert sessions.find(token) is None


def test_no_session_begins_for_an_installation_that_is_gone(
    sessions: Sessions, store: Store, installation_id: int
) -> None:
    store.delete_all(enterprise_id=None, team_id="T1")

    with pytest.raises(IntegrityError):
        sessions.begin(installation_id)


def test_installing_again_keeps_the_session(
    sessions: Sessions, store: Store, installation_id: int
) -> None:
    token = sessions.begin(installation_id)
    store.save(an_installation("U1"))

    assert sessions.find(token) == installation_id


def reject(store: Store, reason: str, user_id: str = "U1") -> None:
    store.invalid_tokens.mark_user(
        enterprise_id=None, team_id="T1", user_id=user_id, token=f"xoxp-{user_id}", reason=reason
    )


@pytest.mark.parametrize("reason", ["token_revoked", "account_inactive"])
def test_it_ends_with_a_revoked_token_and_stays_so(
    sessions: Sessions, store: Store, installation_id: int, reason: str
) -> None:
    token, other = sessions.begin(installation_id), sessions.begin(install(store, "U2"))
    reject(store, reason)
    [ended, active] = sessions.of_team("T1")
    assert (ended.ended_at is None, active.ended_at is None) == (False, True)

    store.save(an_installation("U1"))

    assert sessions.find(token) is None
    assert sessions.find(other) is not None
    assert sessions.find(sessions.begin(installation_id)) == installation_id


def test_it_ends_when_a_token_that_slack_rejects_is_replaced(
    sessions: Sessions, store: Store, installation_id: int
) -> None:
    token, other = sessions.begin(installation_id), sessions.begin(install(store, "U2"))
    reject(store, "invalid_auth")
    assert sessions.find(token) == installation_id

    store.save(an_installation("U1"))

    assert sessions.find(token) is None
    assert sessions.find(other) is not None


@pytest.mark.parametrize(
    ("reason", "ends"), [("token_revoked", True), ("invalid_refresh_token", False)]
)
def test_it_ends_when_a_revoked_token_cannot_be_refreshed(
    database: Database,
    sessions: Sessions,
    store: Store,
    clock: FakeClock,
    reason: str,
    ends: bool,
) -> None:
    expires_at = int(clock().timestamp()) + 60
    expiring: dict[str, Any] = {
        "user_refresh_token": "xoxe-1",
        "user_token_expires_at": expires_at,
    }
    installation_id = install(store, **expiring)
    token, other = sessions.begin(installation_id), sessions.begin(install(store, "U2"))
    leases, owner = RefreshLeases(database, store.rows, clock=clock), TokenOwner(None, "T1", "U1")
    refreshed = leases.find(owner)
    assert refreshed is not None

    leases.reject(owner, refreshed, reason)

    assert [one.ended_at is not None for one in sessions.of_team("T1")] == [ends, False]
    store.save(an_installation("U1", **expiring))
    assert sessions.find(token) is None
    assert sessions.find(other) is not None


@pytest.mark.parametrize(
    ("reason", "ends"), [("account_inactive", True), ("token_revoked", True), ("no_scope", False)]
)
def test_it_ends_when_an_uninstalled_bot_is_installed_again(
    sessions: Sessions, store: Store, installation_id: int, reason: str, ends: bool
) -> None:
    token = sessions.begin(installation_id)
    elsewhere = sessions.begin(install(store, team_id="T2"))
    store.invalid_tokens.mark_bot(enterprise_id=None, team_id="T1", token="xoxb-1", reason=reason)

    store.save(an_installation("U2"))

    assert (sessions.find(token) is None) == ends
    assert sessions.find(elsewhere) is not None


def test_a_deleted_installation_takes_its_sessions_along(
    database: Database, sessions: Sessions, store: Store
) -> None:
    tokens = {user_id: sessions.begin(install(store, user_id)) for user_id in ("U1", "U2")}
    store.delete_installation(enterprise_id=None, team_id="T1", user_id="U1")

    assert sessions.find(tokens["U1"]) is None
    assert sessions.find(tokens["U2"]) is not None
    with database.reading() as session:
        assert session.scalars(select(func.count()).select_from(WebSession)).one() == 1


def test_only_sessions_of_one_workspace_of_an_organization_end(
    sessions: Sessions, store: Store
) -> None:
    places = [{"enterprise_id": "E1", "team_id": team_id} for team_id in ("T1", "T2")]
    first, second = (sessions.begin(install(store, "W1", **place)) for place in places)
    store.delete_installation(enterprise_id="E1", team_id="T1", user_id="W1")

    assert sessions.find(first) is None
    assert sessions.find(second) is not None


def test_the_command_ends_those_of_one_person(sessions: Sessions, store: Store) -> None:
    one = [sessions.begin(install(store, "U1")) for _ in range(2)]
    elsewhere = sessions.begin(install(store, "U1", team_id="T2"))
    other = sessions.begin(install(store, "U2"))

    assert sessions.end_of_person("T1", "U1") == 2
    assert [sessions.find(token) for token in one] == [None, None]
    assert sessions.find(elsewhere) is not None
    assert sessions.find(other) is not None


def test_those_of_an_organization_are_listed_and_ended(sessions: Sessions, store: Store) -> None:
    store.save(an_organization_installation("W1"))
    stored = store.directory.find(
        enterprise_id="E1", team_id=None, user_id="W1", is_enterprise_install=True
    )
    assert stored is not None
    token = sessions.begin(stored.id)

    [record] = sessions.of_team("E1")
    assert (record.user_id, record.enterprise_id, record.team_id) == ("W1", "E1", "")
    assert sessions.end_of_person("E1", "W1") == 1
    assert sessions.find(token) is None


def test_old_sessions_are_deleted(
    sessions: Sessions, installation_id: int, clock: FakeClock
) -> None:
    sessions.begin(installation_id)
    clock.advance((ABSOLUTE_TIMEOUT + KEEP_FOR).total_seconds())
    sessions.delete_expired()
    assert len(sessions.of_team("T1")) == 1

    clock.advance(1)
    sessions.delete_expired()
    assert sessions.of_team("T1") == []


def test_many_pages_at_once_are_all_served(
    sessions: Sessions, installation_id: int, clock: FakeClock
) -> None:
    token = sessions.begin(installation_id)
    clock.advance(3600)

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda _: sessions.find(token), range(16))) == {installation_id}


def sign_in(bellhop: Bellhop, team_id: str) -> Browser:
    browser, page = bellhop.install(WES, team_id=team_id)
    assert page.status == 303
    return browser


def test_unlinking_in_one_workspace_of_an_organization_leaves_the_others(
    bellhop: Bellhop,
) -> None:
    north, south = sign_in(bellhop, NORTH), sign_in(bellhop, SOUTH)
    stored = bellhop.services.installations.find(enterprise_id=GRID, team_id=NORTH, user_id=WES)
    assert stored is not None
    bellhop.services.lifecycle.profiles.unlink(stored)
    bellhop.services.revocations.revoke_pending()
    bellhop.slack.deliver_due()

    assert north.get("/profile").status == 303
    assert "Wes Wide" in south.get("/profile").text


def test_deactivation_ends_the_sessions_in_every_workspace_of_an_organization(
    bellhop: Bellhop,
) -> None:
    browsers = [sign_in(bellhop, team_id) for team_id in (NORTH, SOUTH)]
    bellhop.slack.update_user(WES, deleted=True)
    bellhop.slack.deliver_due()

    assert [browser.get("/profile").status for browser in browsers] == [303, 303]


def test_a_person_found_deactivated_without_an_event_is_signed_out(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)
    stored = bellhop.services.installations.find(enterprise_id=None, team_id=ACME, user_id=ANN)
    assert stored is not None
    bellhop.slack.update_user(ANN, deleted=True)
    bellhop.services.profiles.record(stored)

    assert browser.get("/profile").status == 303


def test_sessions_last_as_long_as_documented() -> None:
    assert (timedelta(hours=12), timedelta(days=30)) == (IDLE_TIMEOUT, ABSOLUTE_TIMEOUT)
