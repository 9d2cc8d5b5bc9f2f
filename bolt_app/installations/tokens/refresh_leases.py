"""Refresh leases: one process at a time refreshes a token, by a lease in its row."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, update

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.models import BotInstallation, UserInstallation
from bolt_app.db.web_sessions import REVOKED, end_sessions, of_installations
from bolt_app.installations.rows import InstallationRows


@dataclass(frozen=True)
class TokenOwner:
    """The owner of a token: a person, or without `user_id` the bot."""

    enterprise_id: str | None
    team_id: str | None
    user_id: str | None = None


@dataclass(frozen=True)
class RefreshableToken:
    """An expiring token."""

    row_id: int
    refresh_token: str = field(repr=False)
    expires_at: datetime


class RefreshLeases:
    """Reads and writes the stored tokens for token rotation."""

    def __init__(
        self,
        database: Database,
        rows: InstallationRows,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._rows = rows
        self._clock = clock

    def find(self, owner: TokenOwner) -> RefreshableToken | None:
        """Return the token of `owner` if it expires, can be refreshed and is not invalid."""
        model = _model(owner)
        statement = select(model.id, *_token_columns(model), model.invalid_reason).where(
            self._is(owner)
        )
        with self._database.reading() as session:
            row = session.execute(statement).first()
        if row is None or row[1] is None or row[2] is None or row[3] is not None:
            return None
        return RefreshableToken(row[0], row[1], row[2])

    def take(self, owner: TokenOwner, token: RefreshableToken, *, until: datetime) -> bool:
        """Take the lease of `token`, unless another process holds it or has refreshed the token.

        Returns: whether this process has the lease.
        """
        model = _model(owner)
        free = or_(model.refreshing_until.is_(None), model.refreshing_until <= self._clock())
        return self._update(model, and_(_same(model, token), free), {"refreshing_until": until})

    def end(self, owner: TokenOwner, token: RefreshableToken, *, until: datetime) -> None:
        """Release the lease that was taken `until` then, without a refresh."""
        model = _model(owner)
        is_held = and_(model.id == token.row_id, model.refreshing_until == until)
        self._update(model, is_held, {"refreshing_until": None})

    def finish(
        self,
        owner: TokenOwner,
        token: RefreshableToken,
        *,
        access_token: str,
        refresh_token: str | None,
        expires_at: datetime,
    ) -> None:
        """Store the new tokens, unless a reinstall replaced them in the meantime."""
        kind = "bot" if owner.user_id is None else "user"
        self._change(
            owner,
            token,
            {
                f"{kind}_token": access_token,
                f"{kind}_refresh_token": refresh_token,
                f"{kind}_token_expires_at": expires_at,
                # Another process may have tried the old refresh token after this lease expired.
                "invalid_reason": None,
                "refreshing_until": None,
            },
        )

    def reject(self, owner: TokenOwner, token: RefreshableToken, reason: str) -> None:
        """Record that Slack rejects the refresh token permanently, unless it was replaced.

        The person's sessions end if they revoked it.
        """
        self._change(owner, token, {"invalid_reason": reason, "refreshing_until": None})

    def _change(self, owner: TokenOwner, token: RefreshableToken, values: dict[str, Any]) -> None:
        model = _model(owner)
        with self._database.writing() as session:
            self._rows.bump_revision(session, owner.enterprise_id, owner.team_id)
            # An encrypted token cannot be compared in the database.
            stored = session.scalar(select(_token_columns(model)[0]).filter_by(id=token.row_id))
            if stored != token.refresh_token:
                return
            session.execute(update(model).filter_by(id=token.row_id).values(**values))
            if values["invalid_reason"] in REVOKED and model is UserInstallation:
                is_theirs = of_installations(UserInstallation.id == token.row_id)
                end_sessions(session, is_theirs, self._clock())

    def _update(
        self,
        model: type[BotInstallation | UserInstallation],
        condition: ColumnElement[bool],
        values: dict[str, Any],
    ) -> bool:
        statement = update(model).where(condition).values(**values).returning(model.id)
        with self._database.writing() as session:
            return session.execute(statement).first() is not None

    def _is(self, owner: TokenOwner) -> ColumnElement[bool]:
        is_of_workspace = self._rows.at(_model(owner), owner.enterprise_id, owner.team_id)
        if owner.user_id is None:
            return is_of_workspace
        return and_(is_of_workspace, UserInstallation.user_id == owner.user_id)


def _model(owner: TokenOwner) -> type[BotInstallation | UserInstallation]:
    return BotInstallation if owner.user_id is None else UserInstallation


def _token_columns(model: type[BotInstallation | UserInstallation]) -> tuple[Any, Any]:
    if issubclass(model, BotInstallation):
        return model.bot_refresh_token, model.bot_token_expires_at
    return model.user_refresh_token, model.user_token_expires_at


def _same(
    model: type[BotInstallation | UserInstallation], token: RefreshableToken
) -> ColumnElement[bool]:
    # Sufficient for a lease: `_change` compares the tokens.
    return and_(model.id == token.row_id, _token_columns(model)[1] == token.expires_at)
