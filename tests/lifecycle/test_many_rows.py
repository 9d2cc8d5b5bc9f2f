"""Changes that meet more rows than a statement has parameters: 65,535 on PostgreSQL."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Text, cast, func, insert, join, literal, select

from bolt_app.db.models import Delivery, Incident, Lane, Subscription
from bolt_app.notifications.incidents.blocks import IncidentAnswer
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from tests.lifecycle.test_deletion import unlink
from tests.notifications.hand import Hand, accept, deliveries
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("database_url", ["postgresql"], indirect=True),
]

NUMBERS = select(func.generate_series(1, 66_000).label("n")).subquery()


def add_lanes(connection: Connection, prefix: str) -> Any:
    """Add lanes whose addresses are numbered; return the condition for them."""
    address = literal(prefix) + cast(NUMBERS.c.n, Text)
    numbered = select(literal(ACME), address, literal(False))
    columns = ["team_id", "address", "is_erasable"]
    connection.execute(insert(Lane).from_select(columns, numbered))
    return Lane.address.startswith(prefix)


def copy_deliveries(
    connection: Connection, notification_id: str, rows: Any, which: Any, **changed: Any
) -> None:
    """Copy the only delivery of a notification for each of some rows, with changed values."""
    names = [column.name for column in Delivery.__table__.columns if column.name != "id"]
    values = [changed.get(name, getattr(Delivery, name)) for name in names]
    copies = select(*values).select_from(join(Delivery, rows, which))
    is_copied = Delivery.notification_id == notification_id
    connection.execute(insert(Delivery).from_select(names, copies.where(is_copied)))


def test_an_uninstall_erases_all_addresses_of_people(bellhop: Bellhop) -> None:
    bellhop.install(BEN)
    services = bellhop.services
    services.subscriptions.subscribe(ACME, ANN, SubscriptionSpec("deploys", created_by=ANN))
    failed = accept(bellhop, "#nowhere", "x")
    Hand(bellhop).deliver()
    with services.database.writing_connection() as connection:
        is_numbered = add_lanes(connection, "@person")
        to_people = {"lane_id": Lane.id, "target": Lane.address}
        copy_deliveries(connection, failed, Lane, is_numbered, **to_people)

    bellhop.slack.uninstall(ACME)
    bellhop.settle()

    assert services.installations.find_bot(ACME) is None
    with services.database.reading() as session:
        assert session.scalars(select(Subscription)).all() == []
        assert session.scalar(select(func.count()).where(is_numbered)) == 0
        addressed = Delivery.target.startswith("@person")
        assert session.scalar(select(func.count()).where(addressed)) == 0


def test_an_incident_with_many_messages_is_answered_and_left(bellhop: Bellhop) -> None:
    bellhop.install(BEN)
    bellhop.install(ANN)
    asking = accept(bellhop, GENERAL, "x", key="disk", actions=["acknowledge"])
    bellhop.clock.advance(2)
    Hand(bellhop).deliver()
    with bellhop.services.database.writing_connection() as connection:
        ts = cast(NUMBERS.c.n, Text) + literal(".000100")
        copy_deliveries(connection, asking, NUMBERS, NUMBERS.c.n > 0, ts=ts)

    assert bellhop.services.incidents.answer(ACME, asking, ANN, IncidentAnswer.ACKNOWLEDGE)
    unlink(bellhop)

    assert not bellhop.services.installations.find(enterprise_id=None, team_id=ACME, user_id=ANN)
    with bellhop.services.database.reading() as session:
        assert session.scalars(select(Incident.state_by)).all() == ["deleted"]


def test_an_unknown_name_is_found_out_beside_many_others(bellhop: Bellhop) -> None:
    bellhop.install(BEN)
    later = bellhop.clock() + timedelta(days=20)
    scheduled = accept(bellhop, "#unknown", "x", send_at=later.isoformat())
    with bellhop.services.database.writing_connection() as connection:
        is_numbered = add_lanes(connection, "#channel")
        to_names = {"lane_id": Lane.id, "target": Lane.address}
        copy_deliveries(connection, scheduled, Lane, is_numbered, **to_names)

    due = accept(bellhop, "#unknown", "x")
    Hand(bellhop).deliver()

    assert [one.error for one in deliveries(bellhop, due)] == ["channel_not_found"]
