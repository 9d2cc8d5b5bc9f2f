"""The upgrade to cancelled contents that edits replaced, with existing data."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from bolt_app.db import Database, schema
from bolt_app.db.models import Delivery
from bolt_app.notifications.content.states import DeliveryState
from bolt_app.notifications.subscriptions.schedules import Schedule
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from tests.notifications.hand import Hand, accept
from tests.people import ACME, ANN, GENERAL
from tests.running import Bellhop
from tests.web.methods.calling import method_caller

# Relative, so that others may come before it.
BEFORE = "0036-1"
STATE = select(Delivery.state, Delivery.digest_id)


@pytest.mark.both_databases
def test_what_a_digest_contains_stays(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    hourly = SubscriptionSpec("news", digest=Schedule.read("hourly", "UTC"))
    bellhop.services.subscriptions.subscribe(ACME, GENERAL, hourly)
    for key in ("a", "b"):
        accept(bellhop, "topic:news", key, key=key)
    bellhop.clock.advance(3600)
    for _ in range(3):
        Hand(bellhop).deliver()
        bellhop.clock.advance(2)
    ci = method_caller(bellhop)
    ts = ci.ok("chat.postMessage", channel=GENERAL, text="one")["ts"]
    ci.ok("chat.update", channel=GENERAL, ts=ts, text="two")
    database = bellhop.services.database
    schema.downgrade(database, BEFORE)
    is_replaced = Delivery.state == DeliveryState.CANCELLED
    former = {"state": DeliveryState.DIGESTED, "digest_id": "0" * 32}
    with database.writing_connection() as connection:
        connection.execute(update(Delivery).where(is_replaced).values(former))
    before = rows(database)

    schema.upgrade(database)

    assert [one for one in before if one[0] == "digested"] != []
    assert rows(database) == [
        ("cancelled", None) if one == ("digested", "0" * 32) else one for one in before
    ]
    assert ("cancelled", None) in rows(database)


def rows(database: Database) -> list[tuple[str, str | None]]:
    with database.reading_connection() as connection:
        found = connection.execute(STATE.order_by(Delivery.id))
        return [(row.state, row.digest_id) for row in found]
