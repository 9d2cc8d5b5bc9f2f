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

    def quiet_until(self, team_id: str, method: str, after: timedelta) -> float:
        """Return the seconds until Slack's latest pause for `method` is over for a time.

        Args:
            after: the time that must have passed since the end of the pause.

        Returns: 0 or less if it has, or if Slack never asked for a pause.
        """
        now = self._clock()
        rows = self._database.fetch(_FREE_AT, {"team_id": team_id, "method": method})
        return max(((row.free_at + after - now).total_seconds() for row in rows), default=0.0)

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
