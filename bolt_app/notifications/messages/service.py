"""Changes of messages of the Slack-compatible Web API: edits, deletion, reactions, schedules.

A message that still waits is changed in the queue. For one that may be in Slack the change is a
delivery in the same lane and with the same key, so that it follows the message.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert

from bolt_app.clock import Clock, utc_now
from bolt_app.credentials.limits import Charge, SenderLimits
from bolt_app.credentials.sources import credentials_of
from bolt_app.db import Database
from bolt_app.db.models import Delivery, Notification, Reaction
from bolt_app.notifications.content.files import FILES
from bolt_app.notifications.content.modes import DeliveryMode
from bolt_app.notifications.content.schema import NotificationRequest
from bolt_app.notifications.content.states import POSTED_STATES, DeliveryState
from bolt_app.notifications.files.store import link_files, unlink_replaced
from bolt_app.notifications.intake.planning import Draft
from bolt_app.notifications.intake.sender import Sender
from bolt_app.notifications.messages.errors import MessageChangedError, MessageNotFoundError
from bolt_app.notifications.messages.store import (
    PENDING,
    Message,
    cancel,
    end_pending,
    end_pending_changes,
    find_message,
    find_pending_edits,
    find_scheduled,
    is_deleted,
    latest_content,
    point_to,
)
from bolt_app.notifications.queue.change_feed import (
    begin_acceptance,
    state_until,
    stored_urgency,
)
from bolt_app.notifications.queue.moved_channels import current_ids
from bolt_app.notifications.queue.rank import MESSAGE_RANK
from bolt_app.notifications.queue.wakeup import Wakeup
from bolt_app.recipients import known_recipient

# Takes the kept members of a message's current content, and returns the notification that replaces
# it.
Merge = Callable[[Mapping[str, Any]], NotificationRequest]


@dataclass(frozen=True)
class _Change:
    """A transaction that changes messages of one workspace, whose queue it has locked."""

    connection: Connection
    sender: Sender
    seq: int
    now: datetime
    at: datetime

    @property
    def ended(self) -> dict[str, Any]:
        """The columns of a delivery that it ends."""
        return {"finished_at": self.now, "seq": self.seq}


class Messages:
    """Finds and changes messages, for their own source only."""

    def __init__(
        self,
        database: Database,
        wakeup: Wakeup,
        limits: SenderLimits,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._wakeup = wakeup
        self._limits = limits
        self._clock = clock

    def find(self, sender: Sender, addresses: Collection[str], ts: str) -> Message:
        """Return a message of the sender's source.

        Args:
            addresses: one of them must be the message's.
            ts: provisional, or Slack's.

        Raises:
            MessageNotFoundError: the source of the sender has no such message.
        """
        with self._database.reading_connection() as connection:
            return _find(connection, sender, addresses, ts)

    def edit(
        self,
        sender: Sender,
        addresses: Collection[str],
        ts: str,
        kept: Collection[str],
        merge: Merge,
    ) -> int:
        """Replace the content of a message.

        The new content is prepared before the queue is locked, which all senders wait for.

        Args:
            kept: the members of the current content that `merge` takes.

        Returns: the delivery with the new content.

        Raises:
            MessageNotFoundError: the source of the sender has no such message.
            MessageChangedError: others change what the edit keeps.
            RevokedError, LimitError: see `SenderLimits.charge`.
        """
        try:
            return self._edit(sender, addresses, ts, kept, merge)
        except MessageChangedError:
            return self._edit(sender, addresses, ts, kept, merge)

    def _edit(
        self,
        sender: Sender,
        addresses: Collection[str],
        ts: str,
        kept: Collection[str],
        merge: Merge,
    ) -> int:
        with self._database.reading_connection() as connection:
            message = _require(connection, sender, addresses, ts)
            members = _members(latest_content(connection, message), kept)
        draft = Draft.of_message(sender, merge(members), self._clock())
        with self._changing(sender, deliveries=1) as change:
            message = _require(change.connection, sender, addresses, ts)
            current = latest_content(change.connection, message)
            if _members(current, kept) != members:
                raise MessageChangedError
            new = _insert_notification(change, message, draft, current)
            edits = find_pending_edits(change.connection, message)
            for waiting in (message, *edits):
                if point_to(change.connection, waiting.id, new, change.seq):
                    _insert(change, _replaced_row(change, message, waiting.notification_id))
                    return int(waiting.id)
            row = _change_row(change, message, DeliveryMode.EDIT)
            return _insert(change, {**row, "notification_id": new})

    def delete(self, sender: Sender, addresses: Collection[str], ts: str) -> int | None:
        """Delete a message, or cancel it if it still waits.

        Returns: the delivery that deletes it from Slack; None if it was cancelled.

        Raises:
            MessageNotFoundError: the source of the sender has no such message.
            RevokedError, LimitError: see `SenderLimits.charge`.
        """
        with self._changing(sender, deliveries=1) as change:
            message = _require(change.connection, sender, addresses, ts)
            ended = {"state": DeliveryState.CANCELLED, **change.ended}
            end_pending_changes(change.connection, message, ended)
            if cancel(change.connection, message.id, change.now, change.seq):
                return None
            return _insert(change, _change_row(change, message, DeliveryMode.DELETE))

    def react(self, sender: Sender, addresses: Collection[str], ts: str, name: str) -> int:
        """Add an emoji to a message, once it is in Slack.

        Args:
            name: of the emoji, without colons.

        Returns: the delivery that adds it.

        Raises:
            MessageNotFoundError: the source of the sender has no such message.
            RevokedError, LimitError: see `SenderLimits.charge`.
        """
        with self._changing(sender, deliveries=1) as change:
            message = _require(change.connection, sender, addresses, ts)
            id_ = _insert(change, _change_row(change, message, DeliveryMode.REACT))
            change.connection.execute(insert(Reaction).values(delivery_id=id_, name=name))
            return id_

    def scheduled(
        self, sender: Sender, addresses: Collection[str] | None, most: int
    ) -> list[Message]:
        """Return the first scheduled messages of the sender's source.

        Args:
            addresses: one of them must be the message's; None: any may be.
        """
        with self._database.reading_connection() as connection:
            sources = _sources(connection, sender)
            if addresses is not None:
                addresses = _with_current(connection, sender.team_id, addresses)
            return find_scheduled(connection, sender.team_id, sources, addresses, most)

    def cancel_scheduled(self, sender: Sender, addresses: Collection[str], ts: str) -> None:
        """Cancel a scheduled message.

        Raises:
            MessageNotFoundError: the source of the sender has no such message, or it is not
                scheduled any more.
            RevokedError, LimitError: see `SenderLimits.charge`.
        """
        with self._changing(sender) as change:
            message = _find(change.connection, sender, addresses, ts)
            cancelled = {"state": DeliveryState.CANCELLED, **change.ended}
            is_scheduled = message.state == DeliveryState.SCHEDULED
            if not is_scheduled or not end_pending(change.connection, message.id, cancelled):
                raise MessageNotFoundError

    @contextmanager
    def _changing(self, sender: Sender, *, deliveries: int = 0) -> Iterator[_Change]:
        """Charge the sender, and lock the queue of its workspace; wake its owner afterwards."""
        now = self._clock()
        counting = self._limits.counting_rejections(sender.credential)
        with counting, self._database.writing_connection() as connection:
            if sender.credential is not None:
                charges = [Charge(sender.credential, requests=1, deliveries=deliveries)]
                self._limits.charge(connection, charges, now, checks_installation=False)
            seq, at = begin_acceptance(connection, sender.team_id, now)
            self._limits.require_installed(connection, sender.team_id)
            yield _Change(connection, sender, seq, now, at)
        self._wakeup.notify(sender.team_id)


def _sources(connection: Connection, sender: Sender) -> frozenset[str]:
    return credentials_of(connection, sender.team_id, sender.source or sender.name)


def _with_current(
    connection: Connection, team_id: str, addresses: Collection[str]
) -> Collection[str]:
    """Add the current ids of channels, which the sender may know by former ones."""
    return {*addresses, *current_ids(connection, team_id, addresses).values()}


def _find(connection: Connection, sender: Sender, addresses: Collection[str], ts: str) -> Message:
    sources = _sources(connection, sender)
    addresses = _with_current(connection, sender.team_id, addresses)
    message = find_message(connection, sender.team_id, sources, addresses, ts)
    if message is None:
        raise MessageNotFoundError
    return message


def _require(
    connection: Connection, sender: Sender, addresses: Collection[str], ts: str
) -> Message:
    """Return a message that is in Slack, may be, or is to be.

    Raises:
        MessageNotFoundError: the source of the sender has no such message, or it is deleted.
    """
    message = _find(connection, sender, addresses, ts)
    if message.state not in PENDING | POSTED_STATES or is_deleted(connection, message):
        raise MessageNotFoundError
    return message


def _members(content: Mapping[str, Any], names: Iterable[str]) -> Mapping[str, Any]:
    return {name: content.get(name) for name in names}


def _insert_notification(
    change: _Change, message: Message, draft: Draft, current: Mapping[str, Any]
) -> str:
    row = {**draft.row, "key": message.key, "is_unrouted": False}
    # A change of the text keeps the files, as in Slack.
    kept = {FILES: current[FILES]} if FILES in current else {}
    row["content"] = {**row["content"], **kept}
    change.connection.execute(insert(Notification).values(row))
    if kept:
        ids = [file["id"] for file in kept[FILES]]
        link_files(change.connection, draft.id, ids)
        unlink_replaced(change.connection, ids, message.lane_id, message.key, draft.id)
    return draft.id


def _insert(change: _Change, row: Mapping[str, Any]) -> int:
    inserted = insert(Delivery).values(row).returning(Delivery.id)
    return change.connection.execute(inserted).scalar_one()


def _replaced_row(change: _Change, message: Message, notification_id: str) -> dict[str, Any]:
    """Return the ended delivery of a notification that another one replaced in the queue.

    It is cancelled: its content, which the sender has withdrawn, never went out.
    """
    return {
        **_row(change, message),
        **change.ended,
        "notification_id": notification_id,
        "state": DeliveryState.CANCELLED,
        "mode": DeliveryMode.NEW,
        "urgency": message.urgency,
        "send_at": message.send_at,
    }


def _change_row(change: _Change, message: Message, mode: DeliveryMode) -> dict[str, Any]:
    """Return the delivery that changes a message, after the message itself."""
    send_at = change.now
    if message.state in (DeliveryState.SCHEDULED, DeliveryState.HELD):
        send_at = max(message.send_at, change.now)
    return {
        **_row(change, message),
        "notification_id": message.notification_id,
        "state": state_until(send_at, change.now),
        "mode": mode,
        "urgency": stored_urgency(MESSAGE_RANK, max(send_at, change.at)),
        "send_at": send_at,
        "channel_id": message.channel_id,
        "changed_by": change.sender.name,
    }


def _row(change: _Change, message: Message) -> dict[str, Any]:
    return {
        "team_id": change.sender.team_id,
        "lane_id": message.lane_id,
        "seq": change.seq,
        "target": message.target,
        "recipient_id": known_recipient(message.target, message.address),
        "source": message.source,
        "rank": MESSAGE_RANK,
        "key": message.key,
        "on_unknown": message.on_unknown,
        "attempts": 0,
    }
