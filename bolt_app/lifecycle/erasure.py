"""Erasure of people and workspaces from all packages, in a caller's transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy.orm import Session

from bolt_app.clock import Clock
from bolt_app.credentials.records import lock_credentials
from bolt_app.credentials.webhook_bodies import delete_bodies
from bolt_app.db import Database
from bolt_app.db.audit import AuditAction, write_audit
from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import Webhook
from bolt_app.notifications.files.store import delete_files_of
from bolt_app.notifications.history.erasure import ErasedPeople, erase_people, with_data_only
from bolt_app.notifications.queue.wakeup import Wakeup
from bolt_app.profiles.removal import forget_teams, forget_users
from bolt_app.profiles.store import find_emails, find_teams_of_accounts
from bolt_app.signals import Signals


class Erasure:
    """Deletes data about people and workspaces."""

    def __init__(self, database: Database, signals: Signals, wakeup: Wakeup, clock: Clock) -> None:
        self._database = database
        self._signals = signals
        self._wakeup = wakeup
        self._clock = clock

    def erase_workspaces(self, session: Session, team_ids: Collection[str]) -> None:
        """Delete the data of workspaces and of everyone in them."""
        forget_teams(session, team_ids)
        # Waits for what their requests store, which is erased; later ones find no installation.
        lock_credentials(session, team_ids, with_uploads=True)
        everyone = [ErasedPeople(team_ids, None)]
        erase_people(session.connection(), everyone, self._clock(), refreshes=False)
        for erased_id in sorted(team_ids):
            delete_files_of(session.connection(), erased_id)
        delete_bodies(session, is_any_of(Webhook.team_id, values=team_ids))

    def audit_uninstall(
        self, session: Session, enterprise_id: str | None, team_id: str | None
    ) -> None:
        """Record that Bellhop is no longer installed in a workspace or organization."""
        write_audit(
            session,
            AuditAction.UNINSTALLED,
            at=self._clock(),
            address=None,
            enterprise_id=enterprise_id,
            team_id=team_id,
        )

    def erase_people(
        self,
        session: Session,
        enterprise_id: str | None,
        team_id: str | None,
        user_ids: Collection[str],
        *,
        refreshes: bool,
    ) -> Mapping[str, Sequence[str]]:
        """Delete the data of people in a workspace, or everywhere in an organization.

        Returns: the people with an open App Home, by workspace.
        """
        teams = find_teams_of_accounts(session, enterprise_id, team_id, user_ids)
        leaving = dict.fromkeys(teams, frozenset(user_ids))
        return self.erase_members(session, enterprise_id, leaving, refreshes=refreshes)

    def erase_members(
        self,
        session: Session,
        enterprise_id: str | None,
        leaving: Mapping[str, frozenset[str]],
        *,
        refreshes: bool,
    ) -> Mapping[str, Sequence[str]]:
        """Delete the data of people, given by workspace.

        Args:
            enterprise_id: the organization that they are linked in, if any.

        Returns: the people with an open App Home, by workspace.
        """
        teams_of: dict[frozenset[str], list[str]] = defaultdict(list)
        for erased_id, user_ids in leaving.items():
            if user_ids:
                teams_of[user_ids].append(erased_id)
        erased = [
            ErasedPeople(teams, ids, find_emails(session, enterprise_id, leaving, ids))
            for ids, teams in teams_of.items()
        ]
        # Before anything that is locked after profiles.
        for ids, teams in teams_of.items():
            forget_users(session, teams, ids)
        connection = session.connection()
        concerned = [with_data_only(connection, people) for people in erased]
        return erase_people(connection, concerned, self._clock(), refreshes=refreshes)

    def publish(self, opened: Mapping[str, Sequence[str]]) -> None:
        """Publish, after the commit, that people's data was deleted.

        Args:
            opened: the people with an open App Home, by workspace.
        """
        for team_id, user_ids in opened.items():
            for user_id in user_ids:
                self._signals.person_deleted(team_id, user_id)
        self._wakeup.notify()
        self._database.forget_erased()
