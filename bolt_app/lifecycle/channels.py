"""Channels that were archived, left, deleted, renamed or moved: their subscriptions follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from sqlalchemy.orm import Session

from bolt_app.clock import Clock
from bolt_app.credentials.sources import SourceKind
from bolt_app.lifecycle.events import EventOrigin, Events
from bolt_app.notifications.content.schema import NotificationRequest
from bolt_app.notifications.intake.sender import Sender
from bolt_app.notifications.intake.service import Intake
from bolt_app.notifications.queue.moved_channels import move_channel
from bolt_app.notifications.queue.wakeup import Wakeup
from bolt_app.notifications.subscriptions.channel_sync import (
    AffectedSubscription,
    PauseReason,
    archive,
    end,
    leave,
    pause,
    rename,
    resume,
)
from bolt_app.workspaces.client import NotInstalledError

# Returns the notifications about subscriptions that were paused or ended.
Notices = Callable[[Sequence[AffectedSubscription]], Sequence[NotificationRequest]]


class ChannelLifecycle:
    """Applies events about channels."""

    def __init__(self, events: Events, intake: Intake, wakeup: Wakeup, clock: Clock) -> None:
        self._events = events
        self._intake = intake
        self._wakeup = wakeup
        self._clock = clock

    def paused(
        self, origin: EventOrigin, channel_id: str, reason: PauseReason, notices: Notices
    ) -> None:
        """Pause the subscriptions of a channel, and notify people of that.

        https://docs.slack.dev/reference/events/channel_archive and
        https://docs.slack.dev/reference/events/channel_left
        """

        until = origin.latest

        def change(session: Session, team_id: str) -> None:
            if reason == PauseReason.ARCHIVED:
                archive(session, team_id, channel_id, is_archived=True, until=until)
            elif reason == PauseReason.REMOVED:
                leave(session, team_id, channel_id)
            paused = pause(session, team_id, channel_id, reason, until=until)
            self._submit(session, team_id, notices(paused))

        self._events.follow(origin, f"{channel_id}/{reason}", change)
        self._wakeup.notify(origin.team_id)

    def resumed(self, origin: EventOrigin, address: str, reason: PauseReason) -> None:
        """Resume the subscriptions that were paused for a reason.

        https://docs.slack.dev/reference/events/channel_unarchive and
        https://docs.slack.dev/reference/events/member_joined_channel
        """

        def change(session: Session, team_id: str) -> None:
            if reason == PauseReason.ARCHIVED:
                archive(session, team_id, address, is_archived=False, until=origin.latest)
            resume(session, team_id, address, reason)

        self._events.follow(origin, f"{address}/{reason}", change)

    def deleted(self, origin: EventOrigin, channel_id: str, notices: Notices) -> None:
        """End the subscriptions of a channel, and notify people of that.

        https://docs.slack.dev/reference/events/channel_deleted
        """

        def change(session: Session, team_id: str) -> None:
            self._submit(session, team_id, notices(end(session, team_id, channel_id)))

        self._events.follow(origin, None, change)
        self._wakeup.notify(origin.team_id)

    def renamed(self, origin: EventOrigin, channel_id: str, name: str) -> None:
        """Apply a channel's new name (https://docs.slack.dev/reference/events/channel_rename)."""
        until = origin.latest
        self._events.follow(
            origin,
            f"{channel_id}/name",
            lambda session, team_id: rename(session, team_id, channel_id, name, until=until),
        )

    def moved(self, origin: EventOrigin, old_id: str, new_id: str) -> None:
        """Update all stored data of a channel to its new id.

        https://docs.slack.dev/reference/events/channel_id_changed
        """

        def change(session: Session, team_id: str) -> None:
            move_channel(session.connection(), team_id, old_id, new_id, self._clock())

        self._events.follow(origin, None, change)
        self._wakeup.notify(origin.team_id)

    def _submit(
        self, session: Session, team_id: str, requests: Sequence[NotificationRequest]
    ) -> None:
        """Notify people, unless Bellhop was uninstalled: the next install would send it too late.

        An erasure of one of them waits for the transaction, or has changed what it reads.
        """
        if requests:
            with suppress(NotInstalledError):
                sender = Sender(team_id, SourceKind.LIFECYCLE)
                self._intake.submit_within(session.connection(), sender, requests)
