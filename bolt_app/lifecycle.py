"""Stored facts follow what Slack says of installations, people and workspaces.

Every event takes effect once: its receipt is a row written in the same transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.receipts import take_receipt
from bolt_app.news import News
from bolt_app.notifications.following import (
    Followed,
    PauseReason,
    archive,
    end,
    leave,
    move,
    pause,
    rename,
    resume,
)
from bolt_app.oauth.installation_store import SQLAlchemyInstallationStore
from bolt_app.profiles import (
    follow_team,
    follow_user,
    forget_preferences,
    forget_teams,
    forget_users,
)
from bolt_app.user_facts import membership_values

logger = logging.getLogger(__name__)

T = TypeVar("T")


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
        self,
        database: Database,
        store: SQLAlchemyInstallationStore,
        news: News,
        *,
        guests_may_subscribe: bool = False,
        clock: Clock = utc_now,
    ) -> None:
        self._guests_may_subscribe = guests_may_subscribe
        self._database = database
        self._store = store
        self._news = news
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
        self._tell_people(origin.installed_team_id, user_ids)

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
        team_id = str(facts.get("team_id") or origin.team_id)
        with self._once(origin) as session:
            if session is not None:
                follow_user(session, team_id, origin.enterprise_id, facts, self._clock())
                self._follow_role(session, team_id, facts)
                if facts.get("deleted"):
                    forget_preferences(session, None, team_id, [str(facts["id"])])
        self._tell_people(team_id, [str(facts["id"])])

    def _follow_role(self, session: Session, team_id: str, facts: Mapping[str, Any]) -> None:
        """Pause what a person subscribed themselves to while their role does not allow it."""
        user_id = str(facts["id"])
        follow = pause if facts.get("deleted") else resume
        follow(session, team_id, user_id, "deactivated")
        is_guest = membership_values(facts).get("is_guest")
        if is_guest is not None and not facts.get("deleted"):
            is_denied = is_guest and not self._guests_may_subscribe
            follow = pause if is_denied else resume
            follow(session, team_id, user_id, "guest")

    def team_changed(self, origin: EventOrigin, facts: Mapping[str, str]) -> None:
        """Follow a workspace's new name or domain.

        https://docs.slack.dev/reference/events/team_rename and
        https://docs.slack.dev/reference/events/team_domain_change
        """
        self._follow(origin, lambda session, team_id: follow_team(session, team_id, facts))

    def address_paused(
        self, origin: EventOrigin, address: str, reason: PauseReason
    ) -> Sequence[Followed]:
        """Pause what a channel or person subscribed to; return what it was.

        https://docs.slack.dev/reference/events/channel_archive and
        https://docs.slack.dev/reference/events/channel_left
        """

        def change(session: Session, team_id: str) -> Sequence[Followed]:
            if reason == "archived":
                archive(session, team_id, address, is_archived=True)
            elif reason == "removed":
                leave(session, team_id, address)
            return pause(session, team_id, address, reason)

        return self._follow(origin, change) or []

    def address_resumed(self, origin: EventOrigin, address: str, reason: PauseReason) -> None:
        """Let go on what was paused for that reason.

        https://docs.slack.dev/reference/events/channel_unarchive and
        https://docs.slack.dev/reference/events/member_joined_channel
        """

        def change(session: Session, team_id: str) -> None:
            if reason == "archived":
                archive(session, team_id, address, is_archived=False)
            resume(session, team_id, address, reason)

        self._follow(origin, change)

    def channel_deleted(self, origin: EventOrigin, channel_id: str) -> Sequence[Followed]:
        """End what a channel subscribed to; return what it was.

        https://docs.slack.dev/reference/events/channel_deleted
        """
        ended = self._follow(origin, lambda session, team_id: end(session, team_id, channel_id))
        return ended or []

    def channel_renamed(self, origin: EventOrigin, channel_id: str, name: str) -> None:
        """Follow a channel's new name (https://docs.slack.dev/reference/events/channel_rename)."""
        self._follow(origin, lambda session, team_id: rename(session, team_id, channel_id, name))

    def channel_moved(self, origin: EventOrigin, old_id: str, new_id: str) -> None:
        """Follow a channel's new id.

        https://docs.slack.dev/reference/events/channel_id_changed
        """
        now = self._clock()
        self._follow(origin, lambda session, team_id: move(session, team_id, old_id, new_id, now))

    def _follow(self, origin: EventOrigin, change: Callable[[Session, str], T]) -> T | None:
        """Let an event change something of its workspace, once.

        Returns: what `change` does; None where it did so before, or the event is about none.
        """
        with self._once(origin) as session:
            if session is None or origin.team_id is None:
                return None
            return change(session, origin.team_id)

    def _tell_people(self, team_id: str | None, user_ids: Sequence[str]) -> None:
        # What is about a whole organisation shows when somebody opens their home again.
        if team_id is None:
            return
        for user_id in user_ids:
            self._news.tell_person(team_id, user_id)

    @contextmanager
    def _once(self, origin: EventOrigin) -> Iterator[Session | None]:
        """Yield a session, or None where the event took effect before."""
        with self._database.writing() as session:
            if not take_receipt(session, origin.event_id, self._clock()):
                logger.info("an event came again", extra={"event_id": origin.event_id})
                yield None
                return
            yield session
