"""The cost of deciding what may be shown, where notifications have many deliveries.

Processor time is measured, so that other processes do not count.
"""

from __future__ import annotations

from collections.abc import Callable
from time import process_time

import pytest
from sqlalchemy import insert, text, update

from bolt_app.db.models import Delivery, Notification, Subscription
from bolt_app.notifications.content.states import DeliveryState
from tests.notifications.hand import accept
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop

pytestmark = pytest.mark.sqlite_only

RANDOM = "C0ACME0002"
SUBSCRIBERS, COPIES = 300, 99
LIMIT_SECONDS = 0.7


def test_it_does_not_depend_on_their_number(bellhop: Bellhop, subtests: pytest.Subtests) -> None:
    bellhop.install(ANN)
    id_ = _to_many(bellhop)
    link = f"{bellhop.url}/notifications/{id_}"

    def share() -> None:
        message = bellhop.slack.post_as(BEN, RANDOM, " ".join(f"{link}?{n}" for n in range(50)))
        bellhop.slack.deliver_due()
        assert len(message.attachments) == 1

    def subscribe() -> None:
        answer = bellhop.slack.send_command(BEN, GENERAL, "/notify", "subscribe deploys").message
        assert answer is not None
        assert f"of the last {COPIES + 1} notifications" in str(answer.blocks)

    for action in (share, subscribe):
        with subtests.test(action.__name__):
            assert _seconds(action) < LIMIT_SECONDS


def _seconds(action: Callable[[], None]) -> float:
    began = process_time()
    action()
    return process_time() - began


def _to_many(bellhop: Bellhop) -> str:
    """Accept a notification to a public channel and many subscribers, and copy it."""
    now = bellhop.clock()
    address = {"team_id": ACME, "topic": "deploys", "created_at": now, "changed_at": now}
    addresses = [f"C0SUB{number:05}" for number in range(SUBSCRIBERS)]
    with bellhop.services.database.writing() as session:
        session.execute(insert(Subscription), [{**address, "address": one} for one in addresses])
    id_ = accept(bellhop, [GENERAL, "topic:deploys"], "x " * 5000)
    with bellhop.services.database.writing() as session:
        session.execute(update(Delivery).values(state=DeliveryState.SENT, finished_at=now))
        numbers = "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < :most)"
        new_id = f"'{id_[:-4]}' || printf('%04d', n)"
        for model, column in ((Notification, "id"), (Delivery, "notification_id")):
            names = {one.name for one in model.__table__.columns} - {"id", column}
            copied = ", ".join(names)
            copy = (
                f"INSERT INTO {model.__tablename__} ({column}, {copied}) SELECT {new_id}, {copied}"
            )
            session.execute(
                text(f"{numbers} {copy} FROM {model.__tablename__}, s"), {"most": COPIES}
            )
    return id_
