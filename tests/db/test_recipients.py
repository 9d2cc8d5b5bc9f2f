"""The upgrade to recorded recipients of direct deliveries, with existing data."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from bolt_app.db import Database, schema
from bolt_app.db.models import Delivery, Notification
from bolt_app.notifications.digests.preferences import NotificationPreferences
from bolt_app.notifications.incidents.blocks import IncidentAnswer
from bolt_app.slack_ids import NOBODY
from tests.notifications.hand import Hand, accept
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop

# Relative, so that others may come before it.
BEFORE = "0038-1"
BENS, PAT, PATS = "@ben@acme.example", "U0PAT00001", "@pat@acme.example"


@pytest.mark.both_databases
def test_it_is_known_of_what_is_in_slack_or_led_to_nobody(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    bellhop.slack.users[PAT].email = PATS[1:]
    later = (bellhop.clock() + timedelta(days=9)).isoformat()
    hourly = NotificationPreferences(direct="hourly")
    bellhop.services.preferences.choose(ACME, PAT, hourly)
    conversation = bellhop.slack.app_dm(ACME, BEN).id
    for to in (BEN, conversation, GENERAL, BENS, "@nobody@acme.example", "#nowhere"):
        accept(bellhop, to, title=f"to {to}")
        accept(bellhop, to, title=f"later {to}", send_at=later)
    for number in (1, 2):
        accept(bellhop, PATS, title=f"digest {number}")
    reminded = accept(bellhop, BENS, title="reminded", actions=["snooze"])
    for to in (BEN, BENS):
        accept(bellhop, to, title=f"failed {to}")
    deliver(bellhop)
    snooze = IncidentAnswer.SNOOZE, timedelta(days=9)
    bellhop.services.incidents.answer(ACME, reminded, BEN, *snooze)
    deliver(bellhop)
    database = bellhop.services.database
    with database.writing_connection() as connection:
        of_failed = Notification.content["title"].as_string().startswith("failed")
        failed = select(Notification.id).where(of_failed)
        connection.execute(
            update(Delivery).where(Delivery.notification_id.in_(failed)).values(state="dead")
        )
    before = recipients(database)

    schema.downgrade(database, BEFORE)
    schema.upgrade(database)

    assert recipients(database) == before | {f"failed {BENS}": {None}}
    assert before == {
        f"to {BEN}": {BEN},
        f"later {BEN}": {BEN},
        f"to {conversation}": {BEN},
        f"later {conversation}": {BEN},
        f"to {GENERAL}": {None},
        f"later {GENERAL}": {None},
        f"to {BENS}": {BEN},
        f"later {BENS}": {None},
        "to @nobody@acme.example": {NOBODY},
        "later @nobody@acme.example": {None},
        "to #nowhere": {None},
        "later #nowhere": {None},
        "digest 1": {PAT},
        "digest 2": {PAT},
        "Digest: 2 notifications": {PAT},
        "reminded": {BEN},
        f"failed {BEN}": {BEN},
        f"failed {BENS}": {BEN},
    }


def deliver(bellhop: Bellhop) -> None:
    for _ in range(12):
        Hand(bellhop).deliver()
        bellhop.clock.advance(600)


def recipients(database: Database) -> dict[str, set[str | None]]:
    """Return the recipients of deliveries that people see, by title."""
    rows = select(Notification.content, Delivery.recipient_id).join(
        Delivery, Delivery.notification_id == Notification.id
    )
    found: dict[str, set[str | None]] = {}
    with database.reading_connection() as connection:
        for row in connection.execute(rows.where(Delivery.mode != "refresh")):
            found.setdefault(str(row.content.get("title")), set()).add(row.recipient_id)
    return found
