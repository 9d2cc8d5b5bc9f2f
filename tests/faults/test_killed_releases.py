"""Workers are killed one after another in the middle of a release of held deliveries."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from typing import Literal

import pytest
from sqlalchemy import select, update

from bolt_app.clock import utc_now
from bolt_app.db.models import IS_OPEN, Delivery, Notification
from bolt_app.notifications.content.schema import NotificationRequest
from bolt_app.notifications.intake.sender import Sender
from bolt_app.notifications.subscriptions.schedules import Schedule
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from tests.delivering import install_without_limits, quick_bellhop, wait_until
from tests.faults.load import DELAYS
from tests.faults.worker_process import Death, start_worker, working
from tests.people import ACME
from tests.running import Bellhop

START_SECONDS = 30
CHANNELS = 20
EACH = 5


@pytest.fixture
def bellhop(database_url: str, encryption_key: str) -> Iterator[Bellhop]:
    """Run Bellhop in real time."""
    with quick_bellhop(database_url, encryption_key, delays=DELAYS) as running:
        yield running


def hold(bellhop: Bellhop) -> list[str]:
    """Create due held deliveries in every channel; return the channels."""
    install_without_limits(bellhop)
    channels = [bellhop.slack.add_channel(ACME, f"held-{n}").id for n in range(CHANNELS)]
    for channel_id in channels:
        bellhop.services.subscriptions.subscribe(
            ACME, channel_id, SubscriptionSpec("x", digest=Schedule())
        )
    for number in range(EACH):
        request = NotificationRequest.model_validate({"to": "topic:x", "text": f"Held {number}"})
        bellhop.services.intake.submit(Sender(ACME, "command"), [request])
    with bellhop.services.database.writing() as session:
        session.execute(update(Delivery).values(send_at=utc_now()))
    return channels


def is_all_done(bellhop: Bellhop) -> bool:
    with bellhop.services.database.reading() as session:
        return session.scalar(select(Delivery.id).where(IS_OPEN).limit(1)) is None


@pytest.mark.parametrize("step", ["released", "begun"])
def test_nothing_is_lost_or_released_twice(
    bellhop: Bellhop, step: Literal["released", "begun"]
) -> None:
    channels = hold(bellhop)

    for _ in range(2):
        worker = start_worker(bellhop.settings, Death(step, 4))
        worker.join(START_SECONDS)
        assert worker.exitcode == -signal.SIGKILL
    with working(bellhop.settings):
        wait_until(bellhop, lambda: is_all_done(bellhop))

    for channel_id in channels:
        [message] = bellhop.slack.messages(channel_id)
        assert f"Digest: {EACH} notifications" in message.text
    told = select(Delivery.state, Notification.source).join(
        Notification, Notification.id == Delivery.notification_id
    )
    with bellhop.services.database.reading() as session:
        assert Counter(tuple(row) for row in session.execute(told)) == {
            ("digested", "command"): CHANNELS * EACH,
            ("sent", "digest"): CHANNELS,
        }
        digests = select(Delivery.digest_id).where(Delivery.digest_id.is_not(None)).distinct()
        assert len(session.scalars(digests).all()) == CHANNELS
