"""Which App Homes people have opened: those are kept up to date.

https://docs.slack.dev/surfaces/app-home
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import bindparam, delete, select, update

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database, PreparedSelect
from bolt_app.db.models import HomeTab
from bolt_app.db.upsert import upsert
from bolt_app.signals import ChangeSignal

# So much older than its last publication a record may be: a home is opened far more often than what
# is recorded of it changes, and a write costs more than all else that an opened home does.
RECORDED_AGAIN_AFTER = timedelta(days=1)
# Homes that one change of a workspace publishes: Slack takes some hundred a minute
# (https://docs.slack.dev/reference/methods/views.publish).
MOST_OF_WORKSPACE = 50
_RECORDED = PreparedSelect(
    select(HomeTab.for_admin, HomeTab.published_at).where(
        HomeTab.team_id == bindparam("team_id"), HomeTab.user_id == bindparam("user_id")
    )
)


class HomeTabs:
    """The App Homes of all workspaces."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    def opened(self, team_id: str, user_id: str) -> None:
        """Record that a person opens their home, before anything about them is read for it."""
        if self._recorded(team_id, user_id) is not None:
            return
        key = {"team_id": team_id, "user_id": user_id}
        new = {"for_admin": False, "published_at": self._clock()}
        with self._database.writing() as session:
            upsert(session, HomeTab, key=key, insert=new, update={})

    def published(self, team_id: str, user_id: str, *, for_admin: bool) -> bool:
        """Record what a person sees at home; `for_admin` what only admins see, too.

        Returns: whether the home is known. One that is not stays unknown: the person's data may
            have been deleted since it was opened.
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

    def of(self, concerned: ChangeSignal) -> list[str]:
        """Return the people who see at home what concerns those.

        Of everyone in a workspace at most `MOST_OF_WORKSPACE`: admins, then those who opened their
        home last.
        """
        mine = select(HomeTab.user_id).where(HomeTab.team_id == concerned.team_id)
        if concerned.is_everyone:
            latest = mine.order_by(
                HomeTab.for_admin.desc(), HomeTab.published_at.desc(), HomeTab.user_id
            )
            with self._database.reading() as session:
                return list(session.scalars(latest.limit(MOST_OF_WORKSPACE)))
        if concerned.user_id is None:
            mine = mine.where(HomeTab.for_admin)
        else:
            mine = mine.where(HomeTab.user_id == concerned.user_id)
        with self._database.reading() as session:
            return list(session.scalars(mine.order_by(HomeTab.user_id)))

    def forget(self, team_id: str, user_id: str) -> None:
        """Keep a home up to date no more: Slack does not show it."""
        mine = (HomeTab.team_id == team_id, HomeTab.user_id == user_id)
        with self._database.writing() as session:
            session.execute(delete(HomeTab).where(*mine))
