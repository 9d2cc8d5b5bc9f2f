"""Migrations, up and down, on both databases."""

from __future__ import annotations

import re
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Text, bindparam, delete, insert, inspect, select, text
from sqlalchemy.exc import IntegrityError

import bolt_app
from bolt_app.credentials.api_keys import ApiKeys
from bolt_app.credentials.webhooks import Webhooks
from bolt_app.db import Database, schema
from bolt_app.db.models import (
    Base,
    BotInstallation,
    Delivery,
    IdempotencyKey,
    InstallationCheck,
    Lane,
    Notification,
    OAuthState,
    User,
)
from bolt_app.db.schema import SchemaError
from bolt_app.db.types import UTCDateTime
from bolt_app.notifications.subscriptions.service import Subscriptions, SubscriptionSpec
from tests.conftest import FakeClock
from tests.db.upgrading import upgrade
from tests.forking import forking

PROCESSES = 3
PACKAGE = Path(bolt_app.__file__).parent
NEVER_DELETED = "its rows are never deleted"
IN_A_TRANSACTION = "no id leaves its transaction"
# Tables in which SQLite may give a new row the id of a deleted one.
REUSED_IDS = {
    "api_keys": NEVER_DELETED,
    "audit_events": "a counter knows a committed row for an hour, which is kept for a day at least",
    "bots": "who knows an id compares the token or the lease, too",
    "memberships": IN_A_TRANSACTION,
    "users": IN_A_TRANSACTION,
    "webhook_bodies": IN_A_TRANSACTION,
    "webhooks": NEVER_DELETED,
}


def tables(database: Database) -> set[str]:
    return set(inspect(database.engine).get_table_names())


def test_migrations_match_the_models(empty_database: Database) -> None:
    assert schema.upgrade(empty_database) is None

    with empty_database.engine.connect() as connection:
        assert schema.differences(connection) == []
        assert schema.current_revision(connection) == schema.head_revision()
    schema.require_current(empty_database)


def test_upgrading_again_changes_nothing(empty_database: Database, clock: FakeClock) -> None:
    schema.upgrade(empty_database)
    with empty_database.writing() as session:
        session.add(OAuthState(state_hash="hash", expires_at=clock()))

    assert schema.upgrade(empty_database) == schema.head_revision()

    with empty_database.reading() as session:
        assert session.scalars(select(OAuthState.state_hash)).all() == ["hash"]


def test_down_to_nothing_and_up_again(empty_database: Database, clock: FakeClock) -> None:
    schema.upgrade(empty_database)
    with empty_database.writing() as session:
        session.add(OAuthState(state_hash="hash", expires_at=clock()))

    schema.downgrade(empty_database, "base")
    assert tables(empty_database) <= {"alembic_version"}

    schema.upgrade(empty_database)
    assert tables(empty_database) == {*Base.metadata.tables, "alembic_version"}
    with empty_database.engine.connect() as connection:
        assert schema.differences(connection) == []


def test_subscriptions_of_an_earlier_version_go_on(
    empty_database: Database, clock: FakeClock
) -> None:
    schema.upgrade(empty_database, "0002")
    row = {"team_id": "T1", "topic": "deploys", "address": "#ops", "created_at": clock()}
    names, values = ", ".join(row), ", ".join(f":{name}" for name in row)
    with empty_database.writing_connection() as connection:
        insert = text(f"INSERT INTO subscriptions ({names}) VALUES ({values})")  # noqa: S608
        connection.execute(insert.bindparams(bindparam("created_at", type_=UTCDateTime)), row)

    schema.upgrade(empty_database)

    [one] = Subscriptions(empty_database).of_team("T1")
    assert (one.address, one.spec.topic, one.spec.filter) == ("#ops", "deploys", "")
    assert one.changed_at == one.spec.created_at == clock()
    schema.downgrade(empty_database, "0002")
    with empty_database.reading_connection() as connection:
        assert connection.execute(text("SELECT topic FROM subscriptions")).scalar() == "deploys"


