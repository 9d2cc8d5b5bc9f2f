"""Timeouts and intervals: for Slack, for workers and between retries."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, kw_only=True)
class Delays:
    """Delays in seconds. They are not settings: fault tests run them on a compressed time scale.

    Attributes:
        slack_timeout: for the response of a Web API method.
        acknowledgement: until a request from Slack is acknowledged while it is still running. Slack
            gives up after three seconds, which include the network.
        settling: how long a request that was interrupted may still take effect.
        first_retry: after the first failed attempt; each later wait is twice as long.
        longest_retry: the longest of these delays.
        dead_installation: until a delivery is retried on an installation without a valid token.
        owner_poll: between two checks of the shards and their owners by a worker.
        owner_answer: for the database to confirm ownership; without an answer it is lost.
        owner_silence: without a heartbeat, until the database ends an ownership.
        shard_free: without an owner, until a worker takes a shard beyond its share.
        shard_release: between two shards that a worker releases to others with fewer.
        in_flight: after the start of a request without a known result, how long it may still take
            effect; Bellhop looks for its message later.
        second_look: after a message was posted again, until Bellhop looks for duplicates.
        listing: between two listings of a workspace's channels to resolve unknown names.
        message_result: for which a call of the Slack-compatible Web API waits for Slack's `ts`.
        poll: until deliveries without a wakeup are found.
        unowned_alarm: without an owner of some shard, until a worker reports that it is not ready.
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
    message_result: float = 1.0
    poll: float = 1.0
    unowned_alarm: float = 30.0

    def scaled(self, factor: float) -> Delays:
        """Return the same delays, each multiplied by `factor`."""
        return Delays(**{item.name: getattr(self, item.name) * factor for item in fields(self)})
