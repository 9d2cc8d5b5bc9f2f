"""The upgrade to notification keys per source, with existing data."""

from __future__ import annotations

from typing import Any

from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from bolt_app.db import Database, schema
from bolt_app.db import migrations as scripts
from tests.conftest import FakeClock

NOTIFICATIONS = [
    # The id, the source, the key and whether it asks for responses.
    ("n1", "hook:2", "disk", False),
    ("n2", "api_key:1", "disk", True),
    ("n3", "api_key:9", "disk", True),
    ("n4", "api_key:1", "n4", True),
    ("n5", "command", None, False),
    ("n6", "command", "a|b", False),
]
INCIDENTS = ("disk", "n4", "gone")


def fill(connection: Connection, clock: FakeClock) -> None:
    now: dict[str, Any] = {"now": clock()}
    connection.execute(
        text(
            "INSERT INTO api_keys (id, team_id, name, secret_hash, scopes, channels, created_at) "
            "VALUES (1, 'T1', 'ci', 'h', 'send', '', :now)"
        ),
        now,
    )
    connection.execute(
        text(
            "INSERT INTO lanes (id, team_id, address, free_at, paced_until) "
            "VALUES (1, 'T1', 'C1', :now, :now)"
        ),
        now,
    )
    for id_, source, key, asks in NOTIFICATIONS:
        content = '{"text": "x", "actions": ["resolve"]}' if asks else '{"text": "x"}'
        connection.execute(
            text(
                "INSERT INTO notifications (id, team_id, source, content, key, created_at) "
                "VALUES (:id, 'T1', :source, :content, :key, :now)"
            ),
            {"id": id_, "source": source, "content": content, "key": key, **now},
        )
        connection.execute(
            text(
                "INSERT INTO deliveries (notification_id, lane_id, target, state, rank, key, mode, "
                "on_unknown, send_at, attempts) "
                "VALUES (:id, 1, 'C1', 'sent', 0, :key, 'update', 'hold', :now, 1)"
            ),
            {"id": id_, "key": key, **now},
        )
    for key in INCIDENTS:
        connection.execute(
            text(
                "INSERT INTO incidents (team_id, key, state, state_at, changed_at) "
                "VALUES ('T1', :key, 'open', :now, :now)"
            ),
            {"key": key, **now},
        )


def keys(database: Database) -> tuple[list[Any], list[Any], list[Any]]:
    """Return the keys of notifications, deliveries and incidents."""
    with database.engine.connect() as connection:
        return (
            list(connection.execute(text("SELECT key FROM notifications ORDER BY id")).scalars()),
            list(connection.execute(text("SELECT key FROM deliveries ORDER BY id")).scalars()),
            sorted(connection.execute(text("SELECT key FROM incidents")).scalars()),
        )


def test_keys_and_incidents_get_their_source_and_lose_it_again(
    empty_database: Database, clock: FakeClock
) -> None:
    script = ScriptDirectory(scripts.__path__[0]).get_revision("0010")
    earlier = str(script.down_revision)
    schema.upgrade(empty_database, earlier)
    with empty_database.writing_connection() as connection:
        fill(connection, clock)
    before = keys(empty_database)

    schema.upgrade(empty_database)

    stored = [
        "hook:2|disk",
        "api_key:1|disk",
        "api_key:9|disk",
        "n4",
        None,
        "command|a|b",
    ]
    assert keys(empty_database) == (stored, stored, ["api_key:1|disk", "gone", "n4"])
    with empty_database.engine.connect() as connection:
        row = connection.execute(
            text("SELECT source, allow_broadcast, rejected, counted_minute FROM api_keys")
        ).one()
    assert tuple(row) == (None, False, 0, 0)

    schema.downgrade(empty_database, earlier)
    assert keys(empty_database) == before