def test_keys_and_webhooks_of_an_earlier_version_continue(
    empty_database: Database, clock: FakeClock
) -> None:
    schema.upgrade(empty_database, "0007")
    moment = bindparam("created_at", clock(), type_=UTCDateTime)
    with empty_database.writing_connection() as connection:
        for statement in (
            "INSERT INTO api_keys (team_id, name, secret_hash, scopes, channels, created_at)"
            " VALUES ('T1', 'ci', 'hash', 'send', '', :created_at)",
            "INSERT INTO hooks (team_id, name, secret_hash, target, created_at)"
            " VALUES ('T1', 'ci', 'hash', '#ops', :created_at)",
            "INSERT INTO callback_endpoints (api_key_id, url, secret, created_at)"
            " VALUES (1, 'sealed', 'sealed', :created_at)",
        ):
            connection.execute(text(statement).bindparams(moment))

    schema.upgrade(empty_database)

    [key] = ApiKeys(empty_database).of_team("T1")
    webhooks = Webhooks(empty_database, "")
    [webhook] = webhooks.of_team("T1")
    assert (key.name, key.created_by, key.created_at) == ("ci", None, clock())
    assert (webhook.name, webhook.created_by, webhook.created_at) == ("ci", None, clock())
    # Its messages in Slack's format have no key from `callback_id`, which they did not have before.
    assert (webhook.sender, webhook.is_signed, webhook.key_field) == ("auto", False, "")
    webhooks.create("T1", "next", ["#ops"])
    assert [one.id for one in webhooks.of_team("T1")] == [webhook.id, webhook.id + 1]
    schema.downgrade(empty_database, "0007")
    with empty_database.reading_connection() as connection:
        assert connection.execute(text("SELECT name FROM api_keys")).scalar() == "ci"
        assert connection.execute(text("SELECT url FROM callback_endpoints")).scalar() == "sealed"


def test_no_part_of_the_table_of_webhooks_has_its_former_name(empty_database: Database) -> None:
    schema.upgrade(empty_database)

    inspector = inspect(empty_database.engine)
    parts = [
        inspector.get_pk_constraint("webhooks"),
        *inspector.get_unique_constraints("webhooks"),
        *inspector.get_indexes("webhooks"),
    ]
    assert min(str(part["name"]) for part in parts) == "ix_webhooks_team_id"
    assert all("webhooks" in str(part["name"]) for part in parts)
    has_sequences = empty_database.engine.dialect.supports_sequences
    sequences = inspector.get_sequence_names() if has_sequences else []
    assert not any(re.search("(^|_)hooks", name) for name in sequences)


def test_accounts_joined_without_consent_are_separated(
    empty_database: Database, clock: FakeClock
) -> None:
    schema.upgrade(empty_database, "0009")
    moment = bindparam("now", clock(), type_=UTCDateTime)
    insert = text(
        "INSERT INTO users (home_id, user_id, person_id, images, is_bot, is_deleted,"
        " slack_updated, linked_at, refreshed_at)"
        " VALUES ('T1', :user_id, :person_id, '{}', false, false, 0, :now, :now)"
    ).bindparams(moment)
    people = {"U1": "joined", "U2": "joined", "U3": "joined", "U4": "alone"}
    with empty_database.writing_connection() as connection:
        for user_id, person_id in people.items():
            connection.execute(insert, {"user_id": user_id, "person_id": person_id})

    schema.upgrade(empty_database)

    with empty_database.reading() as session:
        after = {user.user_id: user.person_id for user in session.scalars(select(User))}
    assert len(set(after.values())) == len(after) == 4
    assert (after["U1"], after["U4"]) == ("joined", "alone")


def test_the_workspaces_of_an_organization_are_learned(
    empty_database: Database, clock: FakeClock
) -> None:
    schema.upgrade(empty_database)
    bot = {"client_id": "1.2", "bot_token": "x", "bot_scopes": "", "installed_at": clock()}
    with empty_database.writing() as session:
        for enterprise_id, team_id in (("E1", ""), ("E2", "T2"), ("", "T3")):
            place = {"enterprise_id": enterprise_id, "team_id": team_id}
            session.add(BotInstallation(**bot, **place, is_enterprise_install=not team_id))
    schema.downgrade(empty_database, "0020-1")

    schema.upgrade(empty_database)

    with empty_database.reading() as session:
        [check] = session.scalars(select(InstallationCheck))
    assert (check.enterprise_id, check.team_id, check.kind) == ("E1", "", "organization")


