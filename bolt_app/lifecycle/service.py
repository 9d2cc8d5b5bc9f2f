"""Stored facts follow what Slack says of installations, people and workspaces.

Every event takes effect once: its receipt is a row written in the same transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from bolt_app.access.sessions import end_sessions_of
from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.audit import AuditAction, write_audit
from bolt_app.db.models import InstallationCheck
from bolt_app.db.receipts import CLOCK_SKEW, is_latest, record_effect, take_receipt
from bolt_app.installations.records import StoredInstallation
from bolt_app.installations.removals import InstallationRemovals
from bolt_app.notifications.history.erasure import ErasedPeople, erase_people
from bolt_app.notifications.queue.moved_channels import move_channel
from bolt_app.notifications.queue.wakeup import Wakeup
from bolt_app.notifications.subscriptions.channel_sync import (
    Followed,
    PauseReason,
    archive,
    begin_channel_sync,
    end,
    find_subscribed,
    leave,
    pause,
    rename,
    resume,
)
from bolt_app.profiles.removal import forget_preferences, forget_teams, forget_users
from bolt_app.profiles.slack_changes import (
    follow_team,
    follow_user,
    is_older,
    leave_organization,
    was_active_after,
)
from bolt_app.profiles.store import find_emails, find_teams, is_linked, register_team
from bolt_app.signals import Signals
from bolt_app.slack_user import enterprise_of, is_guest_in, updated_at

logger = logging.getLogger(__name__)

T = TypeVar("T")
# "installation", "bot", "user": whether Slack still accepts tokens. "organization", "workspace":
# which workspaces an organization's installation serves.
CheckKind = Literal["installation", "bot", "user", "organization", "workspace"]


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
        removals: InstallationRemovals,
        signals: Signals,
        wakeup: Wakeup,
        *,
        guests_may_subscribe: bool = False,
        clock: Clock = utc_now,
    ) -> None:
        self._guests_may_subscribe = guests_may_subscribe
        self._database = database
        self._removals = removals
        self._signals = signals
        self._wakeup = wakeup
        self._clock = clock

    def tokens_revoked(
        self, origin: EventOrigin, *, user_ids: Sequence[str], bot_ids: Sequence[str]
    ) -> None:
        """Have the tokens checked that were revoked.

        https://docs.slack.dev/reference/events/tokens_revoked
        """
        kinds: list[tuple[CheckKind, str]] = [("bot", "")] if bot_ids else []
        self._request_checks(origin, [*kinds, *(("user", user_id) for user_id in user_ids)])

    def app_uninstalled(self, origin: EventOrigin) -> None:
        """Have the installation checked.

        https://docs.slack.dev/reference/events/app_uninstalled
        """
        self._request_checks(origin, [("installation", "")])

    def team_access_changed(self, origin: EventOrigin, team_ids: Sequence[str]) -> None:
        """Have it checked which workspaces the installation of an organization serves.

        https://docs.slack.dev/reference/events/team_access_granted and
        https://docs.slack.dev/reference/events/team_access_revoked
        """
        with self._once(origin) as session:
            if session is None:
                return
            for team_id in team_ids:
                self._add_check(session, origin.enterprise_id, team_id, "workspace")

    def organization_installed(self, enterprise_id: str) -> None:
        """Have the workspaces of an organization learned."""
        with self._database.writing() as session:
            self._add_check(session, enterprise_id, None, "organization")

    def _request_checks(self, origin: EventOrigin, checks: Sequence[tuple[CheckKind, str]]) -> None:
        with self._once(origin) as session:
            if session is None:
                return
            place = origin.enterprise_id, origin.installed_team_id
            for kind, user_id in checks:
                self._add_check(session, *place, kind, user_id)

    def _add_check(
        self,
        session: Session,
        enterprise_id: str | None,
        team_id: str | None,
        kind: CheckKind,
        user_id: str = "",
    ) -> None:
        check = InstallationCheck(
            enterprise_id=enterprise_id or "",
            team_id=team_id or "",
            kind=kind,
            user_id=user_id,
            created_at=self._clock(),
        )
        session.add(check)

    def pending_checks(self) -> Sequence[InstallationCheck]:
        """Return what is to be verified with Slack, oldest first."""
        with self._database.reading() as session:
            return session.scalars(select(InstallationCheck).order_by(InstallationCheck.id)).all()

    def remove_refused(
        self, check: InstallationCheck, user_id: str | None, *, is_unreadable: bool
    ) -> None:
        """Delete what a check is about, as far as Slack refused its tokens.

        Args:
            user_id: whose token was asked about, besides the bot's or instead of it.
            is_unreadable: a token could not be asked about, as it cannot be decrypted: the report
                is believed.
        """
        place = check.enterprise_id or None, check.team_id or None
        opened: Mapping[str, Sequence[str]] = {}
        with self._database.writing() as session:
            if not _take_check(session, check.id):
                return
            self._removals.lock(session, *place)
            if not is_unreadable and self._is_accepted(session, check, user_id):
                logger.info("a report of a removal is out of date", extra={"kind": check.kind})
                return
            if check.kind == "installation":
                self._remove_installation(session, *place)
            elif check.kind == "bot":
                self._removals.remove_bot(session, *place)
            else:
                opened = self._remove_user(session, *place, check.user_id)
        self._forgotten(opened)

    def _is_accepted(self, session: Session, check: InstallationCheck, user_id: str | None) -> bool:
        place = check.enterprise_id or None, check.team_id or None
        if check.kind != "user" and self._removals.has_working_bot(session, *place):
            return True
        return user_id is not None and self._removals.has_working_user(session, *place, user_id)

    def _remove_installation(
        self, session: Session, enterprise_id: str | None, team_id: str | None
    ) -> None:
        """Delete an installation, and what is known of the people who had linked themselves."""
        self._removals.remove_all(session, enterprise_id, team_id)
        self._erase_workspaces(session, enterprise_id, team_id)

    def _erase_workspaces(
        self, session: Session, enterprise_id: str | None, team_id: str | None
    ) -> None:
        for each in sorted(find_teams(session, enterprise_id, team_id)):
            everybody = ErasedPeople(each, None)
            erase_people(session.connection(), everybody, self._clock(), refreshes=False)
        forget_teams(session, enterprise_id, team_id)
        write_audit(
            session,
            AuditAction.UNINSTALLED,
            at=self._clock(),
            enterprise_id=enterprise_id,
            team_id=team_id,
        )

    def _remove_user(
        self, session: Session, enterprise_id: str | None, team_id: str | None, user_id: str
    ) -> Mapping[str, Sequence[str]]:
        place = enterprise_id, team_id
        # Without the bot no message can be changed any more.
        refreshes = self._removals.has_working_bot(session, *place)
        if not self._removals.remove_users(session, *place, [user_id]):
            # The person has unlinked, and was erased: what they did since is newer.
            return {}
        opened = self._forget(session, *place, [user_id], refreshes=refreshes)
        write_audit(
            session,
            AuditAction.TOKENS_REVOKED,
            at=self._clock(),
            enterprise_id=enterprise_id,
            team_id=team_id,
            user_id=user_id,
        )
        return opened

    def follow_workspaces(self, check: InstallationCheck, listed: Mapping[str, str | None]) -> None:
        """Record the workspaces that an organization's installation serves, and erase another.

        Others that were recorded as its workspaces, and have no installation of their own, are not
        its any more.

        Args:
            check: one about the organization, or about a workspace that is erased unless it is
                listed or has an installation of its own.
            listed: the names of all those that it serves, by their ids.
        """
        with self._database.writing() as session:
            if not _take_check(session, check.id):
                return
            for team_id, name in listed.items():
                facts = {"enterprise_id": check.enterprise_id, **({"name": name} if name else {})}
                register_team(session, team_id, facts, self._clock())
            own = self._removals.teams_with_own_bot(session)
            kept = {*listed, *own}
            leave_organization(session, check.enterprise_id, kept, until=check.created_at)
            is_served = not check.team_id or check.team_id in listed
            if not is_served and not self._removals.has_own_bot(session, check.team_id):
                self._erase_workspaces(session, None, check.team_id)
        self._forgotten({})

    def drop_check(self, check: InstallationCheck) -> None:
        """Forget a check that is about an installation that is gone."""
        with self._database.writing() as session:
            _take_check(session, check.id)

    def unlink(self, installation: StoredInstallation) -> None:
        """Forget a person: their tokens and their personal data, all at once.

        The tokens still have to be revoked at Slack: `oauth.revocation` does so.
        """
        place = installation.enterprise_id, installation.team_id
        with self._database.writing() as session:
            record_effect(session, self._clock())
            self._removals.release(session, installation)
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
        """Follow a changed profile (https://docs.slack.dev/reference/events/user_change).

        Only workspaces that the event is authorized for change, never those of people who share a
        channel with them.
        """
        facts = _dated(origin, facts)
        home, user_id = str(facts.get("team_id") or origin.team_id), str(facts["id"])
        concerned: set[str] = set()
        opened: Mapping[str, Sequence[str]] = {}
        with self._once(origin) as session:
            teams = () if session is None else _teams_of_person(session, origin, facts)
            if session is None or not teams:
                return
            subscribed = find_subscribed(session, teams, user_id)
            concerned = {home, *subscribed}
            if not is_older(session, home, origin.enterprise_id, facts):
                follow_user(session, home, origin.enterprise_id, facts, self._clock())
                for each in sorted(subscribed):
                    self._follow_role(session, each, facts)
                if facts.get("deleted"):
                    opened = self._deactivated(session, origin, home, teams, facts)
        if opened:
            self._forgotten(opened)
        for each in sorted(concerned):
            self._tell_people(each, [user_id])

    def _follow_role(self, session: Session, team_id: str, facts: Mapping[str, Any]) -> None:
        """Pause what a person subscribed themselves to while their role does not allow it."""
        user_id = str(facts["id"])
        # Only a linked profile says itself which change came last.
        if not begin_channel_sync(session, team_id, user_id, updated_at(facts)):
            return
        follow = pause if facts.get("deleted") else resume
        follow(session, team_id, user_id, "deactivated")
        is_guest = is_guest_in(team_id, facts)
        if is_guest is not None and not facts.get("deleted"):
            is_denied = is_guest and not self._guests_may_subscribe
            follow = pause if is_denied else resume
            follow(session, team_id, user_id, "guest")

    def _deactivated(
        self,
        session: Session,
        origin: EventOrigin,
        home: str,
        teams: Collection[str],
        facts: Mapping[str, Any],
    ) -> Mapping[str, Sequence[str]]:
        """End a deactivated person's sessions; erase them where they are not linked.

        A linked profile is kept, because the account may be activated again.

        Args:
            home: the person's own workspace, as Slack names it.
            teams: those that the event is about.

        Returns: the workspaces in which they were erased, with whether their App Home was open.
        """
        user_id, now = str(facts["id"]), self._clock()
        end_sessions_of(session, origin.enterprise_id, home, user_id, now)
        known_until = max(updated_at(facts), 0) + int(CLOCK_SKEW.total_seconds())
        is_kept = is_linked(session, home, user_id, origin.enterprise_id)
        opened: dict[str, Sequence[str]] = {}
        for each in sorted(teams):
            if was_active_after(session, each, user_id, known_until):
                continue
            forget_preferences(session, None, each, [user_id])
            if not is_kept:
                people = ErasedPeople(each, [user_id])
                opened[each] = erase_people(session.connection(), people, now, refreshes=True)
        return opened

    def team_changed(
        self, origin: EventOrigin, fact: Literal["name", "domain"], value: str
    ) -> None:
        """Follow a workspace's new name or domain.

        https://docs.slack.dev/reference/events/team_rename and
        https://docs.slack.dev/reference/events/team_domain_change
        """
        self._follow(
            origin, fact, lambda session, team_id: follow_team(session, team_id, {fact: value})
        )

    def address_paused(
        self, origin: EventOrigin, address: str, reason: PauseReason
    ) -> Sequence[Followed]:
        """Pause what a channel or person subscribed to; return what it was.

        https://docs.slack.dev/reference/events/channel_archive and
        https://docs.slack.dev/reference/events/channel_left
        """

        until = _latest(origin)

        def change(session: Session, team_id: str) -> Sequence[Followed]:
            if reason == "archived":
                archive(session, team_id, address, is_archived=True, until=until)
            elif reason == "removed":
                leave(session, team_id, address)
            return pause(session, team_id, address, reason, until=until)

        return self._follow(origin, f"{address}/{reason}", change) or []

    def address_resumed(self, origin: EventOrigin, address: str, reason: PauseReason) -> None:
        """Let go on what was paused for that reason.

        https://docs.slack.dev/reference/events/channel_unarchive and
        https://docs.slack.dev/reference/events/member_joined_channel
        """

        def change(session: Session, team_id: str) -> None:
            if reason == "archived":
                archive(session, team_id, address, is_archived=False, until=_latest(origin))
            resume(session, team_id, address, reason)

        self._follow(origin, f"{address}/{reason}", change)

    def channel_deleted(self, origin: EventOrigin, channel_id: str) -> Sequence[Followed]:
        """End what a channel subscribed to; return what it was.

        https://docs.slack.dev/reference/events/channel_deleted
        """
        ended = self._follow(
            origin, None, lambda session, team_id: end(session, team_id, channel_id)
        )
        return ended or []

    def channel_renamed(self, origin: EventOrigin, channel_id: str, name: str) -> None:
        """Follow a channel's new name (https://docs.slack.dev/reference/events/channel_rename)."""
        until = _latest(origin)
        self._follow(
            origin,
            f"{channel_id}/name",
            lambda session, team_id: rename(session, team_id, channel_id, name, until=until),
        )

    def channel_moved(self, origin: EventOrigin, old_id: str, new_id: str) -> None:
        """Let everything that is stored of a channel follow its new id.

        https://docs.slack.dev/reference/events/channel_id_changed
        """

        def change(session: Session, team_id: str) -> None:
            move_channel(session.connection(), team_id, old_id, new_id, self._clock())

        self._follow(origin, None, change)
        self._wakeup.notify(origin.team_id)

    def _follow(
        self, origin: EventOrigin, subject: str | None, change: Callable[[Session, str], T]
    ) -> T | None:
        """Let an event change something of its workspace, once, unless it is out of date.

        Args:
            subject: names the fact that changes; None where it changes only once, as an id that
                Slack never uses again.

        Returns: what `change` does; None where nothing changes, or the event is about no workspace.
        """
        with self._once(origin) as session:
            if session is None or origin.team_id is None:
                return None
            now = self._clock()
            if subject and not is_latest(session, origin.team_id, subject, origin.at, now):
                logger.info("an event is out of date", extra={"event_id": origin.event_id})
                return None
            return change(session, origin.team_id)

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
                self._signals.person_deleted(team_id, user_id)
        self._wakeup.notify()
        if not self._database.truncate_wal():
            logger.info("the write-ahead log is being read: the worker empties it")

    def _tell_people(self, team_id: str | None, user_ids: Sequence[str]) -> None:
        # What is about a whole organisation shows when somebody opens their home again.
        if team_id is None:
            return
        for user_id in user_ids:
            self._signals.person_changed(team_id, user_id)

    @contextmanager
    def _once(self, origin: EventOrigin) -> Iterator[Session | None]:
        """Yield a session, or None where the event took effect before."""
        with self._database.writing() as session:
            if not take_receipt(session, origin.event_id, self._clock()):
                logger.info("an event came again", extra={"event_id": origin.event_id})
                yield None
                return
            yield session


def _take_check(session: Session, check_id: int) -> bool:
    """Delete a check in the transaction of its effect; return whether it was still there."""
    taken = delete(InstallationCheck).where(InstallationCheck.id == check_id)
    return session.scalar(taken.returning(InstallationCheck.id)) is not None


def _dated(origin: EventOrigin, facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a user object that says when it changed: at the event, where Slack does not say."""
    if updated_at(facts) > 0 or origin.at is None:
        return facts
    return {**facts, "updated": int(origin.at.timestamp())}


def _teams_of_person(
    session: Session, origin: EventOrigin, facts: Mapping[str, Any]
) -> Collection[str]:
    """Return the workspaces that an event about a person concerns; none for an external user.

    Slack tells a workspace of people of other organizations too
    (https://docs.slack.dev/apis/slack-connect): what it says of them there is not theirs.
    """
    if facts.get("is_stranger"):
        return ()
    home = str(facts.get("team_id") or "")
    teams: set[str] = set()
    # An event of an organization may name the workspace of an external user.
    own = [] if origin.is_enterprise_install else [origin.team_id]
    if origin.enterprise_id:
        teams.update(find_teams(session, origin.enterprise_id, None))
        if enterprise_of(facts) == origin.enterprise_id:
            # A workspace where nobody has linked their profile may not be known.
            own = [origin.team_id, home]
    teams.update(filter(None, own))
    return teams if not home or home in teams else ()


def _latest(origin: EventOrigin) -> datetime | None:
    """Return until when something may have been written that an event does concern."""
    return None if origin.at is None else origin.at + CLOCK_SKEW
