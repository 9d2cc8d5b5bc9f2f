"""Provisional `ts`: names of messages that may not be in Slack yet, in the form of Slack's.

The Slack-compatible Web API answers with one where Slack's `ts` is not known in time. It names the
message as long as its delivery is stored.

https://docs.slack.dev/messaging/retrieving-messages has the form of a `ts`.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, bindparam, select

from bolt_app.db.models import Delivery

_MICROSECONDS = 1_000_000
_LATEST = (
    select(Delivery.provisional_ts)
    .where(Delivery.team_id == bindparam("team_id"), Delivery.provisional_ts.is_not(None))
    .order_by(Delivery.provisional_ts.desc())
    .limit(1)
)
_NAMED = select(Delivery.ts, Delivery.thread_ts).where(
    Delivery.team_id == bindparam("team_id"),
    Delivery.provisional_ts == bindparam("ts"),
    Delivery.provisional_ts.is_not(None),
    Delivery.lane_id == bindparam("lane_id"),
    Delivery.source == bindparam("source"),
)


def issue(connection: Connection, team_id: str, now: datetime, number: int) -> list[str]:
    """Return new provisional `ts`, in ascending order and unique in the workspace.

    Called after `begin_change` or `begin_acceptance`, whose lock keeps them unique.
    """
    latest = connection.scalar(_LATEST, {"team_id": team_id})
    first = round(now.timestamp() * _MICROSECONDS)
    if latest is not None:
        first = max(first, int(str(latest).replace(".", "")) + 1)
    return [
        f"{micros // _MICROSECONDS}.{micros % _MICROSECONDS:06d}"
        for micros in range(first, first + number)
    ]


def thread_in_slack(
    connection: Connection, team_id: str, lane_id: int, source: str, thread_ts: str
) -> str | None:
    """Return Slack's `ts` of the thread that a reply names.

    Args:
        source: of the reply; a provisional `ts` is known only to messages of its own source.
        thread_ts: provisional, or Slack's.

    Returns: None if the message was never posted; `thread_ts` if it is not provisional.
    """
    values = {"team_id": team_id, "ts": thread_ts, "lane_id": lane_id, "source": source}
    row = connection.execute(_NAMED, values).first()
    if row is None:
        return thread_ts
    return None if row.ts is None else row.thread_ts or row.ts
