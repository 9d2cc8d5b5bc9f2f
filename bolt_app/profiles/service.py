"""Profiles of people who linked their Slack account: recording, lookup and joined accounts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import (
    select,
    update,
)
from sqlalchemy.orm import Session

from bolt_app.access.sessions import end_sessions_of
from bolt_app.client_address import client_address
from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.audit import AuditAction, write_audit
from bolt_app.db.models import (
    User,
    UserInstallation,
)
from bolt_app.db.receipts import CLOCK_SKEW
from bolt_app.installations.directory import InstallationDirectory
from bolt_app.installations.organizations import record_organization
from bolt_app.installations.records import StoredInstallation
from bolt_app.installations.rows import InstallationRows
from bolt_app.profiles.slack_changes import FOLLOWED_FACTS, is_latest_listing, without_older
from bolt_app.profiles.store import (
    ACCOUNTS,
    PROFILE_OF_COLLEAGUE,
    PROFILE_OF_MEMBER,
    find_profile,
    get_profile,
    may_be_joined,
    move_account,
    register_membership,
    register_served_team,
    register_team,
    register_user,
    search_user,
)
from bolt_app.profiles.view import Account, Profile, profile_of
from bolt_app.signals import Signals
from bolt_app.slack_api import SlackCallError
from bolt_app.slack_user import enterprise_of
from bolt_app.workspaces.client import BotWorkspace, WorkspaceClient

logger = logging.getLogger(__name__)


class Profiles:
    """The profiles of people who linked their Slack account."""

    def __init__(
        self,
        database: Database,
        rows: InstallationRows,
        directory: InstallationDirectory,
        client: WorkspaceClient,
        signals: Signals,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._rows = rows
        self._directory = directory
        self._client = client
        self._signals = signals
        self._clock = clock

    def record(self, installation: StoredInstallation) -> Profile:
        """Fetch the installer's profile from Slack, and store user, team and membership.

        Uses the person's token, or the bot's if the person granted none
        (https://docs.slack.dev/reference/methods/users.info).

        Raises:
            SlackCallError: the call failed, and the recording stays pending; or the person has
                unlinked in the meantime.
        """
        facts = self._fetch_user(installation)
        team_id = installation.team_id or str(facts.get("team_id") or "")
        asked_at = self._clock() - CLOCK_SKEW
        team, is_fresh = self._fetch_team(installation, team_id)
        stated_at = asked_at if is_fresh else installation.installed_at
        now = self._clock()
        with self._database.writing() as session:
            organization_id = (
                self._rows.lock_separate_bot(session, team_id) if installation.team_id else None
            )
            # Otherwise it would count as served by the organization's bot, which only Slack knows:
            # a check that lists the organization's workspaces records it.
            if organization_id is not None:
                team["enterprise_id"] = organization_id
            _require_linked(session, installation)
            if facts.get("deleted"):
                # They must not become valid again if the account is reactivated.
                places = installation.enterprise_id, team_id
                end_sessions_of(session, places, installation.user_id, now)
            facts_of_team = without_older(session, team_id, team, stated_at, now)
            register_team(session, team_id, facts_of_team, now)
            home_id = installation.enterprise_id or enterprise_of(facts) or team_id
            move_account(session, team_id, home_id, installation.user_id)
            row_id = register_user(session, home_id, facts, now)
            register_membership(session, row_id, team_id, facts, now)
            profile = get_profile(session, row_id)
        self._directory.mark_recorded(installation.id, now)
        self._signals.person_changed(team_id, installation.user_id)
        return profile

    def record_workspace(self, team_id: str, enterprise_id: str, *, listed_at: datetime) -> bool:
        """Record that an organization's installation serves a workspace, before anyone links there.

        Slack must have confirmed it; a workspace named in a request is not enough. API keys and
        webhooks of another installation of the workspace are revoked.

        Args:
            listed_at: the time of the question that Slack answered.

        Returns: whether it was recorded; a later answer of Slack takes precedence.
        """
        now = self._clock()
        with self._database.writing() as session:
            if not is_latest_listing(session, enterprise_id, listed_at, now):
                return False
            self._rows.bump_revision(session, None, team_id)
            if not record_organization(
                session, self._rows, team_id, enterprise_id, asked_at=listed_at, now=now
            ):
                return False
            register_served_team(session, self._rows, team_id, enterprise_id, now)
        self._signals.admin_data_changed(team_id)
        return True

    def record_pending(self) -> tuple[int, list[SlackCallError]]:
        """Retry every pending recording.

        Returns: the number of recorded profiles, and the errors of the others.
        """
        errors = []
        pending = self._directory.pending_recordings()
        for installation in pending:
            try:
                self.record(installation)
            except SlackCallError as error:
                errors.append(error)
        return len(pending) - len(errors), errors

    def find(self, team_id: str, user_id: str, enterprise_id: str | None = None) -> Profile | None:
        """Return the linked profile of `user_id` in a workspace or its organization, if any."""
        statement = PROFILE_OF_MEMBER if enterprise_id is None else PROFILE_OF_COLLEAGUE
        values = {"team_id": team_id, "user_id": user_id, "enterprise_id": enterprise_id}
        rows = self._database.fetch(statement, values)
        return profile_of(rows) if rows else None

    def find_for(self, installation: StoredInstallation) -> Profile | None:
        """Return the recorded profile of an installation, if any."""
        with self._database.reading() as session:
            return find_profile(session, search_user(session, installation))

    def accounts_of(self, installation: StoredInstallation) -> list[Account]:
        """Return the account of `installation` in each workspace where it is linked.

        Other accounts of the person and deactivated ones are omitted: access depends only on the
        account that the person is signed in with.
        """
        with self._database.reading() as session:
            row_id = search_user(session, installation)
            if row_id is None:
                return []
            return [
                Account(membership.team_id, user.user_id, membership.is_guest)
                for user, membership in session.execute(ACCOUNTS, {"row_id": row_id})
            ]

    def find_joinable(
        self, installation: StoredInstallation, other: StoredInstallation
    ) -> Profile | None:
        """Return the profile of `other` if it may be joined with that of `installation`.

        Both must have the same e-mail address, and must not be joined yet.
        """
        with self._database.reading() as session:
            row_id, other_id = search_user(session, installation), search_user(session, other)
            if not may_be_joined(session, row_id, other_id):
                return None
            return find_profile(session, other_id)

    def join(self, installation: StoredInstallation, other: StoredInstallation) -> bool:
        """Join two accounts of one person at their request; return whether it was allowed.

        Neither account gets more access: the profile only lists the workspaces of both, while
        their addresses are equal.
        """
        now = self._clock()
        with self._database.writing() as session:
            row_id, other_id = search_user(session, installation), search_user(session, other)
            if not may_be_joined(session, row_id, other_id):
                return False
            ids = [row_id, other_id]
            people = session.scalars(select(User.person_id).where(User.id.in_(ids))).all()
            # On PostgreSQL a request at the same time may have joined them by now.
            are_apart = User.person_id.in_(people), User.person_id != min(people)
            joined = update(User).where(*are_apart).values(person_id=min(people))
            is_first = session.scalars(joined.returning(User.id)).all()
            for account in (installation, other) if is_first else ():
                _audit(session, AuditAction.ACCOUNTS_JOINED, account, now)
        return True

    def _fetch_user(self, installation: StoredInstallation) -> Mapping[str, Any]:
        answer = self._client.as_user(
            installation, "users.info", user=installation.user_id, include_locale=True
        )
        facts: Mapping[str, Any] = answer["user"]
        return facts

    def _fetch_team(
        self, installation: StoredInstallation, team_id: str
    ) -> tuple[dict[str, Any], bool]:
        """Return the name and domain of a team, and whether Slack has just confirmed them.

        Without `team:read` the name from the installation is used.
        """
        facts: dict[str, Any] = {"enterprise_name": installation.enterprise_name}
        if installation.team_name:
            facts["name"] = installation.team_name
        if installation.bot_token is None:
            return facts, False
        try:
            team = self._client.as_bot(
                BotWorkspace.of(installation, team_id), "team.info", team=team_id
            )["team"]
        except SlackCallError as error:
            logger.info("team.info failed", extra={"team_id": team_id, "code": error.code})
            return facts, False
        return {**facts, **{name: team[name] for name in FOLLOWED_FACTS if team.get(name)}}, True


def _require_linked(session: Session, installation: StoredInstallation) -> None:
    """Require that an installation was not deleted during the call to Slack.

    Raises:
        SlackCallError: it was deleted, and its token is being revoked.
    """
    installed = select(UserInstallation.id).where(UserInstallation.id == installation.id)
    if session.scalar(installed.with_for_update()) is None:
        raise SlackCallError("users.info", "token_revoked")


def _audit(
    session: Session, action: AuditAction, installation: StoredInstallation, now: datetime
) -> None:
    write_audit(
        session,
        action,
        at=now,
        address=client_address(),
        enterprise_id=installation.enterprise_id,
        team_id=installation.team_id,
        user_id=installation.user_id,
    )
