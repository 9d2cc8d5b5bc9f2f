"""Replacements of messages that people deleted in Slack.

Slack posts a reply to a deleted message in the channel itself, without an error
(https://docs.slack.dev/reference/methods/chat.postMessage), and cannot update a deleted message
(`message_not_found`, https://docs.slack.dev/reference/methods/chat.update). The message that is
posted then replaces the deleted one: replies, updates, buttons and links refer to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from sqlalchemy import Connection, bindparam, select, update

from bolt_app.db.models import Delivery
from bolt_app.notifications.content.states import DeliveryState

MOST_REPLACEMENTS = 100
_REPLACEMENT = (
    select(Delivery.ts)
    .where(
        Delivery.lane_id == bindparam("lane_id"),
        Delivery.source == bindparam("source"),
        Delivery.replaced_ts == bindparam("ts"),
        Delivery.replaced_ts.is_not(None),
        Delivery.state == DeliveryState.SENT,
    )
    .order_by(Delivery.id.desc())
    .limit(1)
)
_REPLACE = (
    update(Delivery)
    .where(
        Delivery.lane_id == bindparam("in_lane_id"),
        Delivery.key == bindparam("of_key"),
        Delivery.key.is_not(None),
        Delivery.ts == bindparam("old_ts"),
    )
    .values(
        channel_id=bindparam("new_channel_id"),
        ts=bindparam("new_ts"),
        thread_ts=bindparam("new_thread_ts"),
        permalink=None,
    )
)


@dataclass(frozen=True)
class Replacement:
    """A message that replaces another of the same lane.

    Attributes:
        key: of both messages; None for a message that only replied to the other.
        thread_ts: of the thread it is in.
    """

    lane_id: int
    key: str | None = field(repr=False)
    replaced_ts: str
    channel_id: str
    ts: str
    thread_ts: str | None


def current_thread(connection: Connection, lane_id: int, source: str, thread_ts: str) -> str:
    """Return the message to reply to: the latest replacement of a deleted one.

    Senders choose a `thread_ts`: a message replaces only earlier messages of its source, and the
    search ends after `MOST_REPLACEMENTS`. A reply to a deleted message is posted in the channel.

    Args:
        source: of the reply.
    """
    values = {"lane_id": lane_id, "source": source}
    for _ in range(MOST_REPLACEMENTS):
        ts = connection.scalar(_REPLACEMENT, {**values, "ts": thread_ts})
        if ts is None or Decimal(ts) <= Decimal(thread_ts):
            break
        thread_ts = ts
    return thread_ts


def replace_message(connection: Connection, replacement: Replacement) -> None:
    """Point all deliveries with the key that refer to a deleted message to its replacement."""
    if replacement.key is None:
        return
    values = {
        "in_lane_id": replacement.lane_id,
        "of_key": replacement.key,
        "old_ts": replacement.replaced_ts,
        "new_channel_id": replacement.channel_id,
        "new_ts": replacement.ts,
        "new_thread_ts": replacement.thread_ts,
    }
    connection.execute(_REPLACE, values)
