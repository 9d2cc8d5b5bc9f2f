"""The upgrade of names, addresses and filters to their stored form."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, insert, inspect, select

from bolt_app.credentials.api_keys import ApiKeys
from bolt_app.credentials.webhooks import Webhooks
from bolt_app.db import Database, schema
from bolt_app.db import migrations as scripts
from bolt_app.notifications.subscriptions.filters import parse_filter
from bolt_app.notifications.subscriptions.service import Subscriptions
from tests.conftest import FakeClock
from tests.db.test_upgrades import value_for

REVISION = ScriptDirectory(scripts.__path__[0]).get_revision("0016")
COMPOSED, DECOMPOSED, INVISIBLE = "#caf\u00e9", "#cafe\u0301", "#caf\u200b\u00e9"


@pytest.fixture
def old(empty_database: Database, clock: FakeClock) -> Any:
    """Return a function that inserts rows into the tables of the previous revision."""
    assert REVISION is not None
    schema.upgrade(empty_database, str(REVISION.down_revision))
    tables = MetaData()
    with empty_database.reading_connection() as connection:
        tables.reflect(connection)

    def add(table: str, *rows: dict[str, Any]) -> None:
        with empty_database.writing_connection() as connection:
            for row in rows:
                columns = tables.tables[table].columns
                given = {name: value for name, value in row.items() if name in columns}
                needed = [
                    column for column in columns if not (column.nullable or column.server_default)
                ]
                others = {
                    item.name: value_for(item.type, clock(), 1)
                    for item in needed
                    if not item.primary_key
                }
                connection.execute(insert(tables.tables[table]).values({**others, **given}))

    return add


def values(database: Database, table: str, *names: str) -> list[tuple[Any, ...]]:
    tables = MetaData()
    with database.reading_connection() as connection:
        tables.reflect(connection, only=[table])
        columns = [tables.tables[table].c[name] for name in names]
        return [tuple(row) for row in connection.execute(select(*columns).order_by(*columns))]


def subscription(now: Any, id_: int, address: str, filter_: str = "", **more: Any) -> Any:
    given = {"id": id_, "team_id": "T1", "topic": "deploys", "address": address}
    return {**given, "filter": filter_, "created_at": now, "changed_at": now, **more}


def test_subscriptions_of_one_destination_are_merged(
    empty_database: Database, clock: FakeClock, old: Any
) -> None:
    later = clock() + timedelta(minutes=1)
    old(
        "subscriptions",
        subscription(clock(), 1, COMPOSED, "a=1"),
        subscription(later, 2, DECOMPOSED, "a=2"),
        subscription(clock(), 3, INVISIBLE, "a=3"),
        subscription(clock(), 4, DECOMPOSED, "a=4", team_id="T2"),
    )
    lane = {"team_id": "T1"}
    said = {"team_id": "T1", "source": "command", "content": {}, "created_at": clock()}
    sent = {"state": "sent", "rank": 0, "mode": "new", "on_unknown": "hold", "send_at": clock()}
    old("lanes", {"id": 1, "address": "C1", **lane})
    old("notifications", {"id": "n", **said})
    old(
        "deliveries",
        {
            "notification_id": "n",
            "lane_id": 1,
            "target": DECOMPOSED,
            "subscription_id": 1,
            "attempts": 1,
            **sent,
        },
    )

    schema.upgrade(empty_database)

    stored = values(empty_database, "subscriptions", "team_id", "address", "id", "filter")
    assert stored == [("T1", COMPOSED, 2, "a=2"), ("T2", COMPOSED, 4, "a=4")]
    assert values(empty_database, "deliveries", "subscription_id", "target") == [(2, COMPOSED)]
    [one] = Subscriptions(empty_database).of_team("T1")
    assert one.unreadable == ()


def test_queues_of_one_name_are_merged(
    empty_database: Database, clock: FakeClock, old: Any
) -> None:
    lane = {"team_id": "T1"}
    soon, later = clock(), clock() + timedelta(minutes=1)
    said = {"team_id": "T1", "source": "command", "content": {}, "created_at": clock()}
    waits = {"state": "waiting", "rank": 0, "mode": "new", "on_unknown": "hold", "attempts": 0}
    old(
        "lanes",
        {"id": 1, "address": DECOMPOSED, "wake_at": soon, **lane},
        {"id": 2, "address": COMPOSED, "wake_at": later, **lane},
        {"id": 3, "address": INVISIBLE, "wake_at": None, **lane},
        {"id": 4, "address": "@Ann@Acme.example", "wake_at": None, **lane},
    )
    old("notifications", {"id": "n", **said})
    for lane_id in (1, 2, 3):
        delivery = {"notification_id": "n", "lane_id": lane_id, "target": DECOMPOSED}
        old("deliveries", {**delivery, **waits, "send_at": clock()})

    schema.upgrade(empty_database)

    assert values(empty_database, "lanes", "id", "address") == [
        (2, COMPOSED),
        (4, "@ann@acme.example"),
    ]
    if "wake_at" in {
        column["name"] for column in inspect(empty_database.engine).get_columns("lanes")
    }:
        [(wakes,)] = [row for row in values(empty_database, "lanes", "wake_at") if row[0]]
        assert wakes.replace(tzinfo=soon.tzinfo) == soon
    assert values(empty_database, "deliveries", "lane_id", "target") == [(2, COMPOSED)] * 3


def test_names_and_addresses_get_one_form_and_secrets_stay(
    empty_database: Database, clock: FakeClock, old: Any
) -> None:
    secret, key = "e\u0301", "command|cafe\u0301"
    made = {"team_id": "T1", "created_at": clock(), "secret_hash": secret}
    old(
        "api_keys", {**made, "name": "cafe\u0301", "scopes": "send", "channels": f"{DECOMPOSED} C1"}
    )
    old("hooks", {**made, "name": "x\ufeff", "target": f"{DECOMPOSED} {COMPOSED} topic:x"})
    said = {"team_id": "T1", "source": "command", "content": {"text": key}, "created_at": clock()}
    old("notifications", {"id": "n", "key": key, **said})
    owned = {"owner": "T1/x", "key": key, "body_hash": "h", "notification_ids": "n"}
    old("idempotency_keys", {**owned, "created_at": clock()})
    channel = {"team_id": "T1", "channel_id": "C1", "is_member": True, "member_count": 1}
    old("channels", {**channel, "name": DECOMPOSED[1:], "is_private": False, "is_archived": False})

    schema.upgrade(empty_database)

    [api_key] = ApiKeys(empty_database).of_team("T1")
    assert (api_key.name, api_key.channels) == ("caf\u00e9", (COMPOSED, "C1"))
    [hook] = Webhooks(empty_database, "").of_team("T1")
    assert (hook.name, hook.to) == ("x", (COMPOSED, "topic:x"))
    assert values(empty_database, "api_keys", "secret_hash") == [(secret,)]
    assert values(empty_database, "channels", "name") == [(COMPOSED[1:],)]
    assert values(empty_database, "notifications", "key") == [(key,)]
    assert values(empty_database, "idempotency_keys", "key") == [(key,)]


# Filters before the upgrade, and after it where that differs.
FILTERS = {
    "severity>=warning service=api,web label!=bot": None,
    '"on call"="ann archer"': None,
    "place=cafe\u0301": "place=caf\u00e9",
    "\u2013label=bot": "label!=bot",
    "+label=x,\u2014y": 'label=x,"-y"',
    "`service=api`": "service=api",
    'a="`"': 'a="`"',
    "it\u2019s=x": '"it\'s"=x',
    "severty=warning": None,
    "no filter at all": None,
}


def test_filters_keep_their_meaning(
    empty_database: Database, clock: FakeClock, old: Any, subtests: pytest.Subtests
) -> None:
    rows = [
        subscription(clock(), number, f"C{number}", stored)
        for number, stored in enumerate(FILTERS, 1)
    ]
    old("subscriptions", *rows)

    schema.upgrade(empty_database)

    found = dict(values(empty_database, "subscriptions", "id", "filter"))
    assert len(found) == len(FILTERS)
    for number, (stored, now) in enumerate(FILTERS.items(), 1):
        with subtests.test(stored=stored):
            after = found[number]
            assert after == (now or stored)
            if stored != "no filter at all":
                assert parse_filter(str(parse_filter(after))) == parse_filter(after)