def test_a_workspace_that_joined_an_organization_has_one_installation(
    empty_database: Database, clock: FakeClock
) -> None:
    schema.upgrade(empty_database)
    schema.downgrade(empty_database, "0032-1")
    for home in ("", "E1"):
        clock.advance(60)
        for statement in (
            "INSERT INTO teams (team_id, enterprise_id, created_at) VALUES ('T1', '', :now)"
            " ON CONFLICT DO NOTHING",
            "INSERT INTO installation_revisions (client_id, enterprise_id, team_id, revision)"
            " VALUES ('1.2', :home, 'T1', 3)",
            "INSERT INTO bots (client_id, enterprise_id, team_id, bot_token, bot_scopes,"
            " is_enterprise_install, installed_at)"
            " VALUES ('1.2', :home, 'T1', 'x', '', false, :now)",
            "INSERT INTO installations (client_id, enterprise_id, team_id, user_id, user_scopes,"
            " is_enterprise_install, installed_at)"
            " SELECT '1.2', :home, 'T1', user_id, '', false, :now"
            " FROM (SELECT 'U1' AS user_id UNION SELECT 'U2' WHERE :home = '') AS people",
            "INSERT INTO sessions (token_hash, installation_id, created_at, last_seen_at)"
            " SELECT user_id || enterprise_id, id, :now, :now FROM installations"
            " WHERE enterprise_id = :home",
            "INSERT INTO users (home_id, user_id, person_id, images, is_bot, is_deleted,"
            " slack_updated, linked_at, refreshed_at)"
            " VALUES (CASE :home WHEN '' THEN 'T1' ELSE :home END,"
            " 'U1', :home, '{}', false, false, 0, :now, :now)",
            "INSERT INTO memberships (user_id, team_id, is_admin, is_owner, is_guest, linked_at)"
            " SELECT max(id), 'T1', false, false, false, :now FROM users",
        ):
            known = {"home": home, "now": clock()}
            used = {name: value for name, value in known.items() if f":{name}" in statement}
            types: dict[str, Any] = {"home": Text, "now": UTCDateTime}
            typed = [bindparam(name, type_=types[name]) for name in used]
            prepared = text(statement).bindparams(*typed)
            with empty_database.writing_connection() as connection:
                connection.execute(prepared, used)

    schema.upgrade(empty_database)

    def found(statement: str) -> list[tuple[Any, ...]]:
        with empty_database.reading_connection() as connection:
            return sorted(tuple(row) for row in connection.execute(text(statement)))

    assert found("SELECT enterprise_id FROM bots") == [("E1",)]
    assert found("SELECT enterprise_id, user_id FROM installations") == [("E1", "U1"), ("E1", "U2")]
    assert found("SELECT token_hash FROM sessions") == [("U1E1",), ("U2",)]
    assert found("SELECT home_id FROM users") == [("E1",)]
    revisions = "SELECT enterprise_id, revision FROM installation_revisions"
    assert found(revisions) == [("", 6)]
    schema.downgrade(empty_database, "0032-1")
    assert found(revisions) == [("E1", 6)]


def test_a_difference_is_found(empty_database: Database) -> None:
    schema.upgrade(empty_database)
    with empty_database.writing_connection() as connection:
        connection.execute(text("DROP TABLE event_receipts"))

    with empty_database.engine.connect() as connection:
        assert schema.differences(connection) != []


def test_an_old_schema_is_rejected_with_the_command_to_run(
    empty_database: Database,
) -> None:
    with pytest.raises(SchemaError, match="db upgrade"):
        schema.require_current(empty_database)


def test_a_schema_of_a_newer_version_is_refused(empty_database: Database) -> None:
    schema.upgrade(empty_database)
    with empty_database.writing_connection() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(SchemaError, match="9999"):
        schema.upgrade(empty_database)
    with pytest.raises(SchemaError, match="newer"):
        schema.require_current(empty_database)


@pytest.mark.slow
def test_several_processes_upgrade_at_once(empty_database_url: str, encryption_key: str) -> None:
    with ProcessPoolExecutor(PROCESSES, mp_context=forking) as processes:
        before = list(
            processes.map(upgrade, [empty_database_url] * PROCESSES, [encryption_key] * PROCESSES)
        )

    assert before.count(None) == 1
    assert before.count(schema.head_revision()) == PROCESSES - 1


def test_every_index_and_constraint_has_a_name(empty_database: Database) -> None:
    schema.upgrade(empty_database)
    inspector = inspect(empty_database.engine)
    nameless = [
        (table, constraint)
        for table in inspector.get_table_names()
        for constraint in (
            *inspector.get_unique_constraints(table),
            *inspector.get_foreign_keys(table),
            *inspector.get_indexes(table),
        )
        if not constraint["name"]
    ]

    assert nameless == []


