"""The lifecycle of installations, people and workspaces, driven by Slack's events.

Every event takes effect once: its receipt is a row written in the same transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
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
from bolt_app.notifications.files.store import delete_files_of
from bolt_app.notifications.history.erasure import ErasedPeople, erase_people
from bolt_app.notifications.queue.moved_channels import move_channel
from bolt_app.notifications.queue.wakeup import Wakeup
from bolt_app.notifications.subscriptions.channel_sync import (
    AffectedSubscription,
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


class CheckKind(StrEnum):
    """The kind of an installation check.

    The first three verify that Slack still accepts tokens, the others find the workspaces that an
    organization's installation serves.
    """

    INSTALLATION = "installation"
    BOT = "bot"
    USER = "user"
    ORGANIZATION = "organization"
    WORKSPACE = "workspace"


@dataclass(frozen=True)
class EventOrigin:
    """An event, and the installation that it concerns.

    Attributes:
        team_id: the workspace; None only if the event concerns a whole organization.
        is_enterprise_install: whether it concerns the organization's installation.
        at: the time of the event according to Slack.
    """

    event_id: str
    enterprise_id: str | None
    team_id: str | None
    is_enterprise_install: bool
    at: datetime | None = None

    @property
    def installed_team_id(self) -> str | None:
        """The installed workspace; None for an organization-wide installation."""
        return None if self.is_enterprise_install else self.team_id


class Lifecycle:
    """Applies events, which may arrive repeatedly, in any order, and for unknown people."""

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
        """Request checks of revoked tokens.

        https://docs.slack.dev/reference/events/tokens_revoked
        """
        kinds: list[tuple[CheckKind, str]] = [(CheckKind.BOT, "")] if bot_ids else []
        self._request_checks(origin, [*kinds, *((CheckKind.USER, user_id) for user_id in user_ids)])

    def app_uninstalled(self, origin: EventOrigin) -> None:
        """Request a check of the installation.

        https://docs.slack.dev/reference/events/app_uninstalled
        """
        self._request_checks(origin, [(CheckKind.INSTALLATION, "")])

    def team_access_changed(self, origin: EventOrigin, team_ids: Sequence[str]) -> None:
        """Request checks of the workspaces that an organization's installation serves.

        https://docs.slack.dev/reference/events/team_access_granted and
        https://docs.slack.dev/reference/events/team_access_revoked
        """
        with self._once(origin) as session:
            if session is None:
                return
            for team_id in team_ids:
                self._add_check(session, origin.enterprise_id, team_id, CheckKind.WORKSPACE)

    def organization_installed(self, enterprise_id: str) -> None:
        """Request a listing of the workspaces of an organization."""
        with self._database.writing() as session:
            self._add_check(session, enterprise_id, None, CheckKind.ORGANIZATION)

    def _request_checks(self, origin: EventOrigin, checks: Sequence[tuple[CheckKind, str]]) -> None:
        with self._once(origin) as session:
            if session is None:
                return
            workspace = origin.enterprise_id, origin.installed_team_id
            for kind, user_id in checks:
                self._add_check(session, *workspace, kind, user_id)

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
        """Return the checks to be verified with Slack, oldest first."""
        with self._database.reading() as session:
            return session.scalars(select(InstallationCheck).order_by(InstallationCheck.id)).all()

    def remove_rejected(
        self, check: InstallationCheck, user_id: str | None, *, is_unreadable: bool
    ) -> None:
        """Delete the installation of a check, as far as Slack rejected its tokens.

        Args:
            user_id: the person whose token was verified, besides the bot's or instead of it.
            is_unreadable: whether a token could not be decrypted and verified; the report is then
                trusted.
        """
        workspace = check.enterprise_id or None, check.team_id or None
        opened: Mapping[str, Sequence[str]] = {}
        with self._database.writing() as session:
            if not _take_check(session, check.id):
                return
            self._removals.lock(session, *workspace)
            if not is_unreadable and self._is_accepted(session, check, user_id):
                logger.info("a report of a removal is outdated", extra={"kind": check.kind})
                return
            if check.kind == CheckKind.INSTALLATION:
                self._remove_installation(session, *workspace)
            elif check.kind == CheckKind.BOT:
                self._removals.remove_bot(session, *workspace)
            else:
                opened = self._remove_user(session, *workspace, check.user_id)
        self._publish_deletions(opened)

    def _is_accepted(self, session: Session, check: InstallationCheck, user_id: str | None) -> bool:
        workspace = check.enterprise_id or None, check.team_id or None
        if check.kind != CheckKind.USER and self._removals.has_working_bot(session, *workspace):
            return True
        return user_id is not None and self._removals.has_working_user(session, *workspace, user_id)

    def _remove_installation(
        self, session: Session, enterprise_id: str | None, team_id: str | None
    ) -> None:
        """Delete an installation, and the data of the people who linked their profiles."""
        self._removals.remove_all(session, enterprise_id, team_id)
        self._erase_workspaces(session, enterprise_id, team_id)

    def _erase_workspaces(
        self, session: Session, enterprise_id: str | None, team_id: str | None
    ) -> None:
        for erased_id in sorted(find_teams(session, enterprise_id, team_id)):
            everyone = ErasedPeople(erased_id, None)
            erase_people(session.connection(), everyone, self._clock(), refreshes=False)
            delete_files_of(session.connection(), erased_id)
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
        workspace = enterprise_id, team_id
        # Without the bot no message can be updated.
        refreshes = self._removals.has_working_bot(session, *workspace)
        if not self._removals.remove_users(session, *workspace, [user_id]):
            # The person has unlinked and was erased; later data is newer than this report.
            return {}
        opened = self._forget(session, *workspace, [user_id], refreshes=refreshes)
        write_audit(
            session,
            AuditAction.TOKENS_REVOKED,
            at=self._clock(),
            enterprise_id=enterprise_id,
            team_id=team_id,
            user_id=user_id,
        )
        return opened

    def apply_workspaces(self, check: InstallationCheck, listed: Mapping[str, str | None]) -> None:
        """Record the workspaces that an organization's installation serves.

        Other workspaces of the organization without a separate installation are removed from it.

        Args:
            check: a check of the organization, or of a workspace, which is erased unless it is
                listed or has a separate installation.
            listed: the names of all workspaces that the installation serves, by id.
        """
        with self._database.writing() as session:
            if not _take_check(session, check.id):
                return
            for team_id, name in listed.items():
                facts = {"enterprise_id": check.enterprise_id, **({"name": name} if name else {})}
                register_team(session, team_id, facts, self._clock())
            kept = {*listed, *self._removals.teams_with_separate_bot(session)}
            leave_organization(session, check.enterprise_id, kept, until=check.created_at)
            is_served = not check.team_id or check.team_id in listed
            if not is_served and not self._removals.has_separate_bot(session, check.team_id):
                self._erase_workspaces(session, None, check.team_id)
        self._publish_deletions({})

    def drop_check(self, check: InstallationCheck) -> None:
        """Delete a check of an installation that no longer exists."""
        with self._database.writing() as session:
            _take_check(session, check.id)

    def unlink(self, installation: StoredInstallation) -> None:
        """Delete a person's tokens and personal data in one transaction.

        `Revocations` then revokes the tokens at Slack.
        """
        workspace = installation.enterprise_id, installation.team_id
        with self._database.writing() as session:
            record_effect(session, self._clock())
            self._removals.release(session, installation)
            opened = self._forget(session, *workspace, [installation.user_id], refreshes=True)
            write_audit(
                session,
                AuditAction.UNLINKED,
                at=self._clock(),
                enterprise_id=installation.enterprise_id,
                team_id=installation.team_id,
                user_id=installation.user_id,
            )
        self._publish_deletions(opened)

    def user_changed(self, origin: EventOrigin, facts: Mapping[str, Any]) -> None:
        """Apply a changed profile (https://docs.slack.dev/reference/events/user_change).

        Only the workspaces that the event is authorized for change, never other organizations that
        share a channel.
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
                for team_id in sorted(subscribed):
                    self._apply_role(session, team_id, facts)
                if facts.get("deleted"):
                    opened = self._deactivated(session, origin, home, teams, facts)
        if opened:
            self._publish_deletions(opened)
        for concerned_id in sorted(concerned):
            self._publish_changes(concerned_id, [user_id])

    def _apply_role(self, session: Session, team_id: str, facts: Mapping[str, Any]) -> None:
        """Pause a person's subscriptions while their role does not allow them."""
        user_id = str(facts["id"])
        # Only a linked profile records the latest change.
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
        """End a deactivated person's sessions; erase their data if they are not linked.

        A linked profile is kept, because the account may be reactivated.

        Args:
            home: the person's workspace according to Slack.
            teams: the workspaces that the event concerns.

        Returns: the people with an open App Home, by workspace in which they were erased.
        """
        user_id, now = str(facts["id"]), self._clock()
        end_sessions_of(session, origin.enterprise_id, home, user_id, now)
        known_until = max(updated_at(facts), 0) + int(CLOCK_SKEW.total_seconds())
        is_kept = is_linked(session, home, user_id, origin.enterprise_id)
        opened: dict[str, Sequence[str]] = {}
        for team_id in sorted(teams):
            if was_active_after(session, team_id, user_id, known_until):
                continue
            forget_preferences(session, None, team_id, [user_id])
            if not is_kept:
                people = ErasedPeople(team_id, [user_id])
                opened[team_id] = erase_people(session.connection(), people, now, refreshes=True)
        return opened

    def team_changed(
        self, origin: EventOrigin, fact: Literal["name", "domain"], value: str
    ) -> None:
        """Apply a workspace's new name or domain.

        https://docs.slack.dev/reference/events/team_rename and
        https://docs.slack.dev/reference/events/team_domain_change
        """
        self._follow(
            origin, fact, lambda session, team_id: follow_team(session, team_id, {fact: value})
        )

    def address_paused(
        self, origin: EventOrigin, address: str, reason: PauseReason
    ) -> Sequence[AffectedSubscription]:
        """Pause the subscriptions of a channel or person, and return them.

        https://docs.slack.dev/reference/events/channel_archive and
        https://docs.slack.dev/reference/events/channel_left
        """

        until = _latest(origin)

        def change(session: Session, team_id: str) -> Sequence[AffectedSubscription]:
            if reason == "archived":
                archive(session, team_id, address, is_archived=True, until=until)
            elif reason == "removed":
                leave(session, team_id, address)
            return pause(session, team_id, address, reason, until=until)

        return self._follow(origin, f"{address}/{reason}", change) or []

    def address_resumed(self, origin: EventOrigin, address: str, reason: PauseReason) -> None:
        """Resume the subscriptions that were paused for a reason.

        https://docs.slack.dev/reference/events/channel_unarchive and
        https://docs.slack.dev/reference/events/member_joined_channel
        """

        def change(session: Session, team_id: str) -> None:
            if reason == "archived":
                archive(session, team_id, address, is_archived=False, until=_latest(origin))
            resume(session, team_id, address, reason)

        self._follow(origin, f"{address}/{reason}", change)

    def channel_deleted(
        self, origin: EventOrigin, channel_id: str
    ) -> Sequence[AffectedSubscription]:
        """End the subscriptions of a channel, and return them.

        https://docs.slack.dev/reference/events/channel_deleted
        """
        ended = self._follow(
            origin, None, lambda session, team_id: end(session, team_id, channel_id)
        )
        return ended or []

    def channel_renamed(self, origin: EventOrigin, channel_id: str, name: str) -> None:
        """Apply a channel's new name (https://docs.slack.dev/reference/events/channel_rename)."""
        until = _latest(origin)
        self._follow(
            origin,
            f"{channel_id}/name",
            lambda session, team_id: rename(session, team_id, channel_id, name, until=until),
        )

    def channel_moved(self, origin: EventOrigin, old_id: str, new_id: str) -> None:
        """Update all stored data of a channel to its new id.

        https://docs.slack.dev/reference/events/channel_id_changed
        """

        def change(session: Session, team_id: str) -> None:
            move_channel(session.connection(), team_id, old_id, new_id, self._clock())

        self._follow(origin, None, change)
        self._wakeup.notify(origin.team_id)

    def _follow(
        self, origin: EventOrigin, subject: str | None, change: Callable[[Session, str], T]
    ) -> T | None:
        """Apply an event's change to its workspace, once, unless the event is outdated.

        Args:
            subject: the fact that changes; None if it changes only once, such as the id of a
                deleted channel.

        Returns: the result of `change`; None if it was not called.
        """
        with self._once(origin) as session:
            if session is None or origin.team_id is None:
                return None
            now = self._clock()
            if subject and not is_latest(session, origin.team_id, subject, origin.at, now):
                logger.info("an event is outdated", extra={"event_id": origin.event_id})
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
        """Delete the data of people; return the people with an open App Home, by workspace."""
        opened: dict[str, Sequence[str]] = {}
        if not user_ids:
            return opened
        for erased_id in sorted(find_teams(session, enterprise_id, team_id)):
            people = ErasedPeople(erased_id, user_ids, find_emails(session, erased_id, user_ids))
            opened[erased_id] = erase_people(
                session.connection(), people, self._clock(), refreshes=refreshes
            )
        forget_users(session, enterprise_id, team_id, user_ids)
        return opened

    def _publish_deletions(self, opened: Mapping[str, Sequence[str]]) -> None:
        """Publish, after the commit, that people's data was deleted."""
        for team_id, user_ids in opened.items():
            for user_id in user_ids:
                self._signals.person_deleted(team_id, user_id)
        self._wakeup.notify()
        if not self._database.truncate_wal():
            logger.info("the write-ahead log is in use; the worker truncates it later")

    def _publish_changes(self, team_id: str | None, user_ids: Sequence[str]) -> None:
        # A change of a whole organization shows when a person next opens their home.
        if team_id is None:
            return
        for user_id in user_ids:
            self._signals.person_changed(team_id, user_id)

    @contextmanager
    def _once(self, origin: EventOrigin) -> Iterator[Session | None]:
        """Yield a session, or None if the event took effect before."""
        with self._database.writing() as session:
            if not take_receipt(session, origin.event_id, self._clock()):
                logger.info("an event was repeated", extra={"event_id": origin.event_id})
                yield None
                return
            yield session


def _take_check(session: Session, check_id: int) -> bool:
    """Delete a check in the transaction of its effect; return whether it existed."""
    taken = delete(InstallationCheck).where(InstallationCheck.id == check_id)
    return session.scalar(taken.returning(InstallationCheck.id)) is not None


def _dated(origin: EventOrigin, facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a user object with the time of its change: by default, of the event."""
    if updated_at(facts) > 0 or origin.at is None:
        return facts
    return {**facts, "updated": int(origin.at.timestamp())}


def _teams_of_person(
    session: Session, origin: EventOrigin, facts: Mapping[str, Any]
) -> Collection[str]:
    """Return the workspaces that an event about a person concerns; none for an external user.

    Slack also sends events about people of other organizations
    (https://docs.slack.dev/apis/slack-connect), whose data there is not about this workspace.
    """
    if facts.get("is_stranger"):
        return ()
    home = str(facts.get("team_id") or "")
    teams: set[str] = set()
    # An event of an organization may name the workspace of an external user.
    named = [] if origin.is_enterprise_install else [origin.team_id]
    if origin.enterprise_id:
        teams.update(find_teams(session, origin.enterprise_id, None))
        if enterprise_of(facts) == origin.enterprise_id:
            # A workspace without linked profiles may be unknown.
            named = [origin.team_id, home]
    teams.update(filter(None, named))
    return teams if not home or home in teams else ()


def _latest(origin: EventOrigin) -> datetime | None:
    """Return the latest time of data that an event may concern."""
    return None if origin.at is None else origin.at + CLOCK_SKEW
