"""Slack's `Retry-After`, obeyed by every process until it is over.

https://docs.slack.dev/apis/web-api/rate-limits: a limit holds for one method and one workspace.
"""

from __future__ import annotations

import math
from datetime import timedelta

from sqlalchemy import bindparam, select

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database, PreparedSelect
from bolt_app.db.models import RateLimit
from bolt_app.db.upsert import upsert
from bolt_app.slack_api import SlackCallError

# What a whole workspace waits for is written in `team_paces`, which is read before a lane is run.
PACED_BY_LANES = frozenset({"chat.postMessage"})
_FREE_AT = PreparedSelect(
    select(RateLimit.free_at).where(
        RateLimit.team_id == bindparam("team_id"), RateLimit.method == bindparam("method")
    )
)


class RateLimits:
    """Remembers until when Slack wants no call of a method from a workspace."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    def check(self, team_id: str, method: str) -> None:
        """Make sure that `method` may be called.

        Raises:
            SlackCallError: Slack asked for a pause that is not over, in `retry_after`.
        """
        if method in PACED_BY_LANES:
            return
        now = self._clock()
        for limit in self._database.fetch(_FREE_AT, {"team_id": team_id, "method": method}):
            if limit.free_at <= now:
                return
            wait = math.ceil((limit.free_at - now).total_seconds())
            raise SlackCallError(method, "ratelimited", retry_after=wait)

    def obey(self, team_id: str, error: SlackCallError) -> None:
        """Write down what a refused call was told, where it was told to wait."""
        if error.retry_after is None or error.method in PACED_BY_LANES:
            return
        free_at = self._clock() + timedelta(seconds=error.retry_after)
        with self._database.writing() as session:
            upsert(
                session,
                RateLimit,
                key={"team_id": team_id, "method": error.method},
                insert={},
                update={"free_at": free_at},
                unless=RateLimit.free_at > free_at,
            )
