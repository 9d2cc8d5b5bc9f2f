"""Installations that Slack reports as removed or changed: checks to verify, and their effect.

A report only requests a check: `installation_checks` asks Slack, and the answer takes effect here.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from bolt_app.clock import Clock
from bolt_app.db import Database
from bolt_app.db.audit import AuditAction, write_audit
from bolt_app.db.models import InstallationCheck
from bolt_app.installations.checks import (
    NEVER,
    CheckKind,
    place_of,
    request_check,
    request_due_checks,
    take_check,
)
from bolt_app.installations.organizations import find_organizations, record_organization
from bolt_app.installations.queries import InstallationQueries
from bolt_app.installations.removals import InstallationRemovals
from bolt_app.installations.rows import InstallationRows
from bolt_app.lifecycle.erasure import Erasure
from bolt_app.lifecycle.events import EventOrigin, Events
from bolt_app.lifecycle.served_workspaces import ServedWorkspaces
from bolt_app.profiles.store import find_organization, find_teams_of_accounts

logger = logging.getLogger(__name__)


class InstallationLifecycle:
    """Applies reports about installations, which may arrive repeatedly and in any order."""

    def __init__(
        self,
        database: Database,
        rows: InstallationRows,
        events: Events,
        removals: InstallationRemovals,
        workspaces: ServedWorkspaces,
        erasure: Erasure,
        clock: Clock,
    ) -> None:
        self._database = database
        self._rows = rows
        self._events = events
        self._removals = removals
        self._queries = InstallationQueries(rows)
        self._workspaces = workspaces
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
                place = origin.enterprise_id, team_id
                request_check(session, CheckKind.WORKSPACE, *place, at=self._clock())

    def organization_installed(self, enterprise_id: str) -> None:
        """Request a list of the workspaces of an organization."""
        with self._database.writing() as session:
            request_check(session, CheckKind.ORGANIZATION, enterprise_id, None, at=self._clock())

    def organization_changed(self, team_id: str) -> None:
        """Request a check of a workspace whose requests name another organization than recorded."""
        with self._database.writing() as session:
            request_check(session, CheckKind.BOT, None, team_id, at=NEVER)

    def request_due_checks(self) -> None:
        """Request checks of bots that were not verified for a day, because a report may be lost."""
        with self._database.writing() as session:
            request_due_checks(session, self._rows, self._clock())

    def _request_checks(self, origin: EventOrigin, checks: Sequence[tuple[CheckKind, str]]) -> None:
        with self._events.once(origin) as session:
            if session is None:
                return
            now = self._clock()
            at = now if origin.at is None else min(origin.at, now)
            for kind, user_id in checks:
                for place in self._find_places(session, origin, user_id or None):
                    request_check(session, kind, *place, at=at, user_id=user_id)

    def _find_places(
        self, session: Session, origin: EventOrigin, user_id: str | None
    ) -> list[tuple[str | None, str | None]]:
        """Return the installations that a report may be about; Slack's answers decide.

        A report that names only a workspace may be about its own installation or about that of an
        organization: of one that may serve the workspace or, if nothing is known about it, of any.
        """
        named = origin.enterprise_id, origin.installed_team_id
        if origin.names_installation or not origin.installed_team_id:
            return [named]
        team_id = origin.installed_team_id
        installed = self._queries.find_installed(session, user_id)
        likely = {origin.enterprise_id or "", *find_organizations(session, self._rows, team_id)}
        if not likely & installed and not self._queries.is_installed(session, None, team_id):
            likely = installed
        return [named, *((one, None) for one in sorted(likely & installed))]

    def pending_checks(self) -> Sequence[InstallationCheck]:
        """Return the checks to be verified with Slack, oldest first."""
        with self._database.reading() as session:
            return session.scalars(select(InstallationCheck).order_by(InstallationCheck.id)).all()

    def people_since(self, check: InstallationCheck) -> Collection[str]:
        """Return the people whose tokens were granted since the uninstall that a check is about."""
        with self._database.reading() as session:
            return self._queries.find_users_since(session, *place_of(check), check.created_at)

    def apply_tokens(
        self,
        check: InstallationCheck,
        identity: Mapping[str, Any] | None,
        *,
        asked_at: datetime,
        is_unreadable: bool,
        unreadable: Collection[str] = (),
    ) -> None:
        """Delete the installation of a check, as far as Slack rejected its tokens.

        The answer about a workspace's own bot also states the organization of the workspace.

        Each token proves only itself: a working bot that the installation was not removed, a
        person's token that the person has signed in since. If they were granted again since, only
        the sessions end that began before the report.

        Args:
            identity: Slack's answer about the bot; None without one.
            asked_at: the time of the question that Slack answered.
            is_unreadable: whether the token of the bot, or of the person that the check is about,
                could not be decrypted and verified; a report is then trusted.
            unreadable: the people with such a token among `people_since`.
        """
        opened: Mapping[str, Sequence[str]] = {}
        with self._database.writing() as session:
            if not take_check(session, check):
                return
            self._removals.lock(session, *place_of(check))
            if identity is not None and check.team_id and identity.get("team_id") == check.team_id:
                record_organization(
                    session,
                    self._rows,
                    check.team_id,
                    identity.get("enterprise_id"),
                    asked_at=asked_at,
                    now=self._clock(),
                )
            is_trusted = is_unreadable and check.created_at > NEVER
            if not is_trusted and self._is_accepted(session, check):
                logger.info("a report of a removal is outdated", extra={"kind": check.kind})
                self._end_earlier_sessions(session, check)
                return
            if check.kind == CheckKind.INSTALLATION:
                opened = self._remove_uninstalled(session, check, unreadable)
            elif check.kind == CheckKind.BOT:
                self._remove_bot(session, check)
            else:
                opened = self._remove_user(session, check)
        self._erasure.publish(opened)

    def _is_accepted(self, session: Session, check: InstallationCheck) -> bool:
        if check.kind == CheckKind.USER:
            return self._queries.has_working_user(session, *place_of(check), check.user_id)
        return self._queries.has_working_bot(session, *place_of(check))

    def _end_earlier_sessions(self, session: Session, check: InstallationCheck) -> None:
        if check.kind == CheckKind.BOT:
            return  # No session began with the bot's token.
        user_id = check.user_id if check.kind == CheckKind.USER else None
        place = place_of(check)
        if user_id is None and not self._queries.has_bot_since(session, *place, check.created_at):
            return  # Its token would be dead: the report is about another installation.
        self._removals.end_earlier_sessions(session, *place, user_id, check.created_at)

    def _remove_uninstalled(
        self, session: Session, check: InstallationCheck, unreadable: Collection[str]
    ) -> Mapping[str, Sequence[str]]:
        """Delete an installation; the people who signed in since stay signed in."""
        place = place_of(check)
        since = self._queries.find_users_since(session, *place, check.created_at)
        kept = since - set(unreadable)
        for user_id in sorted(kept):
            self._removals.end_earlier_sessions(session, *place, user_id, check.created_at)
        if check.team_id:
            return self._remove_workspace(session, check, kept)
        return self._remove_organization(session, check.enterprise_id, kept)

    def _remove_bot(self, session: Session, check: InstallationCheck) -> None:
        """Delete a bot; find out whether an organization serves its workspace."""
        organizations = self._find_organizations(session, check)
        if self._removals.remove_bot(session, *place_of(check)):
            self._ask_organizations(session, check, organizations, CheckKind.WORKSPACE)

    def _find_organizations(self, session: Session, check: InstallationCheck) -> Collection[str]:
        """Return the installed organizations that may serve the workspace of a check."""
        if not check.team_id:
            return ()
        likely = {check.enterprise_id, *find_organizations(session, self._rows, check.team_id)}
        return sorted(likely & self._queries.find_installed(session))

    def _ask_organizations(
        self,
        session: Session,
        check: InstallationCheck,
        organizations: Collection[str],
        kind: CheckKind,
    ) -> None:
        for organization_id in organizations:
            request_check(session, kind, organization_id, check.team_id, at=check.created_at)

    def _remove_organization(
        self, session: Session, enterprise_id: str, signed_in: Collection[str]
    ) -> Mapping[str, Sequence[str]]:
        """Delete an organization's installation, and the data of the workspaces that it served.

        Workspaces with a separate installation, or which another organization's serves, stay, but
        not the people there who were linked only with this one. Of people who have signed in since
        only the link stays, and their profile is recorded again.

        Returns: the people with an open App Home, by workspace that stays.
        """
        linked = self._queries.find_linked(session, enterprise_id, None)
        served = set(find_teams_of_accounts(session, enterprise_id, None))
        self._removals.lock_workspaces(session, served)
        self._removals.remove_all(session, enterprise_id, None, kept=signed_in)
        self._removals.release_earlier_apps(session, enterprise_id, None)
        unserved = self._queries.without_bot(session, served, enterprise_id)
        leaving: dict[str, frozenset[str]] = {}
        for kept_id in sorted(served - unserved):
            people = linked - self._queries.find_linked(session, None, kept_id)
            next_id = find_organization(session, kept_id)
            people -= {*signed_in, *self._queries.find_linked(session, next_id, None)}
            leaving[kept_id] = frozenset(people)
        opened = self._erase_members(session, enterprise_id, leaving, refreshes=True)
        self._workspaces.erase(session, unserved, signed_in)
        self._erasure.audit_uninstall(session, enterprise_id, None)
        return opened

    def _remove_workspace(
        self, session: Session, check: InstallationCheck, signed_in: Collection[str]
    ) -> Mapping[str, Sequence[str]]:
        """Delete a workspace's own installation, and its data unless an organization serves it.

        Only Slack knows whether an organization's installation serves the workspace, so checks
        decide about its data. The people who were linked only with its own are deleted at once,
        except `signed_in` since.

        Returns: the people with an open App Home, by workspace.
        """
        enterprise_id, team_id = check.enterprise_id or None, check.team_id
        organizations = self._find_organizations(session, check)
        linked = self._queries.find_linked(session, None, team_id)
        self._removals.remove_all(session, enterprise_id, team_id, kept=signed_in)
        self._removals.release_earlier_apps(session, enterprise_id, team_id)
        self._erasure.audit_uninstall(session, enterprise_id, team_id)
        if not organizations:
            self._workspaces.erase(session, [team_id], signed_in)
            return {}
        self._ask_organizations(session, check, organizations, CheckKind.UNINSTALLED)
        people = linked - set(signed_in)
        for organization_id in organizations:
            people -= self._queries.find_linked(session, organization_id, None)
        # Without the bot no message can be updated.
        leaving = {team_id: frozenset(people)}
        return self._erase_members(session, enterprise_id, leaving, refreshes=False)

    def _erase_members(
        self,
        session: Session,
        enterprise_id: str | None,
        leaving: Mapping[str, frozenset[str]],
        *,
        refreshes: bool,
    ) -> Mapping[str, Sequence[str]]:
        """Delete people's data, given by workspace; return who had an open App Home there."""
        for team_id, user_ids in leaving.items():
            self._removals.release_earlier_members(session, [team_id], user_ids)
        return self._erasure.erase_members(session, enterprise_id, leaving, refreshes=refreshes)

    def _remove_user(
        self, session: Session, check: InstallationCheck
    ) -> Mapping[str, Sequence[str]]:
        """Delete a person's installation, and their data.

        The data stays if the token of a workspace's former installation ended without a report,
        and the person is linked in the organization that serves the workspace.
        """
        workspace, user_id = place_of(check), check.user_id
        enterprise_id, team_id = workspace
        # Without the bot no message can be updated.
        refreshes = self._queries.has_working_bot(session, *workspace)
        if not self._removals.remove_account(session, *workspace, user_id):
            # The person has unlinked and was erased; later data is newer than this report.
            return {}
        if check.created_at == NEVER and self._is_linked_in_organization(session, check):
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

    def _is_linked_in_organization(self, session: Session, check: InstallationCheck) -> bool:
        if not check.team_id:
            return False
        serving = find_organization(session, check.team_id)
        return serving in self._queries.find_installed(session, check.user_id)
