"""Receipts: what Slack sends twice takes effect once, whichever process gets it."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.orm import Session

from bolt_app.db.models import EventReceipt
from bolt_app.db.upsert import insert_new

# Slack retries an event for some six minutes, or an hour later where delayed events are on
# (https://docs.slack.dev/apis/events-api/#retries). A modal stays open as long as somebody wants.
RECEIPT_LIFETIME = timedelta(days=1)


def take_receipt(session: Session, receipt_id: str, now: datetime) -> bool:
    """Write down that something takes effect now; return whether it had not before.

    Of two transactions with one receipt the second waits for the first to end.

    Args:
        receipt_id: the event's id, or what else names it.
    """
    session.execute(delete(EventReceipt).where(EventReceipt.received_at < now - RECEIPT_LIFETIME))
    return insert_new(session, EventReceipt, {"event_id": receipt_id, "received_at": now})
