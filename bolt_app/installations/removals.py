"""Removal of installations within the transaction of a caller."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, delete, insert, literal, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from bolt_app.clock import Clock, utc_now
from bolt_app.db.bulk import is_any_of
from bolt_app.db.models import BotInstallation, Team, TokenRevocation, UserInstallation
from bolt_app.db.web_sessions import end_sessions, of_earlier_grants, of_revoked_grants
from bolt_app.installations.records import StoredInstallation
from bolt_app.installations.rows import InstallationRows, is_at, is_within


class InstallationRemovals:
    """Deletes the installations of one Slack app, and what earlier apps have left there."""

    def __init__(self, rows: InstallationRows, *, clock: Clock = utc_now) -> None:
        self._rows = rows
        self._clock = clock

    def lock(self, session: Session, enterprise_id: str | None, team_id: str | None) -> None:
        """Lock an installation: another install of it waits for the end of the transaction."""
        self._rows.bump_revision(session, enterprise_id, team_id)

    def lock_workspaces(self, session: Session, team_ids: Collection[str]) -> None:
        """Lock workspaces, before any row of theirs is changed.

        In the order of their ids: two transactions with the same workspaces would otherwise wait
        for each other.
        """
        for team_id in sorted(team_ids):
            self.lock(session, None, team_id)

    def remove_bot(self, session: Session, enterprise_id: str | None, team_id: str | None) -> bool:
        """Delete the bot of a workspace (or organization) in the transaction of `session`.

        A workspace whose separate bot is deleted is no longer recorded as its organization's,
        because that record came with the bot: whether the organization's installation serves it,
        only Slack knows.

        Returns: whether there was one.
        """
        self._rows.bump_revision(session, enterprise_id, team_id)
        is_there = self._rows.at(BotInstallation, enterprise_id, team_id)
        removed = delete(BotInstallation).where(is_there).returning(BotInstallation.id)
        if not session.scalars(removed).all():
            return False
        if team_id:
            session.execute(
                update(Team).where(Team.team_id == team_id).values(enterprise_id=""),
                execution_options={"synchronize_session": False},
            )
        return True

    def forget_other_apps(
        self, session: Session, enterprise_id: str | None, team_id: str | None
    ) -> None:
        """Forget which workspaces another Slack app's installation of an organization served.

        Call it before the organization's bot is stored. Only Slack knows which ones the new bot
        serves; the check after an installation asks it (`installation_checks`).
        """
        if team_id or not enterprise_id:
            return
        bots = select(BotInstallation.id).where(BotInstallation.enterprise_id == enterprise_id)
        is_ours = BotInstallation.client_id == self._rows.client_id
        has_ours = bots.where(is_ours, BotInstallation.team_id == "").exists()
        has_separate = select(BotInstallation.id).where(
            is_ours, BotInstallation.team_id == Team.team_id
        )
        session.execute(
            update(Team)
            .where(Team.enterprise_id == enterprise_id)
            .where(bots.where(~is_ours).exists(), ~has_ours, ~has_separate.exists())
            .values(enterprise_id=""),
            execution_options={"synchronize_session": False},
        )

    def remove_users(
        self,
        session: Session,
        enterprise_id: str | None,
        team_id: str | None,
        user_ids: Sequence[str] | None,
        *,
        kept: Collection[str] = (),
    ) -> bool:
        """Delete people's installations (None: all but `kept`) in the transaction of `session`.

        Returns: whether there were any.
        """
        self._rows.bump_revision(session, enterprise_id, team_id)
        statement = delete(UserInstallation).where(
            self._rows.at(UserInstallation, enterprise_id, team_id),
            ~is_any_of(UserInstallation.user_id, values=kept),
        )
        if user_ids is not None:
            statement = statement.where(is_any_of(UserInstallation.user_id, values=user_ids))
        return bool(session.scalars(statement.returning(UserInstallation.id)).all())

    def remove_all(
        self,
        session: Session,
        enterprise_id: str | None,
        team_id: str | None,
        *,
        kept: Collection[str] = (),
    ) -> None:
        """Delete the bot and all installations in the transaction of `session`.

        Args:
            kept: people whose installations stay; their profiles are to be recorded again.
        """
        self.remove_bot(session, enterprise_id, team_id)
        self.remove_users(session, enterprise_id, team_id, None, kept=kept)
        self._record_again(session, self._rows.at(UserInstallation, enterprise_id, team_id))

    def end_earlier_sessions(
        self,
        session: Session,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str | None,
        at: datetime,
    ) -> None:
        """End the sessions that began before tokens were revoked and granted again.

        Args:
            user_id: the person whose current token works; None if everyone's tokens were revoked.
            at: the time of the revocation according to Slack.
        """
        is_there = self._rows.at(UserInstallation, enterprise_id, team_id)
        if user_id is None:
            ended = of_revoked_grants(at, is_there)
        else:
            ended = of_earlier_grants(at, is_there, UserInstallation.user_id == user_id)
        end_sessions(session, ended, self._clock())

    def release(
        self, session: Session, installation: StoredInstallation
    ) -> tuple[str | None, str | None] | None:
        """Delete a person's installation, and queue their token for revocation.

        A person with an installation of the whole organization also loses those of its workspaces,
        because each of them shows the data of the other. Those of earlier Slack apps are included.

        Returns: the ids of the organization and the workspace that the person leaves; without a
            workspace, the whole organization. None if another request has released it.
        """
        is_theirs = UserInstallation.user_id == installation.user_id
        scope = installation.enterprise_id, installation.team_id
        if self._is_in_organization(session, installation.enterprise_id, is_theirs):
            scope = installation.enterprise_id, None
        self._rows.bump_revision(session, *scope)
        is_first = self._release(session, is_within(UserInstallation, *scope), is_theirs)
        return scope if is_first else None

    def remove_account(
        self, session: Session, enterprise_id: str | None, team_id: str | None, user_id: str
    ) -> bool:
        """Delete a person's installation whose token Slack rejects.

        After that of an organization, their installations of its workspaces are released, and in
        any case those of earlier Slack apps.

        Returns: whether it existed; otherwise nothing changes.
        """
        if not self.remove_users(session, enterprise_id, team_id, [user_id]):
            return False
        is_theirs = UserInstallation.user_id == user_id
        self._release(session, is_within(UserInstallation, enterprise_id, team_id), is_theirs)
        return True

    def release_workspaces(
        self, session: Session, team_ids: Collection[str], *, kept: Collection[str] = ()
    ) -> None:
        """Delete people's installations of workspaces, and queue their tokens for revocation.

        Bots of earlier Slack apps are included.

        Args:
            kept: people whose installations of the current app stay; their profiles are to be
                recorded again.
        """
        is_there = is_any_of(UserInstallation.team_id, values=team_ids)
        is_kept = is_any_of(UserInstallation.user_id, values=kept)
        is_left = or_(~is_kept, self._is_earlier(UserInstallation))
        self._release(session, is_there, is_left)
        self._release_earlier_bots(session, is_any_of(BotInstallation.team_id, values=team_ids))
        self._record_again(session, is_there)

    def release_earlier_apps(
        self, session: Session, enterprise_id: str | None, team_id: str | None
    ) -> None:
        """Delete the installations of earlier Slack apps, and queue their tokens for revocation."""
        place = enterprise_id, team_id
        self._release(session, self._is_earlier(UserInstallation), is_at(UserInstallation, *place))
        self._release_earlier_bots(session, is_at(BotInstallation, *place))

    def release_earlier_members(
        self, session: Session, team_ids: Collection[str], user_ids: Collection[str]
    ) -> None:
        """Delete people's installations of workspaces that earlier Slack apps have left."""
        is_there = is_any_of(UserInstallation.team_id, values=team_ids)
        is_theirs = is_any_of(UserInstallation.user_id, values=user_ids)
        self._release(session, self._is_earlier(UserInstallation), is_there, is_theirs)

    def _is_in_organization(
        self, session: Session, enterprise_id: str | None, is_theirs: ColumnElement[bool]
    ) -> bool:
        if enterprise_id is None:
            return False
        found = select(UserInstallation.id).where(
            is_at(UserInstallation, enterprise_id, None), is_theirs
        )
        return session.scalar(found.limit(1)) is not None

    def _is_earlier(
        self, model: type[BotInstallation] | type[UserInstallation]
    ) -> ColumnElement[bool]:
        """Return the condition for rows of another Slack app, which the operator has replaced."""
        return model.client_id != self._rows.client_id

    def _release(self, session: Session, *conditions: ColumnElement[bool]) -> bool:
        """Delete installations and queue their tokens; locks them in the order of their ids.

        Returns: whether there were any.
        """
        places = (
            select(UserInstallation.enterprise_id, UserInstallation.team_id)
            .where(UserInstallation.client_id == self._rows.client_id, *conditions)
            .distinct()
        )
        for place in sorted(tuple(row) for row in session.execute(places)):
            self._rows.bump_revision(session, *place)
        self._queue_tokens(session, UserInstallation.user_token, *conditions)
        released = delete(UserInstallation).where(*conditions).returning(UserInstallation.id)
        return bool(session.scalars(released).all())

    def _record_again(self, session: Session, is_there: ColumnElement[bool]) -> None:
        session.execute(
            update(UserInstallation).where(is_there).values(profile_recorded_at=None),
            execution_options={"synchronize_session": False},
        )

    def _release_earlier_bots(self, session: Session, is_there: ColumnElement[bool]) -> None:
        conditions = self._is_earlier(BotInstallation), is_there
        self._queue_tokens(session, BotInstallation.bot_token, *conditions)
        session.execute(delete(BotInstallation).where(*conditions))

    def _queue_tokens(
        self,
        session: Session,
        token: InstrumentedAttribute[str] | InstrumentedAttribute[str | None],
        *conditions: ColumnElement[bool],
    ) -> None:
        # Copied as stored: a token that cannot be decrypted is revoked once its key is back. It may
        # have been refreshed since the installation was read.
        now = literal(self._clock(), TokenRevocation.created_at.type)
        tokens = select(token, now).where(*conditions, token.is_not(None))
        columns = [TokenRevocation.token, TokenRevocation.created_at]
        session.execute(insert(TokenRevocation).from_select(columns, tokens))
