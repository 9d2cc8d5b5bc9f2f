"""Rate limits: Slack's `Retry-After`, respected by every process.

https://docs.slack.dev/apis/web-api/rate-limits: a limit applies to one method and workspace.
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

# The delivery engine paces these methods, and stores a pause in `workspace_queues`.
PACED_BY_LANES = frozenset({"chat.postMessage"})
_FREE_AT = PreparedSelect(
    select(RateLimit.free_at).where(
        RateLimit.team_id == bindparam("team_id"), RateLimit.method == bindparam("method")
    )
)


class RateLimits:
    """Stores the end of Slack's pause for a method in a workspace."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    def check(self, team_id: str, method: str) -> None:
        """Require that `method` may be called.

        Raises:
            SlackCallError: Slack's pause is not over; `retry_after` has the rest.
        """
        if method in PACED_BY_LANES:
            return
        now = self._clock()
        for limit in self._database.fetch(_FREE_AT, {"team_id": team_id, "method": method}):
            if limit.free_at <= now:
                return
            wait = math.ceil((limit.free_at - now).total_seconds())
            raise SlackCallError(method, "ratelimited", retry_after=wait)

    def record(self, team_id: str, error: SlackCallError) -> None:
        """Store the pause that Slack asked for in an error, if any."""
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
