"""What came of an attempt to deliver, and when to try again."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta

from bolt_app.delays import Delays
from bolt_app.slack_api import SlackCallError


@dataclass(frozen=True)
class Outcome:
    """What came of an attempt.

    Attributes:
        state: the delivery's state from now on; `sending` means that nobody knows as yet.
        error: Slack's code, where it was one that brought this about.
        wait: how long to leave the lane alone.
        team_wait: how long to leave the whole workspace alone.
        team_reason: Slack's code, where the installation is dead.
        posted: whether a message went into the channel, which takes its time.
        is_reply: whether it stands in a thread; None where that did not change. Slack posts a
            reply in the channel itself where the thread is gone.
    """

    state: str
    error: str | None = None
    channel_id: str | None = None
    ts: str | None = None
    wait: timedelta = timedelta(0)
    team_wait: timedelta | None = None
    team_reason: str | None = None
    posted: bool = False
    is_reply: bool | None = None

    @property
    def is_final(self) -> bool:
        """Whether nothing more is to be done."""
        return self.state not in ("waiting", "sending")


def sent(
    channel_id: str, ts: str, *, posted: bool = False, is_reply: bool | None = None
) -> Outcome:
    """Return the outcome of a message that stands in its channel."""
    return Outcome("sent", channel_id=channel_id, ts=ts, posted=posted, is_reply=is_reply)


def outcome_of(
    error: SlackCallError, attempts: int, delays: Delays, *, may_have_posted: bool = False
) -> Outcome:
    """Return what an error of Slack's means for a delivery.

    Args:
        attempts: how many were made, this one included.
        may_have_posted: whether the call could have posted the message if it took effect.
    """
    if error.is_dead_token:
        return dead_installation(error.code, delays)
    if error.retry_after is not None:
        wait = timedelta(seconds=error.retry_after)
        # Other methods have limits of their own, which say nothing of posting.
        team_wait = wait if error.method == "chat.postMessage" else None
        return Outcome("waiting", error.code, wait=wait, team_wait=team_wait)
    if may_have_posted and error.ambiguous:
        settling = timedelta(seconds=delays.settling)
        return Outcome("sending", error.code, wait=max(settling, backoff(attempts, delays)))
    if error.is_permanent:
        return Outcome("dead", error.code)
    return Outcome("waiting", error.code, wait=backoff(attempts, delays))


def dead_installation(code: str, delays: Delays) -> Outcome:
    """Return the outcome where nobody can post in a workspace until somebody installs again."""
    wait = timedelta(seconds=delays.dead_installation)
    return Outcome("waiting", code, team_wait=wait, team_reason=code)


def backoff(attempts: int, delays: Delays) -> timedelta:
    """Return how long to wait after so many attempts: twice as long each time, within a fifth."""
    doubled = delays.first_retry * 2.0 ** min(max(attempts, 1) - 1, 20)
    wait = min(delays.longest_retry, doubled)
    return timedelta(seconds=wait * random.uniform(0.8, 1.2))  # noqa: S311