def test_held_deliveries_are_sent_by_an_earlier_version(
    empty_database: Database, clock: FakeClock
) -> None:
    schema.upgrade(empty_database)
    with empty_database.writing() as session:
        session.add(Lane(id=1, team_id="T1", address="C1"))
        said = {"team_id": "T1", "source": "command", "content": {}, "created_at": clock()}
        session.add(Notification(id="n", **said))
        session.flush()
        to = {"notification_id": "n", "lane_id": 1, "target": "C1", "rank": 0, "mode": "new"}
        for state in ("held", "digested", "sent"):
            session.add(Delivery(**to, state=state, on_unknown="hold", send_at=clock()))

    schema.downgrade(empty_database, "0006")

    states = text("SELECT state FROM deliveries ORDER BY id")
    with empty_database.reading_connection() as connection:
        assert connection.scalars(states).all() == ["waiting", "cancelled", "sent"]


def test_ids_that_a_process_may_still_know_are_never_reused(empty_database: Database) -> None:
    numbered = [one for one in Base.metadata.sorted_tables if one.autoincrement_column is not None]
    tracked = {one.name for one in numbered if one.dialect_options["sqlite"]["autoincrement"]}

    assert {one.name for one in numbered} - tracked == REUSED_IDS.keys()

    schema.upgrade(empty_database)
    if empty_database.is_sqlite:
        with empty_database.reading_connection() as connection:
            definitions = text("SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'")
            assert set(connection.scalars(definitions)) == tracked


def test_rows_that_stay_are_never_deleted() -> None:
    kept = [name for name, reason in REUSED_IDS.items() if reason == NEVER_DELETED]
    models = [
        one.class_.__name__ for one in Base.registry.mappers if one.class_.__tablename__ in kept
    ]
    deletes = re.compile(rf"\bdelete\((?:{'|'.join(models)})\)|session\.delete\(")

    assert len(models) == len(kept)
    assert [path for path in PACKAGE.rglob("*.py") if deletes.search(path.read_text())] == []


def test_deliveries_keep_their_lanes_when_ids_are_no_longer_reused(
    empty_database: Database, clock: FakeClock
) -> None:
    schema.upgrade(empty_database)
    schema.downgrade(empty_database, "0039-1")
    with empty_database.writing() as session:
        session.add_all(Lane(id=number, team_id="T1", address=f"C{number}") for number in (3, 5))
        said = {"team_id": "T1", "source": "command", "content": {}, "created_at": clock()}
        session.add(Notification(id="n", **said))
        session.flush()
        to = {"notification_id": "n", "target": "C1", "rank": 0, "mode": "new", "state": "sent"}
        for lane_id in (3, 5, 5):
            # Not as an object, which has the columns of later versions.
            values = {"lane_id": lane_id, **to, "on_unknown": "hold", "send_at": clock()}
            session.execute(insert(Delivery).values(values))

    for _ in range(2):
        schema.upgrade(empty_database)
        with empty_database.reading() as session:
            found = session.execute(select(Lane.address, Delivery.id).join(Lane)).all()
        assert sorted(tuple(row) for row in found) == [("C3", 1), ("C5", 2), ("C5", 3)]
        with pytest.raises(IntegrityError), empty_database.writing() as session:
            session.execute(delete(Lane))
        schema.downgrade(empty_database, "0039-1")


def test_keys_of_notices_are_deleted(empty_database: Database, clock: FakeClock) -> None:
    """They name people, and an erasure searches only the owners."""
    schema.upgrade(empty_database)
    schema.downgrade(empty_database, "0040-1")
    with empty_database.writing() as session:
        for owner in ("T1/lifecycle", "T1/api_key:1"):
            row = {"owner": owner, "key": "Ev1/U1", "body_hash": "", "notification_ids": ""}
            session.execute(insert(IdempotencyKey).values(**row, created_at=clock()))

    schema.upgrade(empty_database)

    with empty_database.reading() as session:
        assert session.scalars(select(IdempotencyKey.owner)).all() == ["T1/api_key:1"]


def test_subscription_ids_are_never_reused(empty_database: Database, clock: FakeClock) -> None:
    schema.upgrade(empty_database)
    subscriptions, ids = Subscriptions(empty_database, clock=clock), []
    for topic in ("a", "b"):
        subscriptions.subscribe("T1", "C0123456789", SubscriptionSpec(topic))
        ids += [item.id for item in subscriptions.of_team("T1")]
        subscriptions.unsubscribe("T1", "C0123456789", topic)

    assert len(set(ids)) == 2
