"""Promotion of deliveries that are due at the same time: in turns and in short transactions."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime, timedelta

import pytest
from sqlalchemy import insert, select

from bolt_app.db.models import SHARD_COUNT, Delivery, Lane, Notification
from bolt_app.notifications.content.ids import new_id
from bolt_app.notifications.content.modes import DeliveryMode, OnUnknown
from bolt_app.notifications.content.schema import NotificationRequest
from bolt_app.notifications.content.states import DeliveryState
from bolt_app.notifications.delivery.transitions import BATCH, RELEASED_AT_ONCE, Transitions
from bolt_app.notifications.intake.sender import Sender
from bolt_app.notifications.queue.change_feed import begin_change
from bolt_app.notifications.queue.lanes import ensure_lanes
from bolt_app.notifications.subscriptions.schedules import Schedule
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from tests.people import ACME, ANN, BETA, GENERAL, SOUTH
from tests.running import Bellhop

ALL = range(SHARD_COUNT)


@pytest.fixture
def transitions(bellhop: Bellhop) -> Transitions:
    return Transitions(bellhop.services.database, "http://127.0.0.1:9", clock=bellhop.clock)


def insert_later(
    bellhop: Bellhop,
    number: int,
    at: datetime,
    *,
    team_id: str = ACME,
    address: str = GENERAL,
    state: DeliveryState = DeliveryState.SCHEDULED,
) -> str:
    """Insert deliveries of one notification that are due at a time; return its id."""
    id_, now = new_id(at), bellhop.clock()
    notification = {"id": id_, "team_id": team_id, "source": "command", "content": {}}
    with bellhop.services.database.writing_connection() as connection:
        seq = begin_change(connection, [team_id])[team_id]
        ensure_lanes(connection, [(team_id, address)])
        lane = select(Lane.id).where(Lane.team_id == team_id, Lane.address == address)
        row = {
            "notification_id": id_,
            "team_id": team_id,
            "lane_id": connection.scalar(lane),
            "seq": seq,
            "target": address,
            "state": state,
            "source": "command",
            "rank": 0,
            "urgency": 0,
            "mode": DeliveryMode.NEW,
            "on_unknown": OnUnknown.HOLD,
            "send_at": at,
            "attempts": 0,
        }
        connection.execute(insert(Notification), {**notification, "created_at": now})
        connection.execute(insert(Delivery), [row] * number)
    return id_


def test_a_flood_delays_no_other_workspace(bellhop: Bellhop, transitions: Transitions) -> None:
    now = bellhop.clock()
    floods = [insert_later(bellhop, BATCH + 1, now, team_id=one) for one in (ACME, BETA)]
    other = insert_later(bellhop, 1, now + timedelta(seconds=1), team_id=SOUTH)
    bellhop.clock.advance(1)

    promoted = transitions.promote(ALL)

    assert SOUTH in promoted.team_ids
    assert row_states(bellhop, other) == {"waiting"}
    for flood in floods:
        assert row_states(bellhop, flood) == {"waiting", "scheduled"}
    assert promoted.next_at == bellhop.clock()
    promote_all(transitions)
    for flood in floods:
        assert row_states(bellhop, flood) == {"waiting"}


def test_names_without_a_destination_delay_no_other_workspace(
    bellhop: Bellhop, transitions: Transitions
) -> None:
    now, held = bellhop.clock(), DeliveryState.HELD
    insert_later(bellhop, BATCH, now, address="#nowhere", state=held)
    other = insert_later(bellhop, 1, now + timedelta(seconds=1), team_id=BETA)
    bellhop.clock.advance(1)

    assert len(transitions.promote(ALL).names) == BATCH
    assert row_states(bellhop, other) == {"waiting"}
    # They are not read again at once: until then nothing changes.
    assert transitions.promote(ALL).next_at is None


def test_many_digests_are_released_in_short_transactions(
    bellhop: Bellhop, transitions: Transitions
) -> None:
    bellhop.install(ANN)
    channels = [f"C0HELD{number:04}" for number in range(2 * RELEASED_AT_ONCE + 1)]
    for channel_id in channels:
        spec = SubscriptionSpec("x", digest=Schedule())
        bellhop.services.subscriptions.subscribe(ACME, channel_id, spec)
    for number in range(2):
        request = NotificationRequest.model_validate({"to": "topic:x", "text": f"{number}"})
        bellhop.services.intake.submit(Sender(ACME, "command"), [request])
    bellhop.clock.advance(7200)

    promote_all(transitions)

    lanes: dict[int, list[int]] = defaultdict(list)
    with bellhop.services.database.reading() as session:
        for row in session.scalars(select(Delivery).where(Delivery.state == "digested")):
            lanes[row.seq].append(row.lane_id)
    # Both deliveries of each lane are in the same transaction.
    released = [Counter(lane_ids) for lane_ids in lanes.values()]
    assert sorted(map(len, released)) == [1, RELEASED_AT_ONCE, RELEASED_AT_ONCE]
    assert {number for counts in released for number in counts.values()} == {2}


def promote_all(transitions: Transitions) -> None:
    while transitions.promote(ALL).next_at is not None:
        pass


def row_states(bellhop: Bellhop, notification_id: str) -> set[str]:
    stored = select(Delivery.state).where(Delivery.notification_id == notification_id)
    with bellhop.services.database.reading() as session:
        return set(session.scalars(stored.distinct()))
