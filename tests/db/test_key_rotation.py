"""Key rotation: every secret in batches, while other processes run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from ipaddress import ip_network
from typing import Any

import pytest
from cryptography.fernet import Fernet
from slack_sdk.oauth.installation_store import Installation
from sqlalchemy import event, select, text

from bolt_app.credentials.api_keys import ApiKeys
from bolt_app.credentials.webhook_bodies import WebhookBodies, record_bodies
from bolt_app.credentials.webhooks import Webhooks
from bolt_app.db import Database, DecryptionError
from bolt_app.db.encryption import EncryptedText
from bolt_app.db.key_rotation import UnreadableSecretError, rotate_keys
from bolt_app.db.models import Base, TokenRevocation
from bolt_app.installations.store import Installations
from bolt_app.notifications.incidents.callbacks import CallbackEndpoints
from tests.conftest import FakeClock

OTHER = Fernet.generate_key().decode()
NEW = Fernet.generate_key().decode()
ROWS = 5

Open = Callable[..., Database]


@pytest.fixture
def open_database(database_url: str) -> Iterator[Open]:
    """Open the test's database with the given keys."""
    opened: list[Database] = []

    def open_with(*keys: str) -> Database:
        opened.append(Database(database_url, keys))
        return opened[-1]

    yield open_with
    for database in opened:
        database.close()


def add_revocations(database: Database, now: datetime, count: int = ROWS) -> list[str]:
    tokens = [f"xoxp-{number}" for number in range(count)]
    with database.writing() as session:
        session.add_all(TokenRevocation(token=token, created_at=now) for token in tokens)
    return tokens


def revocations(database: Database) -> list[str]:
    with database.reading() as session:
        return list(session.scalars(select(TokenRevocation.token).order_by(TokenRevocation.id)))


def stored_text(database: Database) -> list[str]:
    with database.engine.connect() as connection:
        return list(
            connection.execute(text("SELECT token FROM token_revocations ORDER BY id")).scalars()
        )


def test_afterwards_the_new_key_alone_reads_everything(
    database: Database, open_database: Open, encryption_key: str, clock: FakeClock
) -> None:
    tokens = add_revocations(database, clock())
    seen: list[tuple[int, int]] = []

    changed = rotate_keys(
        open_database(NEW, encryption_key),
        batch_size=2,
        progress=lambda done, total: seen.append((done, total)),
    )

    assert changed == ROWS
    assert seen == [(2, 5), (4, 5), (5, 5)]
    assert revocations(open_database(NEW)) == tokens
    with pytest.raises(DecryptionError):
        revocations(database)


def test_every_encrypted_column_is_rotated(
    database: Database, open_database: Open, encryption_key: str
) -> None:
    installation = Installation(
        team_id="T1",
        user_id="U1",
        bot_token="xoxb",
        bot_refresh_token="xoxe-bot",
        user_token="xoxp",
        user_refresh_token="xoxe-user",
        incoming_webhook_url="https://hooks.example.com/services/secret",
    )
    Installations("1.2", database).save(installation)
    with database.writing() as session:
        session.add(TokenRevocation(token="xoxp-old", created_at=FakeClock()()))
    ApiKeys(database).create("T1", "monitoring")
    endpoints = CallbackEndpoints(database, networks=[ip_network("127.0.0.0/8")])
    endpoints.set(1, "https://127.0.0.1:9/told")
    url = Webhooks(database, "").create(
        "T1", "", ["#ops"], sender="github", signing_secret="of hooks"
    )
    bodies = WebhookBodies(database)
    with database.writing_connection() as connection:
        record_bodies(connection, [bodies.seal(1, {"a": 1}, "unknown format")], FakeClock()())
    encrypted = [
        column
        for table in Base.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, EncryptedText)
    ]

    changed = rotate_keys(open_database(NEW, encryption_key))

    assert changed == len(encrypted)
    renewed = open_database(NEW)
    found = Installations("1.2", renewed).find_installation(enterprise_id=None, team_id="T1")
    assert found is not None
    assert found.to_dict() == installation.to_dict()
    assert revocations(renewed) == ["xoxp-old"]
    hook = Webhooks(renewed, "").find(url.rpartition("/")[2])
    assert hook is not None
    assert hook.signing_secret == "of hooks"


def test_a_key_that_reads_nothing_changes_nothing_and_names_the_row(
    database: Database, open_database: Open, clock: FakeClock
) -> None:
    add_revocations(database, clock())
    before = stored_text(database)

    with pytest.raises(UnreadableSecretError, match="token_revocations, row 1: ") as caught:
        rotate_keys(open_database(NEW, OTHER))

    assert isinstance(caught.value, DecryptionError)
    assert not any(secret in str(caught.value) for secret in before)
    assert stored_text(database) == before


def test_one_unreadable_row_is_named_and_the_batches_before_it_stand(
    database: Database, open_database: Open, encryption_key: str, clock: FakeClock
) -> None:
    tokens = add_revocations(database, clock())
    with database.writing_connection() as connection:
        connection.execute(text("UPDATE token_revocations SET token = 'damaged' WHERE id = 4"))

    with pytest.raises(UnreadableSecretError, match="token_revocations, row 4: "):
        rotate_keys(open_database(NEW, encryption_key), batch_size=1)

    renewed = Fernet(NEW)
    assert [renewed.decrypt(value).decode() for value in stored_text(database)[:3]] == tokens[:3]


def test_it_resumes_after_an_interruption(
    database: Database, open_database: Open, encryption_key: str, clock: FakeClock
) -> None:
    tokens = add_revocations(database, clock())
    both = open_database(NEW, encryption_key)

    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotate_keys(both, batch_size=2, progress=interrupt)
    assert revocations(both) == tokens

    rotate_keys(both, batch_size=2)

    assert revocations(open_database(NEW)) == tokens


def test_a_write_in_between_is_not_overwritten(
    database: Database, open_database: Open, encryption_key: str
) -> None:
    Installations("1.2", database).save(
        Installation(team_id="T1", user_id="U1", bot_token="xoxb-before")
    )
    rotating = open_database(NEW, encryption_key)
    running = Installations("1.2", open_database(NEW, encryption_key))

    read: list[str] = []

    def save_once(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("SELECT bots.id") and not read:
            read.append(statement)
            running.save(Installation(team_id="T1", user_id="U1", bot_token="xoxb-after"))

    event.listen(rotating.engine, "after_cursor_execute", save_once)
    rotate_keys(rotating)

    assert read
    bot = Installations("1.2", open_database(NEW)).find_bot(enterprise_id=None, team_id="T1")
    assert bot is not None
    assert bot.bot_token == "xoxb-after"


def test_an_empty_database_has_nothing_to_rotate(database: Database) -> None:
    assert rotate_keys(database) == 0
