"""The directory of installations: lookups for pages, services and pending recordings."""

from __future__ import annotations

import logging
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, bindparam, or_, select, update

from bolt_app.db import Database
from bolt_app.db.encryption import DecryptionError
from bolt_app.db.models import BotInstallation, InstallationRevision, Team, UserInstallation
from bolt_app.db.upsert import insert_new
from bolt_app.installations.records import BotIdentity, StoredInstallation, to_stored
from bolt_app.installations.rows import IS_BOT_OF_USER, InstallationRows

logger = logging.getLogger(__name__)

# Runs for every message.
_WORKSPACE = (
    select(BotInstallation.enterprise_id, BotInstallation.is_enterprise_install)
    .where(
        BotInstallation.client_id == bindparam("client_id"),
        or_(
            BotInstallation.team_id == bindparam("team_id"),
            and_(
                BotInstallation.is_enterprise_install,
                BotInstallation.enterprise_id
                == select(Team.enterprise_id)
                .where(Team.team_id == bindparam("team_id"))
                .scalar_subquery(),
            ),
        ),
    )
    .order_by(BotInstallation.is_enterprise_install)
)

_REVISION = (
    select(InstallationRevision.revision)
    .where(
        InstallationRevision.client_id == bindparam("client_id"),
        InstallationRevision.enterprise_id == bindparam("enterprise_id"),
        InstallationRevision.team_id == bindparam("team_id"),
    )
    .with_for_update(read=True)
)


class InstallationDirectory:
    """Finds the installations of one Slack app, and records that a profile was stored."""

    def __init__(self, database: Database, rows: InstallationRows) -> None:
        self._database = database
        self._rows = rows

    def find(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str,
        is_enterprise_install: bool | None = False,
    ) -> StoredInstallation | None:
        """Return one person's installation."""
        installed_team_id = None if is_enterprise_install else team_id
        return self._find_one(
            self._rows.at(UserInstallation, enterprise_id, installed_team_id),
            UserInstallation.user_id == user_id,
        )

    def find_by_id(self, installation_id: int) -> StoredInstallation | None:
        """Return the installation of a web session; ids are never reused."""
        return self._find_one(UserInstallation.id == installation_id)

    def find_workspace(self, team_id: str) -> tuple[str | None, bool] | None:
        """Return the organization of a workspace's bot, and whether the bot is the organization's.

        A workspace's installation takes precedence over its organization's.
        """
        key = {"client_id": self._rows.client_id, "team_id": team_id}
        with self._database.reading_connection() as connection:
            row = connection.execute(_WORKSPACE, key).first()
        return None if row is None else (row[0] or None, row[1])

    def lock(self, connection: Connection, team_id: str) -> None:
        """Keep a workspace installed until the transaction ends: `InstallationRemovals` waits."""
        key = self._rows.revision_key(None, team_id)
        # The second time, another transaction has just inserted it.
        for _ in range(2):
            if connection.execute(_REVISION, key).first() is not None:
                return
            if insert_new(connection, InstallationRevision, {**key, "revision": 1}):
                return

    def has_bot_in(self, connection: Connection, team_id: str) -> bool:
        """Whether a bot serves a workspace, in the transaction of a caller."""
        key = {"client_id": self._rows.client_id, "team_id": team_id}
        return connection.execute(_WORKSPACE, key).first() is not None

    def find_bot(self, team_id: str) -> BotIdentity | None:
        """Return the identity of a workspace's bot: the workspace's or its organization's."""
        key = {"client_id": self._rows.client_id, "team_id": team_id}
        statement = _WORKSPACE.with_only_columns(
            BotInstallation.bot_id,
            BotInstallation.bot_user_id,
            BotInstallation.app_id,
            BotInstallation.team_name,
            BotInstallation.enterprise_id,
        )
        team = select(Team.name, Team.domain).where(Team.team_id == team_id)
        with self._database.reading_connection() as connection:
            row = connection.execute(statement, key).first()
            known = connection.execute(team).first()
        if row is None:
            return None
        return BotIdentity(
            bot_id=row.bot_id,
            user_id=row.bot_user_id,
            app_id=row.app_id,
            team_name=(known.name if known else None) or row.team_name,
            domain=known.domain if known else None,
            enterprise_id=row.enterprise_id or None,
        )

    def has_bot(self) -> bool:
        """Whether Bellhop is installed anywhere."""
        bots = select(BotInstallation.id).where(BotInstallation.client_id == self._rows.client_id)
        with self._database.reading_connection() as connection:
            return connection.execute(bots.limit(1)).first() is not None

    def pending_recordings(self, limit: int = 100) -> list[StoredInstallation]:
        """Return the installations whose profile is not recorded yet, oldest first.

        Installations with an invalid or unreadable token are omitted.
        """
        pending = (
            select(UserInstallation.id)
            .where(
                UserInstallation.client_id == self._rows.client_id,
                UserInstallation.profile_recorded_at.is_(None),
                UserInstallation.invalid_reason.is_(None),
            )
            .order_by(UserInstallation.installed_at, UserInstallation.id)
            .limit(limit)
        )
        with self._database.reading() as session:
            ids = session.scalars(pending).all()
        found: list[StoredInstallation] = []
        for id_ in ids:
            try:
                found += self._find_all(UserInstallation.id == id_, limit=1)
            except DecryptionError:
                logger.warning("an installation cannot be read", extra={"installation": id_})
        return found

    def mark_recorded(self, installation_id: int, at: datetime) -> None:
        """Record that the profile of an installation was stored."""
        with self._database.writing() as session:
            session.execute(
                update(UserInstallation)
                .where(UserInstallation.id == installation_id)
                .values(profile_recorded_at=at)
            )

    def _find_one(self, *conditions: ColumnElement[bool]) -> StoredInstallation | None:
        found = self._find_all(*conditions, limit=1)
        return found[0] if found else None

    def _find_all(self, *conditions: ColumnElement[bool], limit: int) -> list[StoredInstallation]:
        statement = (
            select(UserInstallation, BotInstallation)
            .select_from(UserInstallation)
            .outerjoin(BotInstallation, IS_BOT_OF_USER)
            .where(UserInstallation.client_id == self._rows.client_id, *conditions)
            .order_by(UserInstallation.installed_at, UserInstallation.id)
            .limit(limit)
        )
        with self._database.reading() as session:
            return [to_stored(person, bot) for person, bot in session.execute(statement)]
