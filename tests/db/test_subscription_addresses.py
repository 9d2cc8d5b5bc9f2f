"""The upgrade of subscriptions to ids of known channels and people."""

from __future__ import annotations

from bolt_app.db import Database, schema
from bolt_app.db.models import Channel
from bolt_app.notifications.subscriptions.service import Subscriptions, SubscriptionSpec
from bolt_app.profiles.store import register_membership, register_team, register_user
from tests.conftest import FakeClock
from tests.people import ACME, ANN, GENERAL

CHANNEL = {
    "team_id": ACME,
    "name": "general",
    "is_member": True,
    "is_private": False,
    "member_count": 1,
}
PERSON = {"id": ANN, "team_id": ACME, "profile": {"email": "Ann@acme.example"}}


def test_data_of_an_earlier_version_is_migrated(empty_database: Database, clock: FakeClock) -> None:
    schema.upgrade(empty_database)
    subscriptions = Subscriptions(empty_database, clock=clock)
    for address in ("#general", "#unknown", "@ann@acme.example", "@nobody@acme.example"):
        subscriptions.subscribe(ACME, address, SubscriptionSpec("deploys"))
    subscriptions.subscribe(ACME, "#general", SubscriptionSpec("alerts", "service=older"))
    clock.advance(1)
    subscriptions.subscribe(ACME, GENERAL, SubscriptionSpec("alerts", "service=later"))
    with empty_database.writing() as session:
        for id_, is_archived in ((GENERAL, False), ("C0ACMEOLD1", True)):
            session.add(Channel(**CHANNEL, channel_id=id_, is_archived=is_archived))
        register_team(session, ACME, {"enterprise_id": ""}, clock())
        row_id = register_user(session, ACME, PERSON, clock())
        register_membership(session, row_id, ACME, PERSON, clock())

    schema.downgrade(empty_database, "0021-1")
    schema.upgrade(empty_database)

    found = {
        (item.address, item.spec.topic, item.spec.filter) for item in subscriptions.of_team(ACME)
    }
    assert found == {
        (GENERAL, "deploys", ""),
        (GENERAL, "alerts", "service=later"),
        ("#unknown", "deploys", ""),
        (ANN, "deploys", ""),
        ("@nobody@acme.example", "deploys", ""),
    }
