"""The limit of calls of `users.info` that senders cause.

People's roles come from the same method: if senders used up Slack's limit, everyone would be
denied. Slack allows 100 a minute (https://docs.slack.dev/reference/methods/users.info).
"""

from __future__ import annotations

from datetime import timedelta

from bolt_app.clock import Clock, utc_now
from bolt_app.sliding_limit import SlidingLimit
from bolt_app.workspaces.users import LookupLimitError

INFO = "users.info"
CALLS_PER_MINUTE = 60


class PersonLookups:
    """Limits these calls for each workspace, in each process."""

    def __init__(self, *, clock: Clock = utc_now) -> None:
        self._calls = SlidingLimit(CALLS_PER_MINUTE, timedelta(minutes=1), clock=clock)

    def take(self, team_id: str) -> None:
        """Count a call.

        Raises:
            LookupLimitError: the limit is reached.
        """
        wait = self._calls.take(team_id)
        if wait > 0:
            raise LookupLimitError(INFO, wait)
