"""The upgrade to refreshes and reminders with subscriptions, with existing data."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from bolt_app.credentials.api_keys import Scope
from bolt_app.db import schema
from bolt_app.db.models import Delivery
from bolt_app.notifications.content.modes import FOLLOW_UPS
from tests.notifications.hand import Hand
from tests.people import BEN, GENERAL
from tests.running import Bellhop
from tests.web.calling import NOTIFICATIONS
from tests.web.test_subscriber_addresses import (
    INCIDENT,
    TOPIC,
    Subscribers,
    personal,
    shown,
    snooze,
)

# Relative, so that others may come before it.
BEFORE = "0034-1"


@pytest.fixture
def subscribers(bellhop: Bellhop) -> Subscribers:
    return Subscribers(bellhop)


def test_earlier_ones_show_no_subscriber(bellhop: Bellhop, subscribers: Subscribers) -> None:
    who = personal(Scope.SEND, Scope.READ)(bellhop)
    id_ = who.send({**INCIDENT, "to": [GENERAL, TOPIC]}).json()["id"]
    Hand(bellhop).deliver()
    snooze(bellhop, id_)
    database = bellhop.services.database
    schema.downgrade(database, BEFORE)
    is_follow_up = Delivery.mode.in_(FOLLOW_UPS)
    with database.writing() as session:
        session.execute(update(Delivery).where(is_follow_up).values(subscription_id=None))
    page = who.get(f"{NOTIFICATIONS}/{id_}")
    assert BEN in shown(page)

    schema.upgrade(database)

    page = who.get(f"{NOTIFICATIONS}/{id_}")
    assert shown(page).count(GENERAL) == 2
    assert subscribers.secret not in page.text
    assert BEN not in shown(page)
