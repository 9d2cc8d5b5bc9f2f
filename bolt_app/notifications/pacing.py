"""How fast Slack may be posted to (https://docs.slack.dev/apis/web-api/rate-limits).

Both limits are kept as one moment each, by which the messages so far would be through if they kept
the interval between them: a message may go while that moment is no further away than the burst.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Pace:
    """How fast channels and workspaces may be posted to.

    Attributes:
        channel_interval: one message into a channel each so often; Slack takes about one a second.
        channel_burst: how many a channel that was quiet takes at once.
        team_per_minute: how many a workspace takes; Slack takes some hundreds.
    """

    channel_interval: timedelta = timedelta(seconds=1)
    channel_burst: int = 1
    team_per_minute: int = 300

    @property
    def team_interval(self) -> timedelta:
        """The time between two messages into a workspace that is never quiet."""
        return timedelta(minutes=1) / self.team_per_minute

    @property
    def team_burst(self) -> int:
        """How many a workspace that was quiet takes at once."""
        return max(1, self.team_per_minute // 4)

    def channel_after(self, paced_until: datetime, now: datetime) -> tuple[datetime, datetime]:
        """Return a channel's moment after one message more, and when it takes the next one."""
        until = max(now, paced_until) + self.channel_interval
        return until, max(now, until - self.channel_interval * (self.channel_burst - 1))

    def team_room(self, paced_until: datetime, now: datetime) -> int:
        """Return how many messages a workspace takes now."""
        ahead = max(paced_until - now, timedelta(0))
        return max(0, self.team_burst - -(-ahead // self.team_interval))

    def team_after(
        self, paced_until: datetime, now: datetime, count: int
    ) -> tuple[datetime, datetime]:
        """Return a workspace's moment after so many messages, and when it takes the next one."""
        until = max(now, paced_until) + self.team_interval * count
        return until, until - self.team_interval * (self.team_burst - 1)
