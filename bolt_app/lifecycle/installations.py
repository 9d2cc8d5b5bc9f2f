"""Installations that Slack reports as removed or changed: checks to verify, and their effect.

A report only requests a check: `installation_checks` asks Slack, and the answer takes effect here.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from bolt_app.clock import Clock
from bolt_app.db import Database
from bolt_app.db.audit import AuditAction, write_audit
from bolt_app.db.models import InstallationCheck
from bolt_app.installations.checks import NEVER, CheckKind
from bolt_app.installations.removals import InstallationRemovals
from bolt_app.installations.rows import InstallationRows
from bolt_app.lifecycle.erasure import Erasure
from bolt_app.lifecycle.events import EventOrigin, Events
from bolt_app.profiles.slack_changes import find_unserved, is_latest_listing
from bolt_app.profiles.store import (
    find_organization,
    find_teams_of_accounts,
    register_served_team,
)

logger = logging.getLogger(__name__)

# Databases limit the values of a statement; an organization may have more people.
_MOST_PEOPLE = 1000


class InstallationLifecycle:
    """Applies reports about installations, which may arrive repeatedly and in any order."""

    def __init__(
        self,
        database: Database,
        rows: InstallationRows,
        events: Events,
        removals: InstallationRemovals,
        erasure: Erasure,
        clock: Clock,
    ) -> None:
        self._database = database
        self._rows = rows
        self._events = events
        self._removals = removals
        self._erasure = erasure
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
        with self._events.once(origin) as session:
            if session is None:
                return
            for team_id in team_ids:
                self._add_check(session, origin.enterprise_id, team_id, CheckKind.WORKSPACE)

    def organization_installed(self, enterprise_id: str) -> None:
        """Request a listing of the workspaces of an organization."""
        with self._database.writing() as session:
            self._add_check(session, enterprise_id, None, CheckKind.ORGANIZATION)

    def _request_checks(self, origin: EventOrigin, checks: Sequence[tuple[CheckKind, str]]) -> None:
        with self._events.once(origin) as session:
            if session is None:
                return
            workspace = origin.enterprise_id, origin.installed_team_id
            if origin.enterprise_id:  # an event need not name the organization
                self._rows.move(session, *workspace)
            now = self._clock()
            at = now if origin.at is None else min(origin.at, now)
            for kind, user_id in checks:
                self._add_check(session, *workspace, kind, user_id, at=at)
            if not origin.names_installation and origin.installed_team_id:
                self._check_organization(session, origin, checks, at)

    def _check_organization(
        self,
        session: Session,
        origin: EventOrigin,
        checks: Sequence[tuple[CheckKind, str]],
        at: datetime,
    ) -> None:
        """Request checks of an organization that a report about one of its workspaces may concern.

        A token of the organization that works is kept.
        """
        recorded = find_organization(session, origin.team_id or "")
        for organization_id in sorted({origin.enterprise_id or "", recorded} - {""}):
            for kind, user_id in checks:
                if self._removals.has_any(session, organization_id, user_id or None):
                    self._add_check(session, organization_id, None, kind, user_id, at=at)

    def _add_check(
        self,
        session: Session,
        enterprise_id: str | None,
        team_id: str | None,
        kind: CheckKind,
        user_id: str = "",
        *,
        at: datetime | None = None,
    ) -> None:
        check = InstallationCheck(
            enterprise_id=enterprise_id or "",
            team_id=team_id or "",
            kind=kind,
            user_id=user_id,
            created_at=at or self._clock(),
        )
        session.add(check)

    def pending_checks(self) -> Sequence[InstallationCheck]:
        """Return the checks to be verified with Slack, oldest first."""
        with self._database.reading() as session:
            return session.scalars(select(InstallationCheck).order_by(InstallationCheck.id)).all()

    def people_since(self, check: InstallationCheck) -> Collection[str]:
        """Return the people whose tokens were granted since the uninstall that a check is about."""
        with self._database.reading() as session:
            return self._removals.find_users_since(session, *_place_of(check), check.created_at)

    def remove_rejected(
        self, check: InstallationCheck, *, is_unreadable: bool, unreadable: Collection[str] = ()
    ) -> None:
        """Delete the installation of a check, as far as Slack rejected its tokens.

        Each token proves only itself: a working bot that the installation was not removed, a
        person's token that the person has signed in since. If they were granted again since, only
        the sessions end that began before the report.

        Args:
            is_unreadable: whether the token of the bot, or of the person that the check is about,
                could not be decrypted and verified; a report is then trusted.
            unreadable: the people with such a token among `people_since`.
        """
        opened: Mapping[str, Sequence[str]] = {}
        with self._database.writing() as session:
            if not _take_check(session, check.id):
                return
            self._removals.lock(session, *_place_of(check))
            is_trusted = is_unreadable and check.created_at > NEVER
            if not is_trusted and self._is_accepted(session, check):
                logger.info("a report of a removal is outdated", extra={"kind": check.kind})
                self._end_earlier_sessions(session, check)
                return
            if check.kind == CheckKind.INSTALLATION:
                opened = self._remove_uninstalled(session, check, unreadable)
            elif check.kind == CheckKind.BOT:
                self._remove_bot(session, *_place_of(check))
            else:
                opened = self._remove_user(session, *_place_of(check), check.user_id)
        self._erasure.publish(opened)

    def _is_accepted(self, session: Session, check: InstallationCheck) -> bool:
        if check.kind == CheckKind.USER:
            return self._removals.has_working_user(session, *_place_of(check), check.user_id)
        return self._removals.has_working_bot(session, *_place_of(check))

    def _end_earlier_sessions(self, session: Session, check: InstallationCheck) -> None:
        if check.kind == CheckKind.BOT:
            return  # No session began with the bot's token.
        user_id = check.user_id if check.kind == CheckKind.USER else None
        place = _place_of(check)
        if user_id is None and not self._removals.has_bot_since(session, *place, check.created_at):
            return  # Its token would be dead: the report is about another installation.
        self._removals.end_earlier_sessions(session, *place, user_id, check.created_at)

    def _remove_uninstalled(
        self, session: Session, check: InstallationCheck, unreadable: Collection[str]
    ) -> Mapping[str, Sequence[str]]:
        """Delete an installation; the people who signed in since stay signed in."""
        place = _place_of(check)
        since = self._removals.find_users_since(session, *place, check.created_at)
        kept = since - set(unreadable)
        for user_id in sorted(kept):
            self._removals.end_earlier_sessions(session, *place, user_id, check.created_at)
        if check.team_id:
            return self._remove_workspace(session, check, kept)
        return self._remove_organization(session, check.enterprise_id, kept)

    def _remove_bot(self, session: Session, enterprise_id: str | None, team_id: str | None) -> None:
        """Delete a bot; find out whether its workspace's organization serves the workspace."""
        # A workspace that joined an organization later may report without it.
        organization_id = enterprise_id or (find_organization(session, team_id) if team_id else "")
        was_removed = self._removals.remove_bot(session, enterprise_id, team_id)
        if was_removed and organization_id and team_id:
            self._add_check(session, organization_id, team_id, CheckKind.WORKSPACE)

    def _remove_organization(
        self, session: Session, enterprise_id: str, signed_in: Collection[str]
    ) -> Mapping[str, Sequence[str]]:
        """Delete an organization's installation, and the data of the workspaces that it served.

        Workspaces with a separate installation, or which another organization's serves, stay, but
        not the people there who were linked only with this one. Of people who have signed in since
        only the link stays, and their profile is recorded again.

        Returns: the people with an open App Home, by workspace that stays.
        """
        linked = self._removals.find_linked(session, enterprise_id)
        self._removals.remove_all(session, enterprise_id, None, kept=signed_in)
        self._removals.release_earlier_apps(session, enterprise_id, None)
        served = set(find_teams_of_accounts(session, enterprise_id, None))
        unserved = self._removals.lock_unserved(session, served, enterprise_id)
        opened: dict[str, Sequence[str]] = {}
        for kept_id in sorted(served - unserved):
            people = linked - self._removals.find_linked_separately(session, kept_id)
            next_id = find_organization(session, kept_id)
            people -= {*signed_in, *self._removals.find_linked(session, next_id)}
            opened[kept_id] = self._erase_members(
                session, enterprise_id, kept_id, people, refreshes=True
            )
        self._erase_workspaces(session, unserved, signed_in)
        self._erasure.audit_uninstall(session, enterprise_id, None)
        return opened

    def _remove_workspace(
        self, session: Session, check: InstallationCheck, signed_in: Collection[str]
    ) -> Mapping[str, Sequence[str]]:
        """Delete a workspace's own installation, and its data unless the organization serves it.

        Only Slack knows whether an organization's installation serves the workspace, so checks
        decide about its data: of the organization in the report, of the recorded one, which may be
        another, and of those that pending checks name. The people who were linked only with its own
        are deleted at once, except `signed_in` since.

        Returns: the people with an open App Home, by workspace.
        """
        enterprise_id, team_id = check.enterprise_id or None, check.team_id
        named = {check.enterprise_id, find_organization(session, team_id)}
        organizations = {*named, *self._find_asked(session, team_id)} - {""}
        linked = self._removals.find_linked_separately(session, team_id)
        self._removals.remove_all(session, enterprise_id, team_id, kept=signed_in)
        self._removals.release_earlier_apps(session, enterprise_id, team_id)
        self._erasure.audit_uninstall(session, enterprise_id, team_id)
        if not organizations:
            self._erase_workspaces(session, [team_id], signed_in)
            return {}
        people = linked - set(signed_in)
        for organization_id in sorted(organizations):
            people -= self._removals.find_linked(session, organization_id)
            kind, at = CheckKind.UNINSTALLED, check.created_at
            self._add_check(session, organization_id, team_id, kind, at=at)
        # Without the bot no message can be updated.
        opened = self._erase_members(session, enterprise_id, team_id, people, refreshes=False)
        return {team_id: opened}

    def _find_asked(self, session: Session, team_id: str) -> Collection[str]:
        """Return the organizations of pending checks of whether they serve a workspace.

        `remove_bot` may have separated the workspace from them.
        """
        pending = select(InstallationCheck.enterprise_id).where(
            InstallationCheck.team_id == team_id,
            InstallationCheck.kind.in_([CheckKind.WORKSPACE, CheckKind.UNINSTALLED]),
        )
        return session.scalars(pending).all()

    def _erase_members(
        self,
        session: Session,
        enterprise_id: str | None,
        team_id: str,
        user_ids: Collection[str],
        *,
        refreshes: bool,
    ) -> Sequence[str]:
        """Delete people's data in a workspace; return who had an open App Home there."""
        opened: list[str] = []
        people = sorted(user_ids)
        for start in range(0, len(people), _MOST_PEOPLE):
            some = people[start : start + _MOST_PEOPLE]
            self._removals.release_earlier_members(session, team_id, some)
            erased = self._erasure.erase_people(
                session, enterprise_id, team_id, some, refreshes=refreshes
            )
            opened += erased.get(team_id, ())
        return opened

    def _erase_workspaces(
        self, session: Session, team_ids: Collection[str], signed_in: Collection[str] = ()
    ) -> None:
        """Delete workspaces that no bot serves, with the links there, except of `signed_in`."""
        self._removals.release_workspaces(session, team_ids, kept=signed_in)
        self._erasure.erase_workspaces(session, team_ids)

    def _remove_user(
        self, session: Session, enterprise_id: str | None, team_id: str | None, user_id: str
    ) -> Mapping[str, Sequence[str]]:
        workspace = enterprise_id, team_id
        # Without the bot no message can be updated.
        refreshes = self._removals.has_working_bot(session, *workspace)
        if not self._removals.remove_account(session, *workspace, user_id):
            # The person has unlinked and was erased; later data is newer than this report.
            return {}
        opened = self._erasure.erase_people(session, *workspace, [user_id], refreshes=refreshes)
        write_audit(
            session,
            AuditAction.TOKENS_REVOKED,
            at=self._clock(),
            address=None,
            enterprise_id=enterprise_id,
            team_id=team_id,
            user_id=user_id,
        )
        return opened

    def apply_workspaces(
        self, check: InstallationCheck, listed: Mapping[str, str | None], *, listed_at: datetime
    ) -> None:
        """Record the workspaces that an organization's installation serves.

        Other workspaces of the organization are erased, unless they have a separate installation,
        another organization's serves them, or a check is to decide. If an answer to a later
        question took effect meanwhile, the check remains to be verified again.

        Args:
            check: a check of the organization, or of a workspace, which is erased too unless it is
                listed or stays for another reason.
            listed: the names of all workspaces that the installation serves, by id.
            listed_at: the time of the question that Slack answered.
        """
        organization_id, now = check.enterprise_id, self._clock()
        with self._database.writing() as session:
            if not is_latest_listing(session, organization_id, listed_at, now):
                logger.info("a list of workspaces is outdated", extra={"check": check.id})
                return
            if not _take_check(session, check.id):
                return
            left = set(find_unserved(session, organization_id, listed, until=check.created_at))
            left.update({check.team_id} - {*listed, ""})
            left = self._removals.lock_unserved(session, left, organization_id)
            left -= self._undecided(session)
            self._erase_workspaces(session, left, self._signed_in(session, check))
            for team_id in sorted(left):
                self._erasure.audit_uninstall(session, organization_id, team_id)
            for team_id in sorted(listed):
                self._rows.move(session, organization_id, team_id)
                register_served_team(
                    session, self._rows, team_id, organization_id, now, name=listed[team_id]
                )
        self._erasure.publish({})

    def drop_check(self, check: InstallationCheck) -> None:
        """Delete a check of an organization's installation that Slack lists nothing for.

        A workspace whose own installation was uninstalled is erased. If it is recorded as the
        organization's, the report about that installation decides.
        """
        with self._database.writing() as session:
            if not _take_check(session, check.id) or check.kind != CheckKind.UNINSTALLED:
                return
            is_recorded = find_organization(session, check.team_id) == check.enterprise_id
            unserved = self._removals.lock_unserved(session, [check.team_id])
            if is_recorded or not unserved - self._undecided(session):
                return
            signed_in = self._signed_in(session, check)
            self._erase_workspaces(session, [check.team_id], signed_in)
        self._erasure.publish({})

    def _undecided(self, session: Session) -> set[str]:
        """Return the workspaces about whose data a pending check of an uninstall decides."""
        pending = select(InstallationCheck.team_id)
        return set(session.scalars(pending.where(InstallationCheck.kind == CheckKind.UNINSTALLED)))

    def _signed_in(self, session: Session, check: InstallationCheck) -> Collection[str]:
        """Return the people who signed in since the uninstall that a check followed."""
        if check.kind != CheckKind.UNINSTALLED:
            return ()
        return self._removals.find_users_since(session, *_place_of(check), check.created_at)


def _place_of(check: InstallationCheck) -> tuple[str | None, str | None]:
    return check.enterprise_id or None, check.team_id or None


def _take_check(session: Session, check_id: int) -> bool:
    """Delete a check in the transaction of its effect; return whether it existed."""
    taken = delete(InstallationCheck).where(InstallationCheck.id == check_id)
    return session.scalar(taken.returning(InstallationCheck.id)) is not None
