"""App Homes that people have opened, and that Bellhop keeps up to date.

https://docs.slack.dev/surfaces/app-home
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import bindparam, delete, select, update

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database, PreparedSelect
from bolt_app.db.models import HomeTab
from bolt_app.db.receipts import KeepInstalled
from bolt_app.db.upsert import upsert
from bolt_app.signals import ChangeSignal

# How old the recorded publication may be: a home is opened far more often than its record changes,
# and the write would cost more than the rest of opening it.
RECORDED_AGAIN_AFTER = timedelta(days=1)
# Homes published for one change of a workspace: Slack allows about a hundred per minute
# (https://docs.slack.dev/reference/methods/views.publish).
MOST_OF_WORKSPACE = 50
_RECORDED = PreparedSelect(
    select(HomeTab.for_admin, HomeTab.published_at).where(
        HomeTab.team_id == bindparam("team_id"), HomeTab.user_id == bindparam("user_id")
    )
)


class HomeTabs:
    """The App Homes of all workspaces."""

    def __init__(
        self, database: Database, keep_installed: KeepInstalled, *, clock: Clock = utc_now
    ) -> None:
        self._database = database
        self._keep_installed = keep_installed
        self._clock = clock

    def opened(self, team_id: str, user_id: str) -> None:
        """Record that a person opens their home, before its data is read.

        Raises:
            NotInstalledError: Bellhop is not installed in the workspace, or no longer.
        """
        if self._recorded(team_id, user_id) is not None:
            return
        key = {"team_id": team_id, "user_id": user_id}
        new = {"for_admin": False, "published_at": self._clock()}
        with self._database.writing() as session:
            self._keep_installed(session.connection(), team_id)
            upsert(session, HomeTab, key=key, insert=new, update={})

    def published(self, team_id: str, user_id: str, *, for_admin: bool) -> bool:
        """Record a published home; `for_admin` if it includes data that only admins see.

        Returns: whether the home is known. An unknown one stays unknown, because the person's data
            may have been deleted since it was opened.
        """
        now, recorded = self._clock(), self._recorded(team_id, user_id)
        if recorded is None:
            return False
        if recorded.for_admin == for_admin and now - recorded.published_at < RECORDED_AGAIN_AFTER:
            return True
        known = update(HomeTab).where(HomeTab.team_id == team_id, HomeTab.user_id == user_id)
        values = {"for_admin": for_admin, "published_at": now}
        with self._database.writing() as session:
            result = session.execute(known.values(**values).returning(HomeTab.user_id))
            return result.first() is not None

    def _recorded(self, team_id: str, user_id: str) -> Any:
        """Return the row of a person's home, or None."""
        rows = self._database.fetch(_RECORDED, {"team_id": team_id, "user_id": user_id})
        return rows[0] if rows else None

    def of(self, change: ChangeSignal) -> list[str]:
        """Return the people whose homes show a change.

        For a change of the whole workspace at most `MOST_OF_WORKSPACE`: admins, then the people
        who opened their home last.
        """
        homes = select(HomeTab.user_id).where(HomeTab.team_id == change.team_id)
        if change.is_everyone:
            latest = homes.order_by(
                HomeTab.for_admin.desc(), HomeTab.published_at.desc(), HomeTab.user_id
            )
            with self._database.reading() as session:
                return list(session.scalars(latest.limit(MOST_OF_WORKSPACE)))
        if change.user_id is None:
            homes = homes.where(HomeTab.for_admin)
        else:
            homes = homes.where(HomeTab.user_id == change.user_id)
        with self._database.reading() as session:
            return list(session.scalars(homes.order_by(HomeTab.user_id)))

    def forget(self, team_id: str, user_id: str) -> None:
        """Stop updating a home that Slack no longer shows."""
        is_home = (HomeTab.team_id == team_id, HomeTab.user_id == user_id)
        with self._database.writing() as session:
            deleted = session.scalars(delete(HomeTab).where(*is_home).returning(HomeTab.user_id))
            was_known = deleted.first() is not None
        if was_known:
            self._database.forget_deleted()
