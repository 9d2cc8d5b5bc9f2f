"""Stored facts follow what Slack says of installations, people and workspaces.

Every event takes effect once: its receipt is a row written in the same transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from bolt_app.access.sessions import end_sessions_of
from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.audit import AuditAction, write_audit
from bolt_app.db.receipts import record_effect, take_receipt
from bolt_app.news import News
from bolt_app.notifications.erasure import ErasedPeople, erase_people
from bolt_app.notifications.following import (
    Followed,
    PauseReason,
    archive,
    begin_following,
    end,
    leave,
    move,
    pause,
    rename,
    resume,
)
from bolt_app.notifications.wakeup import Wakeup
from bolt_app.oauth.installation_store import SQLAlchemyInstallationStore, StoredInstallation
from bolt_app.profiles import (
    find_emails,
    find_teams,
    follow_team,
    follow_user,
    forget_preferences,
    forget_teams,
    forget_users,
    is_linked,
    is_older,
    was_active_after,
)
from bolt_app.user_facts import membership_values, updated_at

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Slack's clock and ours may differ by so much. Its retries of an event come a minute later.
CLOCK_SKEW = timedelta(seconds=10)


@dataclass(frozen=True)
class EventOrigin:
    """Which event it is and which installation it is about.

    Attributes:
        team_id: the workspace; None only where the event is about a whole organisation.
        is_enterprise_install: whether the organisation's installation is meant.
        at: when it happened, as Slack says.
    """

    event_id: str
    enterprise_id: str | None
    team_id: str | None
    is_enterprise_install: bool
    at: datetime | None = None

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
        wakeup: Wakeup,
        *,
        guests_may_subscribe: bool = False,
        clock: Clock = utc_now,
    ) -> None:
        self._guests_may_subscribe = guests_may_subscribe
        self._database = database
        self._store = store
        self._news = news
        self._wakeup = wakeup
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
            is_bot_newer, newer = self._installed_after(session, origin)
            # A retry may come after the next install, which has other tokens.
            user_ids = [one for one in user_ids if one not in newer]
            if bot_ids and not is_bot_newer:
                self._store.remove_bot(session, *place)
            self._store.remove_users(session, *place, user_ids)
            # Without the bot no message can be changed any more.
            opened = self._forget(session, *place, user_ids, refreshes=not bot_ids)
            for user_id in user_ids:
                self._audit(session, AuditAction.TOKENS_REVOKED, origin, user_id)
        self._forgotten(opened)

    def app_uninstalled(self, origin: EventOrigin) -> None:
        """Delete the installation, and what is known of the people who had linked themselves.

        https://docs.slack.dev/reference/events/app_uninstalled
        """
        with self._once(origin) as session:
            if session is None:
                return
            place = origin.enterprise_id, origin.installed_team_id
            if self._installed_after(session, origin)[0]:
                logger.info("an uninstall came after the next install, and is ignored")
                return
            self._store.remove_all(session, *place)
            for team_id in sorted(find_teams(session, *place)):
                everybody = ErasedPeople(team_id, None)
                erase_people(session.connection(), everybody, self._clock(), refreshes=False)
            forget_teams(session, *place)
            self._audit(session, AuditAction.UNINSTALLED, origin)
        self._forgotten({})

    def _installed_after(self, session: Session, origin: EventOrigin) -> tuple[bool, set[str]]:
        """Return whether the bot was installed after an event, and who installed after it."""
        if origin.at is None:
            return False, set()
        place = origin.enterprise_id, origin.installed_team_id
        return self._store.installed_after(session, *place, origin.at + CLOCK_SKEW)

    def unlink(self, installation: StoredInstallation) -> None:
        """Forget a person: their tokens and their personal data, all at once.

        The tokens still have to be revoked at Slack: `oauth.revocation` does so.
        """
        place = installation.enterprise_id, installation.team_id
        with self._database.writing() as session:
            record_effect(session, self._clock())
            self._store.release(session, installation)
            opened = self._forget(session, *place, [installation.user_id], refreshes=True)
            write_audit(
                session,
                AuditAction.UNLINKED,
                at=self._clock(),
                enterprise_id=installation.enterprise_id,
                team_id=installation.team_id,
                user_id=installation.user_id,
            )
        self._forgotten(opened)

    def user_changed(self, origin: EventOrigin, facts: Mapping[str, Any]) -> None:
        """Follow a changed profile (https://docs.slack.dev/reference/events/user_change)."""
        team_id, user_id = str(facts.get("team_id") or origin.team_id), str(facts["id"])
        opened: Mapping[str, Sequence[str]] = {}
        with self._once(origin) as session:
            if session is not None and not is_older(session, team_id, origin.enterprise_id, facts):
                follow_user(session, team_id, origin.enterprise_id, facts, self._clock())
                self._follow_role(session, team_id, facts)
                if facts.get("deleted"):
                    opened = self._deactivated(session, origin, team_id, facts)
        if opened:
            self._forgotten(opened)
        self._tell_people(team_id, [user_id])

    def _follow_role(self, session: Session, team_id: str, facts: Mapping[str, Any]) -> None:
        """Pause what a person subscribed themselves to while their role does not allow it."""
        user_id = str(facts["id"])
        # Only a linked profile says itself which change came last.
        if not begin_following(session, team_id, user_id, updated_at(facts)):
            return
        follow = pause if facts.get("deleted") else resume
        follow(session, team_id, user_id, "deactivated")
        is_guest = membership_values(facts).get("is_guest")
        if is_guest is not None and not facts.get("deleted"):
            is_denied = is_guest and not self._guests_may_subscribe
            follow = pause if is_denied else resume
            follow(session, team_id, user_id, "guest")

    def _deactivated(
        self, session: Session, origin: EventOrigin, team_id: str, facts: Mapping[str, Any]
    ) -> Mapping[str, Sequence[str]]:
        """End a deactivated person's sessions; erase them where they are not linked.

        A linked profile is kept, because the account may be activated again.

        Returns: the workspaces in which they were erased, with whether their App Home was open.
        """
        user_id, now = str(facts["id"]), self._clock()
        end_sessions_of(session, origin.enterprise_id, team_id, user_id, now)
        # For a person of an organization Slack may name another workspace than that of the event.
        teams = {team_id, *filter(None, [origin.team_id])}
        if origin.enterprise_id:
            teams.update(find_teams(session, origin.enterprise_id, None))
        updated, skew = updated_at(facts), int(CLOCK_SKEW.total_seconds())
        is_kept = is_linked(session, team_id, user_id, origin.enterprise_id)
        opened: dict[str, Sequence[str]] = {}
        for each in sorted(teams):
            if updated > 0 and was_active_after(session, each, user_id, updated + skew):
                continue
            forget_preferences(session, None, each, [user_id])
            if not is_kept:
                people = ErasedPeople(each, [user_id])
                opened[each] = erase_people(session.connection(), people, now, refreshes=True)
        return opened

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
        self._follow(origin, lambda session, team_id: move(session, team_id, old_id, new_id))

    def _follow(self, origin: EventOrigin, change: Callable[[Session, str], T]) -> T | None:
        """Let an event change something of its workspace, once.

        Returns: what `change` does; None where it did so before, or the event is about none.
        """
        with self._once(origin) as session:
            if session is None or origin.team_id is None:
                return None
            return change(session, origin.team_id)

    def _audit(
        self, session: Session, action: AuditAction, origin: EventOrigin, user_id: str | None = None
    ) -> None:
        write_audit(
            session,
            action,
            at=self._clock(),
            enterprise_id=origin.enterprise_id,
            team_id=origin.installed_team_id,
            user_id=user_id,
        )

    def _forget(
        self,
        session: Session,
        enterprise_id: str | None,
        team_id: str | None,
        user_ids: Sequence[str],
        *,
        refreshes: bool,
    ) -> Mapping[str, Sequence[str]]:
        """Delete what is known of people; return who had their App Home open, by workspace."""
        opened: dict[str, Sequence[str]] = {}
        if not user_ids:
            return opened
        for each in sorted(find_teams(session, enterprise_id, team_id)):
            people = ErasedPeople(each, user_ids, find_emails(session, each, user_ids))
            opened[each] = erase_people(
                session.connection(), people, self._clock(), refreshes=refreshes
            )
        forget_users(session, enterprise_id, team_id, user_ids)
        return opened

    def _forgotten(self, opened: Mapping[str, Sequence[str]]) -> None:
        """Have it seen, after the commit, that people are forgotten."""
        for team_id, user_ids in opened.items():
            for user_id in user_ids:
                self._news.tell_forgotten(team_id, user_id)
        self._wakeup.notify()
        if not self._database.truncate_wal():
            logger.info("the write-ahead log is being read: the worker empties it")

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
