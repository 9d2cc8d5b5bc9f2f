"""Receipts: a request or event that Slack repeats takes effect once, in any process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select, tuple_
from sqlalchemy.orm import Session

from bolt_app.db.models import EventReceipt, EventTime
from bolt_app.db.upsert import insert_new, upsert

# Slack retries an event for about six minutes, or an hour later if delayed events are enabled
# (https://docs.slack.dev/apis/events-api/#retries). A modal can stay open for hours.
RECEIPT_LIFETIME = timedelta(days=1)
# The tolerated difference between Slack's clock and ours. Slack retries an event after a minute.
CLOCK_SKEW = timedelta(seconds=10)
_UNSYNCHRONIZED = {"synchronize_session": False}


def take_receipt(session: Session | Connection, receipt_id: str, now: datetime) -> bool:
    """Record that an event takes effect; return whether it is the first time.

    The second of two transactions with the same receipt waits for the first to end.

    Args:
        receipt_id: the event's id, or another unique name.
    """
    expired = select(EventReceipt.event_id).where(EventReceipt.received_at < now - RECEIPT_LIFETIME)
    # Of another transaction none is waited for: it may wait for this one.
    unlocked = expired.with_for_update(skip_locked=True)
    session.execute(
        delete(EventReceipt).where(EventReceipt.event_id.in_(unlocked)),
        execution_options=_UNSYNCHRONIZED,
    )
    return insert_new(session, EventReceipt, {"event_id": receipt_id, "received_at": now})


def is_latest(
    session: Session, team_id: str, subject: str, at: datetime | None, now: datetime
) -> bool:
    """Record when a fact of a workspace changed; return whether no newer change is known.

    The second of two transactions about the same fact waits for the first to end.

    Args:
        subject: the name of the fact.
        at: the time of the change according to Slack; None counts as the latest.
    """
    if at is None:
        return True
    key = EventTime.team_id, EventTime.subject
    expired = select(*key).where(EventTime.happened_at < now - RECEIPT_LIFETIME)
    unlocked = expired.with_for_update(skip_locked=True)
    session.execute(
        delete(EventTime).where(tuple_(*key).in_(unlocked)), execution_options=_UNSYNCHRONIZED
    )
    return upsert(
        session,
        EventTime,
        key={"team_id": team_id, "subject": subject},
        insert={},
        update={"happened_at": at},
        unless=EventTime.happened_at > at,
    )


class ReplayedRequestError(Exception):
    """A signed request arrived again after it took effect."""

    def __init__(self) -> None:
        super().__init__("this request took effect before")


# Raises an error unless Bellhop is installed in a workspace, until the transaction ends.
KeepInstalled = Callable[[Connection, str], None]


@dataclass
class _SignedRequest:
    """The request from Slack being handled; `is_recorded` once this handling took its receipt."""

    receipt_id: str
    keep_installed: KeepInstalled | None
    is_recorded: bool = False


_signed_request: ContextVar[_SignedRequest | None] = ContextVar("signed_request", default=None)


@contextmanager
def answering(receipt_id: str, keep_installed: KeepInstalled | None = None) -> Iterator[None]:
    """Attribute the effects within the context to one signed request.

    Args:
        receipt_id: unique for every signed request.
        keep_installed: see `keep_installed`.
    """
    token = _signed_request.set(_SignedRequest(receipt_id, keep_installed))
    try:
        yield
    finally:
        _signed_request.reset(token)


def signed_request_id() -> str | None:
    """Return the receipt id of the request being handled; None outside a request."""
    request = _signed_request.get()
    return None if request is None else request.receipt_id


def keep_installed(session: Session | Connection, team_id: str) -> None:
    """Require that Bellhop is installed in the workspace that the current request changes.

    The person was authorized before, perhaps before an uninstall, which must not miss what the
    transaction stores: it waits for the end of the transaction, which locks nothing else before
    this. Outside a signed request, such as on the command line, it does nothing.

    Raises:
        NotInstalledError: it is not, or no longer.
    """
    request = _signed_request.get()
    if request is None or request.keep_installed is None:
        return
    connection = session if isinstance(session, Connection) else session.connection()
    request.keep_installed(connection, team_id)


def record_effect(session: Session | Connection, now: datetime, team_id: str | None) -> None:
    """Record that the current request takes effect, in the transaction of its effect.

    Every change on behalf of a person calls it first; reads and caches do not. Outside a signed
    request, such as on the command line, it does nothing.

    Args:
        team_id: the changed workspace, in which Bellhop must be installed; None for a change that
            must be possible without an installation, or that no request from Slack makes.

    Raises:
        ReplayedRequestError: the request took effect before; this transaction must change nothing.
        NotInstalledError: Bellhop is not installed in the workspace, or no longer.
    """
    request = _signed_request.get()
    if request is None:
        return
    is_first = take_receipt(session, request.receipt_id, now)
    if not is_first and not request.is_recorded:
        raise ReplayedRequestError
    if team_id is not None:
        keep_installed(session, team_id)
    request.is_recorded = True
