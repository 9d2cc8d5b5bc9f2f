"""Erasure of people and workspaces from all packages, in a caller's transaction."""

from __future__ import annotations

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
from bolt_app.notifications.history.erasure import ErasedPeople, erase_people
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
        for erased_id in sorted(team_ids):
            everyone = ErasedPeople(erased_id, None)
            erase_people(session.connection(), everyone, self._clock(), refreshes=False)
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
        user_ids: Sequence[str],
        *,
        refreshes: bool,
    ) -> Mapping[str, Sequence[str]]:
        """Delete the data of people in a workspace, or everywhere in an organization.

        Returns: the people with an open App Home, by workspace.
        """
        opened: dict[str, Sequence[str]] = {}
        if not user_ids:
            return opened
        teams = find_teams_of_accounts(session, enterprise_id, team_id, user_ids)
        erased = [
            ErasedPeople(erased_id, user_ids, find_emails(session, erased_id, user_ids))
            for erased_id in teams
        ]
        # Before anything that is locked after profiles.
        forget_users(session, teams, user_ids)
        for people in erased:
            opened[people.team_id] = erase_people(
                session.connection(), people, self._clock(), refreshes=refreshes
            )
        return opened

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
