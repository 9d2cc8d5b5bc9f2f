"""The upgrade of the delivery engine: deliveries continue, old workers stop."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, bindparam, text
from sqlalchemy.exc import DBAPIError

from bolt_app.db import Database, schema
from bolt_app.db.types import UTCDateTime
from bolt_app.notifications.content.ids import new_id
from tests.conftest import FakeClock
from tests.notifications.hand import Hand, texts
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop, running_bellhop

# The last revision of the first engine.
BEFORE = "0018"
SETTLED = 20


def insert(connection: Connection, table: str, **row: Any) -> None:
    names, values = ", ".join(row), ", ".join(f":{name}" for name in row)
    moments = [
        bindparam(name, type_=UTCDateTime) for name in row if name.endswith(("_at", "until"))
    ]
    statement = text(f"INSERT INTO {table} ({names}) VALUES ({values})")  # noqa: S608
    connection.execute(statement.bindparams(*moments), row)


def fill(connection: Connection, clock: FakeClock) -> None:
    """Insert one delivery in each open state, as the first engine did."""
    now = clock()
    pace = {"free_at": now, "paced_until": now}
    insert(connection, "team_paces", team_id=ACME, served_at=now, **pace)
    insert(
        connection,
        "lanes",
        id=1,
        team_id=ACME,
        address=GENERAL,
        wake_at=now,
        sending_id=1,
        worker_id="old",
        is_erasable=False,
        **pace,
    )
    for number, (state, later) in enumerate(
        [("sending", 0), ("waiting", 0), ("waiting", 600), ("held", 1200), ("sent", 0)]
    ):
        clock.advance(0.01)
        id_ = new_id(clock())
        insert(
            connection,
            "notifications",
            id=id_,
            team_id=ACME,
            source="command",
            content=f'{{"text": "{number}"}}',
            created_at=now,
        )
        insert(
            connection,
            "deliveries",
            notification_id=id_,
            lane_id=1,
            target=GENERAL,
            state=state,
            rank=0,
            mode="new",
            on_unknown="hold",
            send_at=now + timedelta(seconds=later),
            attempts=1 if state == "sending" else 0,
            tried_at=now if state == "sending" else None,
        )


@pytest.fixture
def upgraded(
    empty_database_url: str, encryption_key: str, clock: FakeClock
) -> Iterator[tuple[Bellhop, Database]]:
    """Bellhop on a database with deliveries of the first engine."""
    database = Database(empty_database_url, [encryption_key])
    schema.upgrade(database, BEFORE)
    with database.writing_connection() as connection:
        fill(connection, clock)
    schema.upgrade(database)
    with running_bellhop(empty_database_url, encryption_key, clock) as bellhop:
        bellhop.install(ANN)
        yield bellhop, database
    database.close()


def test_all_of_them_go_out_once(upgraded: tuple[Bellhop, Database]) -> None:
    bellhop, _ = upgraded
    bellhop.services.channels.join(bellhop.services.client.find_workspace(ACME), GENERAL)
    hand = Hand(bellhop)
    hand.deliver()
    assert texts(bellhop, GENERAL) == []

    for seconds in (SETTLED, 1, 600, 600, SETTLED):
        bellhop.clock.advance(seconds)
        hand.deliver()

    assert texts(bellhop, GENERAL) == ["0", "1", "2", "3"]


def test_old_workers_fail_with_their_next_statement(upgraded: tuple[Bellhop, Database]) -> None:
    _, database = upgraded
    for statement in (
        "SELECT id FROM lanes WHERE worker_id = 'old' FOR UPDATE",
        "UPDATE workers SET beat = beat + 1",
        "SELECT team_id FROM team_paces",
    ):
        with (
            pytest.raises(DBAPIError),
            database.writing_connection() as connection,
        ):
            connection.execute(text(statement))
