"""Workspaces that an organization's installation serves, according to Slack's list of them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from bolt_app.clock import Clock
from bolt_app.db import Database
from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import BotInstallation, InstallationCheck, Team
from bolt_app.installations.checks import (
    NEVER,
    CheckKind,
    check_separate,
    place_of,
    request_check,
    take_check,
)
from bolt_app.installations.organizations import record_organization
from bolt_app.installations.queries import InstallationQueries
from bolt_app.installations.removals import InstallationRemovals
from bolt_app.installations.rows import InstallationRows
from bolt_app.lifecycle.erasure import Erasure
from bolt_app.profiles.slack_changes import find_unserved, is_latest_listing
from bolt_app.profiles.store import find_organization, register_served_team

logger = logging.getLogger(__name__)


class ServedWorkspaces:
    """Applies Slack's answers about the workspaces that organizations' installations serve."""

    def __init__(
        self,
        database: Database,
        rows: InstallationRows,
        removals: InstallationRemovals,
        erasure: Erasure,
        clock: Clock,
    ) -> None:
        self._database = database
        self._rows = rows
        self._removals = removals
        self._queries = InstallationQueries(rows)
        self._erasure = erasure
        self._clock = clock

    def apply(
        self, check: InstallationCheck, listed: Mapping[str, str | None], *, listed_at: datetime
    ) -> bool:
        """Record the workspaces that an organization's installation serves.

        Other workspaces of the organization are erased, unless they have a separate installation,
        another organization's serves them, or another check is to decide. Separate installations
        are verified, because the report of an uninstall may have been lost, and a workspace that
        is not listed may have left the organization.

        Args:
            check: a check of the organization, or of a workspace, which is erased too unless it is
                listed or stays for another reason.
            listed: the names of all workspaces that the installation serves, by id.
            listed_at: the time of the question that Slack answered.

        Returns: False if an answer to a later question took effect meanwhile. Nothing changes then,
            and the check is to be verified again.
        """
        organization_id, now = check.enterprise_id, self._clock()
        with self._database.writing() as session:
            if not is_latest_listing(session, organization_id, listed_at, now):
                logger.info("a list of workspaces is outdated", extra={"check": check.id})
                return False
            if not take_check(session, check):
                return True
            self._removals.lock(session, organization_id, None)
            if not self._queries.has_bot(session, organization_id, None):
                self._drop(session, check)
                return True
            recorded = find_unserved(session, organization_id, listed, until=check.created_at)
            left = {*recorded, check.team_id} - {*listed, ""}
            self._removals.lock_workspaces(session, {*left, *listed})
            self._close(session, check, left)
            for team_id in sorted(listed):
                self._record(session, organization_id, team_id, listed[team_id], listed_at)
            self._check_separate(session, check, listed)
        self._erasure.publish({})
        return True

    def drop(self, check: InstallationCheck, *, is_rejected: bool = False) -> None:
        """Delete a check of an organization's installation that Slack lists nothing for.

        A workspace whose own installation was uninstalled is erased. If it is recorded as the
        organization's, the check of that installation decides.

        Args:
            is_rejected: whether Slack rejected the installation's token, which is then checked.
        """
        with self._database.writing() as session:
            if not take_check(session, check):
                return
            if is_rejected:
                request_check(session, CheckKind.BOT, check.enterprise_id, None, at=NEVER)
            self._drop(session, check)
        self._erasure.publish({})

    def erase(
        self, session: Session, team_ids: Collection[str], signed_in: Collection[str] = ()
    ) -> None:
        """Delete locked workspaces that no bot serves, with the links there, except of `signed_in`.

        The caller publishes it after the commit (`Erasure.publish`).
        """
        self._removals.release_workspaces(session, team_ids, kept=signed_in)
        self._erasure.erase_workspaces(session, team_ids)

    def _close(self, session: Session, check: InstallationCheck, team_ids: Collection[str]) -> None:
        """Erase workspaces that the organization's installation does not serve."""
        unserved = self._queries.without_bot(session, team_ids, check.enterprise_id)
        closed = unserved - self._undecided(session)
        session.execute(
            update(Team)
            .where(is_any_of(Team.team_id, values=unserved - closed))
            .values(enterprise_id=""),
            execution_options={"synchronize_session": False},
        )
        self.erase(session, closed, self._signed_in(session, check))
        for team_id in sorted(closed):
            self._erasure.audit_uninstall(session, check.enterprise_id, team_id)

    def _record(
        self,
        session: Session,
        organization_id: str,
        team_id: str,
        name: str | None,
        listed_at: datetime,
    ) -> None:
        now = self._clock()
        if record_organization(
            session, self._rows, team_id, organization_id, asked_at=listed_at, now=now
        ):
            register_served_team(session, self._rows, team_id, organization_id, now, name=name)

    def _check_separate(
        self, session: Session, check: InstallationCheck, listed: Collection[str]
    ) -> None:
        is_concerned = BotInstallation.team_id == check.team_id
        if not check.team_id:
            is_concerned = or_(
                BotInstallation.enterprise_id == check.enterprise_id,
                is_any_of(BotInstallation.team_id, values=list(listed)),
            )
        check_separate(session, self._rows, is_concerned)

    def _drop(self, session: Session, check: InstallationCheck) -> None:
        if check.kind != CheckKind.UNINSTALLED:
            return
        self._removals.lock(session, None, check.team_id)
        if find_organization(session, check.team_id) == check.enterprise_id:
            return
        unserved = self._queries.without_bot(session, [check.team_id]) - self._undecided(session)
        self.erase(session, unserved, self._signed_in(session, check))

    def _undecided(self, session: Session) -> set[str]:
        """Return the workspaces about whose data another pending check decides."""
        pending = select(InstallationCheck.team_id).where(
            InstallationCheck.kind.in_([CheckKind.WORKSPACE, CheckKind.UNINSTALLED])
        )
        return set(session.scalars(pending))

    def _signed_in(self, session: Session, check: InstallationCheck) -> Collection[str]:
        """Return the people who signed in since the uninstall that a check followed."""
        if check.kind != CheckKind.UNINSTALLED:
            return ()
        return self._queries.find_users_since(session, *place_of(check), check.created_at)
