"""Installations in the database: a drop-in for slack_sdk's `InstallationStore`.

One row a person and workspace (or organisation), one row a bot, tokens encrypted. Slack's contract
of the store: https://docs.slack.dev/tools/python-slack-sdk/oauth. Beyond it stand the reads that
answer a request in one statement, and removals that join somebody else's transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from slack_sdk.oauth import InstallationStore
from slack_sdk.oauth.installation_store import Bot, Installation
from sqlalchemy import ColumnElement, and_, bindparam, delete, or_, select, tuple_, update
from sqlalchemy.orm import Session

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database, PreparedSelect
from bolt_app.db.accounts import IS_DEACTIVATED
from bolt_app.db.audit import AuditAction, write_audit
from bolt_app.db.encryption import DecryptionError
from bolt_app.db.models import (
    BotInstallation,
    InstallationRevision,
    Team,
    TokenRevocation,
    UserInstallation,
)
from bolt_app.db.upsert import count_up, upsert

_EXPIRED = "token_expired"
_REVISION = select(InstallationRevision.revision).where(
    InstallationRevision.client_id == bindparam("client_id"),
    InstallationRevision.enterprise_id == bindparam("enterprise_id"),
    InstallationRevision.team_id == bindparam("team_id"),
)
# Read for every call of a method.
_FIND_REVISION = PreparedSelect(_REVISION)
# Read for all messages that are sent together.
_REVISIONS = select(
    InstallationRevision.enterprise_id,
    InstallationRevision.team_id,
    InstallationRevision.revision,
).where(
    InstallationRevision.client_id == bindparam("client_id"),
    tuple_(InstallationRevision.enterprise_id, InstallationRevision.team_id).in_(
        bindparam("places", expanding=True)
    ),
)
# Read for every request from Slack.
_STANDING = PreparedSelect(
    select(
        _REVISION.scalar_subquery().label("revision"),
        IS_DEACTIVATED.scalar_subquery().label("is_deactivated"),
    )
)
# Read for every message.
_PLACE = (
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
_Place = type[BotInstallation] | type[UserInstallation] | type[InstallationRevision]


@dataclass(frozen=True)
class StoredInstallation:
    """One person's installation, with the bot of the same workspace (or organisation)."""

    id: int
    app_id: str | None
    enterprise_id: str | None
    enterprise_name: str | None
    team_id: str | None
    team_name: str | None
    user_id: str
    is_enterprise_install: bool
    user_token: str | None = field(repr=False)
    user_scopes: tuple[str, ...]
    user_invalid_reason: str | None
    bot_token: str | None = field(repr=False)
    bot_user_id: str | None
    bot_scopes: tuple[str, ...]
    bot_invalid_reason: str | None
    installed_at: datetime
    profile_recorded_at: datetime | None


@dataclass(frozen=True)
class Grant:
    """What one person's request may use: the bot's token, and their own where they gave one."""

    revision: int
    bot_token: str | None = field(default=None, repr=False)
    bot_id: str | None = None
    bot_user_id: str | None = None
    bot_scopes: tuple[str, ...] = ()
    bot_token_expires_at: datetime | None = None
    bot_invalid_reason: str | None = None
    installation_id: int | None = None
    user_token: str | None = field(default=None, repr=False)
    user_scopes: tuple[str, ...] = ()
    user_token_expires_at: datetime | None = None
    user_invalid_reason: str | None = None


@dataclass(frozen=True)
class InstallationStatus:
    """How things stand for one person's request.

    Attributes:
        revision: how often the installation has changed, 0 where there never was one.
        is_deactivated: whether the person's linked account is deactivated; None where they are not
            linked.
    """

    revision: int
    is_deactivated: bool | None


