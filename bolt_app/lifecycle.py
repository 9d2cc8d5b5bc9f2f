"""Stored facts follow what Slack says of installations, people and workspaces.

Every event takes effect once: its receipt is a row written in the same transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete
from sqlalchemy.orm import Session

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.models import EventReceipt
from bolt_app.db.upsert import insert_new
from bolt_app.notifications.following import (
    Followed,
    PauseReason,
    end,
    move,
    pause,
    rename,
    resume,
)
from bolt_app.oauth.installation_store import SQLAlchemyInstallationStore
from bolt_app.profiles import follow_team, follow_user, forget_teams, forget_users

logger = logging.getLogger(__name__)

# Slack retries an event for some six minutes, or an hour later where delayed events are on
# (https://docs.slack.dev/apis/events-api/#retries).
RECEIPT_LIFETIME = timedelta(days=1)


@dataclass(frozen=True)
class EventOrigin:
    """Which event it is and which installation it is about.

    Attributes:
        team_id: the workspace; None only where the event is about a whole organisation.
        is_enterprise_install: whether the organisation's installation is meant.
    """

    event_id: str
    enterprise_id: str | None
    team_id: str | None
    is_enterprise_install: bool

    @property
    def installed_team_id(self) -> str | None:
        """The workspace the installation belongs to; None for an organisation-wide one."""
        return None if self.is_enterprise_install else self.team_id


class Lifecycle:
    """What each event changes. All of it may come twice, in any order, for people never seen."""

    def __init__(
        self, database: Database, store: SQLAlchemyInstallationStore, *, clock: Clock = utc_now
    ) -> None:
        self._database = database
        self._store = store
        self._clock = clock

    def tokens_revoked(
        self, origin: EventOrigin, *, user_ids: Sequence[str], bot_ids: Sequence[str]
    ) -> None:
        """Delete revoked tokens, and what is known of the people who took theirs back.

        https://docs.slack.dev/reference/events/tokens_revoked
        """
        with self._once(origin) as session:
            if session is None:
                return
            place = origin.enterprise_id, origin.installed_team_id
            if bot_ids:
                self._store.remove_bot(session, *place)
            self._store.remove_users(session, *place, user_ids)
            forget_users(session, *place, user_ids)

    def app_uninstalled(self, origin: EventOrigin) -> None:
        """Delete the installation, and what is known of the people who had linked themselves.

        https://docs.slack.dev/reference/events/app_uninstalled
        """
        with self._once(origin) as session:
            if session is None:
                return
            place = origin.enterprise_id, origin.installed_team_id
            self._store.remove_all(session, *place)
            forget_teams(session, *place)

    def user_changed(self, origin: EventOrigin, facts: Mapping[str, Any]) -> None:
        """Follow a changed profile (https://docs.slack.dev/reference/events/user_change)."""
        with self._once(origin) as session:
            if session is not None:
                team_id = str(facts.get("team_id") or origin.team_id)
                follow_user(session, team_id, origin.enterprise_id, facts, self._clock())
                follow = pause if facts.get("deleted") else resume
                follow(session, team_id, str(facts["id"]), "deactivated")

    def team_changed(self, origin: EventOrigin, facts: Mapping[str, str]) -> None:
        """Follow a workspace's new name or domain.

        https://docs.slack.dev/reference/events/team_rename and
        https://docs.slack.dev/reference/events/team_domain_change
        """
        with self._once(origin) as session:
            if session is not None and origin.team_id is not None:
                follow_team(session, origin.team_id, facts)

    def address_paused(
        self, origin: EventOrigin, address: str, reason: PauseReason
    ) -> Sequence[Followed]:
        """Pause what a channel or person subscribed to; return what it was.

        https://docs.slack.dev/reference/events/channel_archive and
        https://docs.slack.dev/reference/events/channel_left
        """
        with self._once(origin) as session:
            if session is None or origin.team_id is None:
                return []
            return pause(session, origin.team_id, address, reason)

    def address_resumed(self, origin: EventOrigin, address: str, reason: PauseReason) -> None:
        """Let go on what was paused for that reason.

        https://docs.slack.dev/reference/events/channel_unarchive and
        https://docs.slack.dev/reference/events/member_joined_channel
        """
        with self._once(origin) as session:
            if session is not None and origin.team_id is not None:
                resume(session, origin.team_id, address, reason)

    def channel_deleted(self, origin: EventOrigin, channel_id: str) -> Sequence[Followed]:
        """End what a channel subscribed to; return what it was.

        https://docs.slack.dev/reference/events/channel_deleted
        """
        with self._once(origin) as session:
            if session is None or origin.team_id is None:
                return []
            return end(session, origin.team_id, channel_id)

    def channel_renamed(self, origin: EventOrigin, channel_id: str, name: str) -> None:
        """Follow a channel's new name (https://docs.slack.dev/reference/events/channel_rename)."""
        with self._once(origin) as session:
            if session is not None and origin.team_id is not None:
                rename(session, origin.team_id, channel_id, name)

    def channel_moved(self, origin: EventOrigin, old_id: str, new_id: str) -> None:
        """Follow a channel's new id.

        https://docs.slack.dev/reference/events/channel_id_changed
        """
        with self._once(origin) as session:
            if session is not None and origin.team_id is not None:
                move(session, origin.team_id, old_id, new_id)

    @contextmanager
    def _once(self, origin: EventOrigin) -> Iterator[Session | None]:
        """Yield a session, or None where the event took effect before."""
        now = self._clock()
        with self._database.writing() as session:
            session.execute(
                delete(EventReceipt).where(EventReceipt.received_at < now - RECEIPT_LIFETIME)
            )
            receipt = {"event_id": origin.event_id, "received_at": now}
            if not insert_new(session, EventReceipt, receipt):
                logger.info("an event came again", extra={"event_id": origin.event_id})
                yield None
                return
            yield session
