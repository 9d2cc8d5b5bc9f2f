"""How long Bellhop waits for Slack, for its own workers and before it tries again."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, kw_only=True)
class Delays:
    """Waits in seconds. They are no settings: fault tests run them on a compressed time scale.

    Attributes:
        slack_timeout: for the response of a Web API method.
        acknowledgement: until a request from Slack is acknowledged although it is unfinished.
            Slack gives up after three seconds, and the network takes part of them.
        settling: how long a request that was cut off may still take effect.
        first_retry: after the first failed attempt; each later wait is twice as long.
        longest_retry: the longest of these waits.
        dead_installation: until an installation that is dead is tried again.
        owner_poll: between two looks of a worker at the shards and their owners.
        owner_answer: for the database to confirm an ownership; without an answer it is lost.
        owner_silence: after so long without a sign of life the database ends an ownership.
        shard_free: after so long without an owner a worker takes a shard beyond its share.
        shard_release: between two shards that a worker releases to others with fewer.
        dead_worker: after so long without a heartbeat a worker's lanes are taken over.
    """

    slack_timeout: float = 10.0
    acknowledgement: float = 2.5
    settling: float = 5.0
    first_retry: float = 2.0
    longest_retry: float = 600.0
    dead_installation: float = 300.0
    owner_poll: float = 0.5
    owner_answer: float = 2.0
    owner_silence: float = 20.0
    shard_free: float = 1.0
    shard_release: float = 1.0
    dead_worker: float = 20.0

    def scaled(self, factor: float) -> Delays:
        """Return the same waits, each `factor` times as long."""
        return Delays(**{one.name: getattr(self, one.name) * factor for one in fields(self)})
