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
        in_flight: how long after its start a request may still take effect that its sender has
            not heard of: it is looked for later.
        second_look: after a message was posted again, until duplicates are looked for.
        listing: between two listings of a workspace's channels for names that are not known.
        poll: until deliveries are found of which no wake-up came.
        unowned_alarm: after so long without an owner of some shard a worker reports unready.
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
    in_flight: float = 12.0
    second_look: float = 60.0
    listing: float = 60.0
    poll: float = 1.0
    unowned_alarm: float = 30.0

    def scaled(self, factor: float) -> Delays:
        """Return the same waits, each `factor` times as long."""
        return Delays(**{one.name: getattr(self, one.name) * factor for one in fields(self)})
