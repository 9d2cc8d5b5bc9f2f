"""The work for one key does not grow with the number of its ended deliveries.

A heartbeat updates one message for as long as notifications are kept. Everything here happens in
a transaction that other senders wait for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import product
from typing import Any

import pytest
from sqlalchemy import event, insert, select, text, update

from bolt_app.credentials.api_keys import Scope
from bolt_app.db import Database
from bolt_app.db.models import Delivery
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop, Page
from tests.web.calling import Caller, caller

ROWS = 3_000
# Instructions of SQLite's virtual machine; a visited row takes several.
STEPS = 100
_FETCHED = (
    "SELECT coalesce(sum(idx_tup_fetch + seq_tup_read), 0) FROM pg_stat_xact_user_tables"
    " WHERE relname = 'deliveries' AND schemaname = current_schema()"
)


class Work:
    """The rows that statements visited, at least."""

    def __init__(self, database: Database) -> None:
        self.rows = 0
        self._fetched = 0
        self._is_sqlite = database.is_sqlite

    def begin(self, _connection: Any, cursor: Any, statement: str, *_rest: Any) -> None:
        """Begin to count before a statement."""
        if "deliveries" not in statement:
            return
        if self._is_sqlite:
            cursor.connection.set_progress_handler(self._step, STEPS)
        else:
            self._fetched = self._read_fetched(cursor)

    def end(self, _connection: Any, cursor: Any, statement: str, *_rest: Any) -> None:
        """Count the rows of a statement."""
        if "deliveries" not in statement:
            return
        if self._is_sqlite:
            cursor.connection.set_progress_handler(None, STEPS)
        else:
            self.rows += self._read_fetched(cursor) - self._fetched

    def _step(self) -> None:
        self.rows += STEPS // 10

    @staticmethod
    def _read_fetched(cursor: Any) -> int:
        return int(cursor.connection.execute(_FETCHED).fetchone()[0])


@contextmanager
def work_of(database: Database) -> Iterator[Work]:
    """Count the rows that are visited in the context."""
    work = Work(database)
    listeners = {"before_cursor_execute": work.begin, "after_cursor_execute": work.end}
    for name, listener in listeners.items():
        event.listen(database.engine, name, listener)
    try:
        yield work
    finally:
        for name, listener in listeners.items():
            event.remove(database.engine, name, listener)


def multiply(database: Database, delivery_id: int, **values: str) -> None:
    """Insert `ROWS` copies of a delivery, with other values."""
    changed = {"provisional_ts": None, "finished_at": datetime.now(UTC), **values}
    with database.writing_connection() as connection:
        found = select(Delivery.__table__).where(Delivery.id == delivery_id)
        row = {**connection.execute(found).mappings().one(), **changed}
        del row["id"]
        connection.execute(insert(Delivery), [row] * ROWS)


def analyze(database: Database) -> None:
    """Let PostgreSQL know of the rows, as its autovacuum does."""
    if not database.is_sqlite:
        with database.writing_connection() as connection:
            connection.execute(text("ANALYZE deliveries"))


def require_constant(bellhop: Bellhop, act: Callable[[], Page], grow: Callable[[], None]) -> None:
    """Require that an action costs as much after the history of its key has grown."""
    database = bellhop.services.database
    assert act().status in (200, 202)
    with work_of(database) as before:
        act()
    grow()
    analyze(database)
    with work_of(database) as after:
        assert act().status in (200, 202)

    assert after.rows - before.rows < ROWS / 5, (before.rows, after.rows)


def finish(database: Database, delivery_id: int) -> None:
    """Record that a delivery was posted."""
    values = {"state": "sent", "channel_id": GENERAL, "ts": f"1700000000.{delivery_id:06}"}
    with database.writing_connection() as connection:
        connection.execute(update(Delivery).where(Delivery.id == delivery_id).values(values))


@pytest.fixture
def api(bellhop: Bellhop) -> Caller:
    bellhop.install(ANN)
    return caller(bellhop, Scope.SEND, Scope.READ)


def test_a_notification(bellhop: Bellhop, api: Caller) -> None:
    database = bellhop.services.database
    # Without a severity, a notification goes only where one with its key is.
    spec = SubscriptionSpec("deploys", filter="severity>=warning")
    bellhop.services.subscriptions.subscribe(ACME, GENERAL, spec)
    for recipient, state in product((GENERAL, "topic:deploys"), ("sent", "digested", "waiting")):
        body = {"to": recipient, "text": "x", "key": f"{recipient} {state}"}
        first = api.send({**body, "severity": "error"}).json()["deliveries"][0]["id"]
        finish(database, first)

        require_constant(
            bellhop, partial(api.send, body), partial(multiply, database, first, state=state)
        )


def test_an_edit_of_a_posted_message(bellhop: Bellhop, api: Caller) -> None:
    for mode, state in (("edit", "sent"), ("edit", "dead"), ("react", "sent"), ("delete", "dead")):
        posted = post(bellhop, api)
        finish(bellhop.services.database, posted[0])
        require_constant_edit(bellhop, api, *posted, mode=mode, state=state)


def test_an_edit_of_a_waiting_message(bellhop: Bellhop, api: Caller) -> None:
    require_constant_edit(bellhop, api, *post(bellhop, api), mode="new", state="cancelled")


def post(bellhop: Bellhop, api: Caller) -> tuple[int, str]:
    """Post a message; return its delivery and its `ts`."""
    body = {"channel": GENERAL, "text": "x"}
    ts = str(api.call("POST", "/api/chat.postMessage", body).json()["ts"])
    with bellhop.services.database.reading_connection() as connection:
        found = select(Delivery.id).where(Delivery.provisional_ts == ts)
        return connection.execute(found).scalar_one(), ts


def require_constant_edit(
    bellhop: Bellhop, api: Caller, delivery_id: int, ts: str, **values: str
) -> None:
    edit = partial(
        api.call, "POST", "/api/chat.update", {"channel": GENERAL, "ts": ts, "text": "y"}
    )
    grow = partial(multiply, bellhop.services.database, delivery_id, **values)
    require_constant(bellhop, edit, grow)
