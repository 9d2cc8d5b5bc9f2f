"""Channels that were archived, left, deleted, renamed or moved: their subscriptions follow."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from bolt_app.clock import Clock
from bolt_app.lifecycle.events import EventOrigin, Events
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


class ChannelLifecycle:
    """Applies events about channels."""

    def __init__(self, events: Events, wakeup: Wakeup, clock: Clock) -> None:
        self._events = events
        self._wakeup = wakeup
        self._clock = clock

    def paused(
        self, origin: EventOrigin, address: str, reason: PauseReason
    ) -> Sequence[AffectedSubscription]:
        """Pause the subscriptions of a channel or person, and return them.

        https://docs.slack.dev/reference/events/channel_archive and
        https://docs.slack.dev/reference/events/channel_left
        """

        until = origin.latest

        def change(session: Session, team_id: str) -> Sequence[AffectedSubscription]:
            if reason == PauseReason.ARCHIVED:
                archive(session, team_id, address, is_archived=True, until=until)
            elif reason == PauseReason.REMOVED:
                leave(session, team_id, address)
            return pause(session, team_id, address, reason, until=until)

        return self._events.follow(origin, f"{address}/{reason}", change) or []

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

    def deleted(self, origin: EventOrigin, channel_id: str) -> Sequence[AffectedSubscription]:
        """End the subscriptions of a channel, and return them.

        https://docs.slack.dev/reference/events/channel_deleted
        """
        ended = self._events.follow(
            origin, None, lambda session, team_id: end(session, team_id, channel_id)
        )
        return ended or []

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
