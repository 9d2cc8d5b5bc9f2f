"""Receipts: what Slack sends twice takes effect once, whichever process gets it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete
from sqlalchemy.orm import Session

from bolt_app.db.models import EventReceipt, EventTime
from bolt_app.db.upsert import insert_new, upsert

# Slack retries an event for some six minutes, or an hour later where delayed events are on
# (https://docs.slack.dev/apis/events-api/#retries). A modal stays open as long as somebody wants.
RECEIPT_LIFETIME = timedelta(days=1)
# Slack's clock and ours may differ by so much. Its retries of an event come a minute later.
CLOCK_SKEW = timedelta(seconds=10)


def take_receipt(session: Session | Connection, receipt_id: str, now: datetime) -> bool:
    """Write down that something takes effect now; return whether it had not before.

    Of two transactions with one receipt the second waits for the first to end.

    Args:
        receipt_id: the event's id, or what else names it.
    """
    session.execute(delete(EventReceipt).where(EventReceipt.received_at < now - RECEIPT_LIFETIME))
    return insert_new(session, EventReceipt, {"event_id": receipt_id, "received_at": now})


def is_latest(
    session: Session, team_id: str, subject: str, at: datetime | None, now: datetime
) -> bool:
    """Record when a fact of a workspace changed; return whether nothing newer is known of it.

    Of two transactions about one fact the second waits for the first to end.

    Args:
        subject: names the fact.
        at: when it changed, as Slack says; None where it does not, which counts as the latest.
    """
    if at is None:
        return True
    session.execute(delete(EventTime).where(EventTime.happened_at < now - RECEIPT_LIFETIME))
    return upsert(
        session,
        EventTime,
        key={"team_id": team_id, "subject": subject},
        insert={},
        update={"happened_at": at},
        unless=EventTime.happened_at > at,
    )


class ReplayedRequestError(Exception):
    """A signed request came a second time, after it had taken effect."""

    def __init__(self) -> None:
        super().__init__("this request took effect before")


@dataclass
class _SignedRequest:
    """A request from Slack that is being answered; `is_recorded` by this answer, not another."""

    receipt_id: str
    is_recorded: bool = False


_signed_request: ContextVar[_SignedRequest | None] = ContextVar("signed_request", default=None)


@contextmanager
def answering(receipt_id: str) -> Iterator[None]:
    """Let what takes effect within be recorded as the effect of one signed request.

    Args:
        receipt_id: differs for every request that Slack signs.
    """
    token = _signed_request.set(_SignedRequest(receipt_id))
    try:
        yield
    finally:
        _signed_request.reset(token)


def signed_request_id() -> str | None:
    """Return the receipt id of the request that is being answered; None outside of one."""
    request = _signed_request.get()
    return None if request is None else request.receipt_id


def record_effect(session: Session | Connection, now: datetime) -> None:
    """Write down, in the effect's own transaction, that the request being answered takes effect.

    Everything that changes something for a person calls it first; reads and caches do not. Outside
    of a signed request, as on the command line, it does nothing.

    Raises:
        ReplayedRequestError: the request took effect before; this transaction is to change nothing.
    """
    request = _signed_request.get()
    if request is None:
        return
    is_first = take_receipt(session, request.receipt_id, now)
    if not is_first and not request.is_recorded:
        raise ReplayedRequestError
    request.is_recorded = True