class Installations(InstallationStore):
    """Keeps the installations of one Slack app."""

    def __init__(self, client_id: str, database: Database, *, clock: Clock = utc_now) -> None:
        self.client_id = client_id
        self._database = database
        self._clock = clock
        self._logger = logging.getLogger(__name__)

    @property
    def logger(self) -> logging.Logger:
        """Where the store logs."""
        return self._logger

    # What slack_sdk and Bolt call.

    def save(self, installation: Installation) -> None:
        """Write an installation down, new or again.

        What a re-install does not bring (a user token, a bot token, a webhook) stays as it was.
        """
        with self._database.writing() as session:
            self.bump_revision(session, *_place_of(installation))
            if installation.bot_token is not None:
                self._write_bot(session, installation.to_bot())
            self._write_installation(session, installation)
            enterprise_id, team_id = _place_of(installation)
            write_audit(
                session,
                AuditAction.INSTALLED if installation.bot_token else AuditAction.LINKED,
                at=self._clock(),
                enterprise_id=enterprise_id,
                team_id=team_id,
                user_id=installation.user_id,
            )

    def save_bot(self, bot: Bot) -> None:
        """Write a bot down, new or again."""
        with self._database.writing() as session:
            self.bump_revision(session, *_place_of(bot))
            self._write_bot(session, bot)

    def find_bot(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        is_enterprise_install: bool | None = False,
    ) -> Bot | None:
        """Return the bot of a workspace, or of an organisation."""
        workspace = _place(enterprise_id, team_id, is_enterprise_install)
        with self._database.reading() as session:
            row = session.scalar(
                select(BotInstallation).where(self.at(BotInstallation, *workspace))
            )
        return None if row is None else _bot(row)

    def find_installation(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str | None = None,
        is_enterprise_install: bool | None = False,
    ) -> Installation | None:
        """Return a person's installation, or the latest one; its bot is always the present one."""
        workspace = _place(enterprise_id, team_id, is_enterprise_install)
        statement = (
            select(UserInstallation, BotInstallation)
            .select_from(UserInstallation)
            .outerjoin(BotInstallation, self.at(BotInstallation, *workspace))
            .where(self.at(UserInstallation, *workspace))
            .order_by(UserInstallation.installed_at.desc(), UserInstallation.id.desc())
            .limit(1)
        )
        if user_id is not None:
            statement = statement.where(UserInstallation.user_id == user_id)
        with self._database.reading() as session:
            row = session.execute(statement).first()
        return None if row is None else _installation(row[0], row[1])

    def delete_bot(self, *, enterprise_id: str | None, team_id: str | None) -> None:
        """Delete the bot of a workspace, or of an organisation."""
        with self._database.writing() as session:
            self.remove_bot(session, enterprise_id, team_id)

    def delete_installation(
        self, *, enterprise_id: str | None, team_id: str | None, user_id: str | None = None
    ) -> None:
        """Delete one person's installation, or everybody's."""
        with self._database.writing() as session:
            self.remove_users(
                session, enterprise_id, team_id, None if user_id is None else [user_id]
            )

    def delete_all(self, *, enterprise_id: str | None, team_id: str | None) -> None:
        """Delete the bot and everybody's installation, at once."""
        with self._database.writing() as session:
            self.remove_all(session, enterprise_id, team_id)

    # What the rest of Bellhop reads.

    def revision(self, *, enterprise_id: str | None, team_id: str | None) -> int:
        """Return how often the installation has changed, 0 where there never was one."""
        rows = self._database.fetch(_FIND_REVISION, self._key(enterprise_id, team_id))
        return rows[0].revision if rows else 0

    def revisions(
        self, places: Collection[tuple[str | None, str | None]]
    ) -> dict[tuple[str | None, str | None], int]:
        """Return the revisions of installations, by enterprise and workspace, in one statement."""
        keys = {(enterprise_id or "", team_id or ""): None for enterprise_id, team_id in places}
        values = {"client_id": self.client_id, "places": list(keys)}
        with self._database.reading_connection() as connection:
            rows = connection.execute(_REVISIONS, values).all()
        return {(row.enterprise_id or None, row.team_id or None): row.revision for row in rows}

    def standing(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        workspace_id: str,
        user_id: str | None,
    ) -> InstallationStatus:
        """Return how things stand for a request of `user_id`, in one statement.

        Args:
            team_id: the workspace that is installed; None for an organisation-wide installation.
            workspace_id: the workspace of the request.
        """
        values = {
            **self._key(enterprise_id, team_id),
            # An organisation's bot knows the people of the organisation, not all of a workspace.
            "workspace_id": workspace_id if team_id else "",
            "home_id": enterprise_id or "",
            "user_id": user_id,
        }
        [standing] = self._database.fetch(_STANDING, values)
        return InstallationStatus(standing.revision or 0, standing.is_deactivated)

    def find_grant(
        self, *, enterprise_id: str | None, team_id: str | None, user_id: str | None
    ) -> Grant | None:
        """Return what a request of `user_id` may use, in one statement; None if never installed."""
        workspace = (enterprise_id, team_id)
        statement = (
            select(InstallationRevision.revision, BotInstallation, UserInstallation)
            .select_from(InstallationRevision)
            .outerjoin(BotInstallation, self.at(BotInstallation, *workspace))
            .outerjoin(
                UserInstallation,
                and_(self.at(UserInstallation, *workspace), UserInstallation.user_id == user_id),
            )
            .where(self.at(InstallationRevision, *workspace))
        )
        with self._database.reading() as session:
            row = session.execute(statement).first()
        return None if row is None else _grant(*row)

    def find_stored(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str,
        is_enterprise_install: bool | None = False,
    ) -> StoredInstallation | None:
        """Return one person's installation."""
        workspace = _place(enterprise_id, team_id, is_enterprise_install)
        return self._find_one(
            self.at(UserInstallation, *workspace), UserInstallation.user_id == user_id
        )

    def find_installation_by_id(self, installation_id: int) -> StoredInstallation | None:
        """Return the installation a web session names; its id never comes back once deleted."""
        return self._find_one(UserInstallation.id == installation_id)

    def pending_recordings(self, limit: int = 100) -> list[StoredInstallation]:
        """Return the installations whose profile is still to be recorded, oldest first.

        Those with a dead token, or one that cannot be read, are left out: nothing can be asked
        with it.
        """
        pending = (
            select(UserInstallation.id)
            .where(
                UserInstallation.client_id == self.client_id,
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
                found += self._find_stored(UserInstallation.id == id_, limit=1)
            except DecryptionError:
                self._logger.warning("an installation cannot be read", extra={"installation": id_})
        return found

    def has_bot(self) -> bool:
        """Return whether Bellhop is installed anywhere."""
        bots = select(BotInstallation.id).where(BotInstallation.client_id == self.client_id)
        with self._database.reading_connection() as connection:
            return connection.execute(bots.limit(1)).first() is not None

    def find_workspace(self, team_id: str) -> tuple[str | None, bool] | None:
        """Return the organisation of the bot that serves a workspace, and whether it is its bot.

        A workspace's own installation comes before its organisation's.
        """
        key = {"client_id": self.client_id, "team_id": team_id}
        with self._database.reading_connection() as connection:
            row = connection.execute(_PLACE, key).first()
        return None if row is None else (row[0] or None, row[1])

    # What the rest of Bellhop writes.

    def mark_recorded(self, installation_id: int, at: datetime) -> None:
        """Write down that the profile of an installation was recorded."""
        with self._database.writing() as session:
            session.execute(
                update(UserInstallation)
                .where(UserInstallation.id == installation_id)
                .values(profile_recorded_at=at)
            )

    def mark_bot_invalid(
        self, *, enterprise_id: str | None, team_id: str | None, token: str, reason: str
    ) -> None:
        """Write down that Slack refuses the bot's token, unless it was replaced meanwhile.

        One that has merely expired, and can be refreshed, is refreshed at its next use.
        """
        with self._database.writing() as session:
            self.bump_revision(session, enterprise_id, team_id)
            bot = session.scalar(
                select(BotInstallation).where(self.at(BotInstallation, enterprise_id, team_id))
            )
            if bot is None or bot.bot_token != token:
                return
            if reason == _EXPIRED and bot.bot_refresh_token is not None:
                bot.bot_token_expires_at = self._clock()
            else:
                bot.invalid_reason = reason

    def mark_user_invalid(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str,
        token: str,
        reason: str,
    ) -> None:
        """Write down that Slack refuses a person's token, unless it was replaced meanwhile.

        One that has merely expired, and can be refreshed, is refreshed at its next use.
        """
        with self._database.writing() as session:
            self.bump_revision(session, enterprise_id, team_id)
            person = session.scalar(
                select(UserInstallation).where(
                    self.at(UserInstallation, enterprise_id, team_id),
                    UserInstallation.user_id == user_id,
                )
            )
            if person is None or person.user_token != token:
                return
            if reason == _EXPIRED and person.user_refresh_token is not None:
                person.user_token_expires_at = self._clock()
            else:
                person.invalid_reason = reason

    def has_working_bot(
        self, session: Session, enterprise_id: str | None, team_id: str | None
    ) -> bool:
        """Whether there is a bot whose token Slack was not found to refuse."""
        working = select(BotInstallation.id).where(
            self.at(BotInstallation, enterprise_id, team_id),
            BotInstallation.invalid_reason.is_(None),
        )
        return session.scalar(working) is not None

    def has_own_bot(self, session: Session, team_id: str) -> bool:
        """Whether a workspace has an installation of its own, besides its organization's."""
        own = select(BotInstallation.id).where(
            BotInstallation.client_id == self.client_id, BotInstallation.team_id == team_id
        )
        return session.scalar(own) is not None

    def teams_with_own_bot(self, session: Session) -> Sequence[str]:
        """Return the workspaces that have installations of their own."""
        own = BotInstallation.client_id == self.client_id, BotInstallation.team_id != ""
        return session.scalars(select(BotInstallation.team_id).where(*own)).all()

    def has_working_user(
        self, session: Session, enterprise_id: str | None, team_id: str | None, user_id: str
    ) -> bool:
        """Whether there is a person's token that Slack was not found to refuse."""
        working = select(UserInstallation.id).where(
            self.at(UserInstallation, enterprise_id, team_id),
            UserInstallation.user_id == user_id,
            UserInstallation.user_token.is_not(None),
            UserInstallation.invalid_reason.is_(None),
        )
        return session.scalar(working) is not None

    def find_newest_user(self, enterprise_id: str | None, team_id: str | None) -> str | None:
        """Return the id of the person whose token was installed last, if there is one."""
        newest = (
            select(UserInstallation.user_id)
            .where(
                self.at(UserInstallation, enterprise_id, team_id),
                UserInstallation.user_token.is_not(None),
            )
            .order_by(UserInstallation.installed_at.desc(), UserInstallation.id.desc())
            .limit(1)
        )
        with self._database.reading() as session:
            return session.scalar(newest)

    def remove_bot(self, session: Session, enterprise_id: str | None, team_id: str | None) -> None:
        """Delete the bot of a workspace (or organisation) in the transaction of `session`."""
        self.bump_revision(session, enterprise_id, team_id)
        session.execute(
            delete(BotInstallation).where(self.at(BotInstallation, enterprise_id, team_id))
        )

    def remove_users(
        self,
        session: Session,
        enterprise_id: str | None,
        team_id: str | None,
        user_ids: Sequence[str] | None,
    ) -> bool:
        """Delete people's installations (None: everybody's) in the transaction of `session`.

        Returns: whether there were any.
        """
        self.bump_revision(session, enterprise_id, team_id)
        statement = delete(UserInstallation).where(
            self.at(UserInstallation, enterprise_id, team_id)
        )
        if user_ids is not None:
            statement = statement.where(UserInstallation.user_id.in_(user_ids))
        return bool(session.scalars(statement.returning(UserInstallation.id)).all())

    def remove_all(self, session: Session, enterprise_id: str | None, team_id: str | None) -> None:
        """Delete the bot and everybody's installation in the transaction of `session`."""
        self.remove_bot(session, enterprise_id, team_id)
        self.remove_users(session, enterprise_id, team_id, None)

    def release(self, session: Session, installation: StoredInstallation) -> None:
        """Delete one person's installation; their token waits to be handed back to Slack."""
        workspace = installation.enterprise_id, installation.team_id
        self.bump_revision(session, *workspace)
        # The token may have been refreshed since `installation` was read.
        token = session.scalar(
            select(UserInstallation.user_token).where(
                self.at(UserInstallation, *workspace),
                UserInstallation.user_id == installation.user_id,
            )
        )
        if token is not None:
            session.add(TokenRevocation(token=token, created_at=self._clock()))
        self.remove_users(session, *workspace, [installation.user_id])

    def at(
        self, model: _Place, enterprise_id: str | None, team_id: str | None
    ) -> ColumnElement[bool]:
        """Return the condition that a row belongs to one workspace (or organisation)."""
        return and_(
            model.client_id == self.client_id,
            model.enterprise_id == (enterprise_id or ""),
            model.team_id == (team_id or ""),
        )

    def _key(self, enterprise_id: str | None, team_id: str | None) -> dict[str, str]:
        return {
            "client_id": self.client_id,
            "enterprise_id": enterprise_id or "",
            "team_id": team_id or "",
        }

    def bump_revision(
        self, session: Session, enterprise_id: str | None, team_id: str | None
    ) -> None:
        """Lock the installation and mark what every process remembers of it as old."""
        count_up(
            session,
            InstallationRevision,
            key=self._key(enterprise_id, team_id),
            counter=InstallationRevision.revision,
        )

    def _write_bot(self, session: Session, bot: Bot) -> None:
        upsert(
            session,
            BotInstallation,
            key=self._key(*_place_of(bot)),
            insert={},
            update={
                "app_id": bot.app_id,
                "enterprise_name": bot.enterprise_name,
                "team_name": bot.team_name,
                "bot_token": bot.bot_token,
                "bot_id": bot.bot_id,
                "bot_user_id": bot.bot_user_id,
                "bot_scopes": ",".join(bot.bot_scopes or ()),
                "bot_refresh_token": bot.bot_refresh_token,
                "bot_token_expires_at": _moment(bot.bot_token_expires_at),
                "is_enterprise_install": bot.is_enterprise_install,
                "installed_at": _moment(bot.installed_at),
                "invalid_reason": None,
                "refreshing_until": None,
            },
        )

    def _write_installation(self, session: Session, installation: Installation) -> None:
        values = {
            "app_id": installation.app_id,
            "enterprise_name": installation.enterprise_name,
            "enterprise_url": installation.enterprise_url,
            "team_name": installation.team_name,
            "is_enterprise_install": installation.is_enterprise_install,
            "token_type": installation.token_type,
            "installed_at": _moment(installation.installed_at),
            "profile_recorded_at": None,
        }
        if installation.user_token is not None:
            values |= {
                "user_token": installation.user_token,
                "user_scopes": ",".join(installation.user_scopes or ()),
                "user_refresh_token": installation.user_refresh_token,
                "user_token_expires_at": _moment(installation.user_token_expires_at),
                "invalid_reason": None,
                "refreshing_until": None,
            }
        if installation.incoming_webhook_url is not None:
            values |= {
                "incoming_webhook_url": installation.incoming_webhook_url,
                "incoming_webhook_channel": installation.incoming_webhook_channel,
                "incoming_webhook_channel_id": installation.incoming_webhook_channel_id,
                "incoming_webhook_configuration_url": (
                    installation.incoming_webhook_configuration_url
                ),
            }
        upsert(
            session,
            UserInstallation,
            key={**self._key(*_place_of(installation)), "user_id": installation.user_id},
            insert={},
            update=values,
        )

    def _find_one(self, *conditions: ColumnElement[bool]) -> StoredInstallation | None:
        found = self._find_stored(*conditions, limit=1)
        return found[0] if found else None

    def _find_stored(
        self, *conditions: ColumnElement[bool], limit: int
    ) -> list[StoredInstallation]:
        same_place = and_(
            BotInstallation.client_id == UserInstallation.client_id,
            BotInstallation.enterprise_id == UserInstallation.enterprise_id,
            BotInstallation.team_id == UserInstallation.team_id,
        )
        statement = (
            select(UserInstallation, BotInstallation)
            .select_from(UserInstallation)
            .outerjoin(BotInstallation, same_place)
            .where(UserInstallation.client_id == self.client_id, *conditions)
            .order_by(UserInstallation.installed_at, UserInstallation.id)
            .limit(limit)
        )
        with self._database.reading() as session:
            return [_stored(person, bot) for person, bot in session.execute(statement)]


def _place(
    enterprise_id: str | None, team_id: str | None, is_enterprise_install: bool | None
) -> tuple[str | None, str | None]:
    return enterprise_id, None if is_enterprise_install else team_id


def _place_of(installed: Installation | Bot) -> tuple[str | None, str | None]:
    return _place(installed.enterprise_id, installed.team_id, installed.is_enterprise_install)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _scopes(stored: str) -> tuple[str, ...]:
    return tuple(stored.split(",")) if stored else ()


def _bot(row: BotInstallation) -> Bot:
    return Bot(
        app_id=row.app_id,
        enterprise_id=row.enterprise_id or None,
        enterprise_name=row.enterprise_name,
        team_id=row.team_id or None,
        team_name=row.team_name,
        bot_token=row.bot_token,
        bot_id=row.bot_id,  # type: ignore[arg-type]  # unknown until auth.test has answered
        bot_user_id=row.bot_user_id,  # type: ignore[arg-type]
        bot_scopes=row.bot_scopes,
        bot_refresh_token=row.bot_refresh_token,
        bot_token_expires_at=row.bot_token_expires_at,
        is_enterprise_install=row.is_enterprise_install,
        installed_at=row.installed_at,
    )


def _installation(person: UserInstallation, bot: BotInstallation | None) -> Installation:
    installation = Installation(
        app_id=person.app_id,
        enterprise_id=person.enterprise_id or None,
        enterprise_name=person.enterprise_name,
        enterprise_url=person.enterprise_url,
        team_id=person.team_id or None,
        team_name=person.team_name,
        user_id=person.user_id,
        user_token=person.user_token,
        user_scopes=person.user_scopes,
        user_refresh_token=person.user_refresh_token,
        user_token_expires_at=person.user_token_expires_at,
        incoming_webhook_url=person.incoming_webhook_url,
        incoming_webhook_channel=person.incoming_webhook_channel,
        incoming_webhook_channel_id=person.incoming_webhook_channel_id,
        incoming_webhook_configuration_url=person.incoming_webhook_configuration_url,
        is_enterprise_install=person.is_enterprise_install,
        token_type=person.token_type,
        installed_at=person.installed_at,
    )
    if bot is not None:
        found = _bot(bot)
        installation.bot_token = found.bot_token
        installation.bot_id = found.bot_id
        installation.bot_user_id = found.bot_user_id
        installation.bot_scopes = found.bot_scopes
        installation.bot_refresh_token = found.bot_refresh_token
        installation.bot_token_expires_at = found.bot_token_expires_at
    return installation


def _stored(person: UserInstallation, bot: BotInstallation | None) -> StoredInstallation:
    return StoredInstallation(
        id=person.id,
        app_id=person.app_id,
        enterprise_id=person.enterprise_id or None,
        enterprise_name=person.enterprise_name,
        team_id=person.team_id or None,
        team_name=person.team_name,
        user_id=person.user_id,
        is_enterprise_install=person.is_enterprise_install,
        user_token=person.user_token,
        user_scopes=_scopes(person.user_scopes),
        user_invalid_reason=person.invalid_reason,
        bot_token=None if bot is None else bot.bot_token,
        bot_user_id=None if bot is None else bot.bot_user_id,
        bot_scopes=() if bot is None else _scopes(bot.bot_scopes),
        bot_invalid_reason=None if bot is None else bot.invalid_reason,
        installed_at=person.installed_at,
        profile_recorded_at=person.profile_recorded_at,
    )


def _grant(revision: int, bot: BotInstallation | None, person: UserInstallation | None) -> Grant:
    grant = Grant(revision)
    if bot is not None:
        grant = replace(
            grant,
            bot_token=bot.bot_token,
            bot_id=bot.bot_id,
            bot_user_id=bot.bot_user_id,
            bot_scopes=_scopes(bot.bot_scopes),
            bot_token_expires_at=bot.bot_token_expires_at,
            bot_invalid_reason=bot.invalid_reason,
        )
    if person is not None:
        grant = replace(
            grant,
            installation_id=person.id,
            user_token=person.user_token,
            user_scopes=_scopes(person.user_scopes),
            user_token_expires_at=person.user_token_expires_at,
            user_invalid_reason=person.invalid_reason,
        )
    return grant
