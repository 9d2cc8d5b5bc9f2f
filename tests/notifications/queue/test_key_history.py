"""The work for one key does not grow with the number of its ended deliveries.

A heartbeat updates one message for as long as notifications are kept. Everything here happens in
a transaction that other senders wait for.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import product
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, select, text, update

from bolt_app.credentials.api_keys import Scope
from bolt_app.db import Database
from bolt_app.db.models import Delivery, Notification
from bolt_app.notifications.subscriptions.schedules import Schedule
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from slack_sandbox import Fault
from tests.notifications.hand import Hand
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop
from tests.web.calling import Caller, caller

ROWS = 3_000
HOUR = 3600
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


def multiply(database: Database, delivery_id: int, **values: str | None) -> None:
    """Insert `ROWS` copies of a delivery, of another notification and with other values."""
    changed = {"provisional_ts": None, "finished_at": datetime.now(UTC), **values}
    with database.writing_connection() as connection:
        delivery = _copy(connection, Delivery, delivery_id)
        notification = _copy(connection, Notification, delivery["notification_id"])
        notification["id"] = f"{notification['id'][:-12]}{uuid.uuid4().hex[:12]}"
        connection.execute(insert(Notification), [notification])
        del delivery["id"]
        row = {**delivery, "notification_id": notification["id"], **changed}
        connection.execute(insert(Delivery), [row] * ROWS)


def _copy(
    connection: Connection, model: type[Delivery | Notification], id_: int | str
) -> dict[str, Any]:
    found = select(model.__table__).where(model.id == id_)
    return dict(connection.execute(found).mappings().one())


def analyze(database: Database) -> None:
    """Let PostgreSQL know of the rows, as its autovacuum does."""
    if not database.is_sqlite:
        with database.writing_connection() as connection:
            connection.execute(text("ANALYZE deliveries"))


def require_constant(bellhop: Bellhop, act: Callable[[], object], grow: Callable[[], None]) -> None:
    """Require that an action costs as much after the history of its key has grown."""
    database = bellhop.services.database
    act()
    with work_of(database) as before:
        act()
    grow()
    analyze(database)
    with work_of(database) as after:
        act()

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
        first = send(api, {**body, "severity": "error"})["deliveries"][0]["id"]
        finish(database, first)

        require_constant(
            bellhop, partial(send, api, body), partial(multiply, database, first, state=state)
        )


def test_an_edit_of_a_posted_message(bellhop: Bellhop, api: Caller) -> None:
    for mode, state in (("edit", "sent"), ("edit", "dead"), ("react", "sent"), ("delete", "dead")):
        posted = post(bellhop, api)
        finish(bellhop.services.database, posted[0])
        require_constant_edit(bellhop, api, *posted, mode=mode, state=state)


def test_an_edit_of_a_waiting_message(bellhop: Bellhop, api: Caller) -> None:
    require_constant_edit(bellhop, api, *post(bellhop, api), mode="new", state="cancelled")


@pytest.fixture
def hand(bellhop: Bellhop, api: Caller) -> Hand:
    """A worker of an installed workspace."""
    return Hand(bellhop)


def deliver(hand: Hand, seconds: float = 5) -> None:
    """Deliver what is due, past the pace of a channel."""
    hand.bellhop.clock.advance(seconds)
    assert hand.deliver() > 0


@pytest.mark.parametrize("mode", ["update", "thread"])
def test_an_attempt(bellhop: Bellhop, api: Caller, hand: Hand, mode: str) -> None:
    body = {"to": GENERAL, "text": "x", "key": "disk", "mode": mode}
    first = send(api, body)["deliveries"][0]["id"]
    deliver(hand)

    def act() -> None:
        send(api, body)
        deliver(hand)

    require_constant(bellhop, act, partial(expire, bellhop, first))


def test_an_attempt_to_edit(bellhop: Bellhop, api: Caller, hand: Hand) -> None:
    first, ts = post(bellhop, api)
    deliver(hand)

    def act() -> None:
        body = {"channel": GENERAL, "ts": ts, "text": "y"}
        assert api.call("POST", "/api/chat.update", body).status == 200
        deliver(hand)

    require_constant(bellhop, act, partial(expire, bellhop, first))


def test_an_answer_to_an_incident(bellhop: Bellhop, api: Caller, hand: Hand) -> None:
    answers = ["acknowledge", "assign", "resolve"]
    body = {"to": GENERAL, "text": "x", "key": "disk", "actions": answers, "severity": "critical"}
    first = send(api, body)["deliveries"][0]["id"]
    deliver(hand)
    waiting = iter(answers)

    def act() -> None:
        [message] = bellhop.slack.messages(GENERAL)
        assert bellhop.slack.click(ANN, message, f"incident.{next(waiting)}").error is None
        deliver(hand)

    require_constant(bellhop, act, partial(expire, bellhop, first))


def test_a_release(bellhop: Bellhop, api: Caller, hand: Hand) -> None:
    spec = SubscriptionSpec("deploys", digest=Schedule())
    bellhop.services.subscriptions.subscribe(ACME, GENERAL, spec)
    body = {"to": "topic:deploys", "text": "x", "key": "disk"}
    first = send(api, body)["deliveries"][0]["id"]
    deliver(hand, HOUR)
    finish(bellhop.services.database, first)

    def act() -> None:
        send(api, body)
        send(api, {**body, "key": "cpu"})
        deliver(hand, HOUR)

    require_constant(bellhop, act, partial(expire, bellhop, first))


def test_a_retry(bellhop: Bellhop, api: Caller, hand: Hand) -> None:
    body = {"to": GENERAL, "text": "x", "key": "disk"}
    accepted = send(api, body)
    bellhop.slack.faults.add(Fault("chat.postMessage", "api_error", error="invalid_blocks"))

    def act() -> None:
        deliver(hand)
        bellhop.services.history.retry(ACME, accepted["id"])

    first = accepted["deliveries"][0]["id"]
    require_constant(bellhop, act, partial(expire, bellhop, first))


def expire(bellhop: Bellhop, delivery_id: int) -> None:
    """Insert copies of a delivery that have expired: Slack does not limit how many."""
    nothing = {"channel_id": None, "ts": None, "thread_ts": None}
    multiply(bellhop.services.database, delivery_id, state="expired", **nothing)


def send(api: Caller, body: dict[str, Any]) -> Any:
    """Send a notification; return the response."""
    answer = api.send(body)
    assert answer.status == 202, answer.text
    return answer.json()


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
    def edit() -> None:
        body = {"channel": GENERAL, "ts": ts, "text": "y"}
        assert api.call("POST", "/api/chat.update", body).status == 200

    grow = partial(multiply, bellhop.services.database, delivery_id, **values)
    require_constant(bellhop, edit, grow)
