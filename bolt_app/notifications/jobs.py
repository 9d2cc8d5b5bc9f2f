"""What a worker does for a lane: send its next message, or find where its address leads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bolt_app.notifications.outcomes import Outcome
from bolt_app.notifications.shown_incidents import ShownIncident


@dataclass(frozen=True)
class LeasedLane:
    """A lane that one worker alone may run, as it was when it was leased."""

    id: int
    team_id: str
    address: str
    worker_id: str
    paced_until: datetime
    failing_since: datetime | None = None


@dataclass(frozen=True)
class Attempt:
    """A message that is to be in a channel.

    Attributes:
        mark: what the message carries as metadata, by which it is found again.
        number: how many attempts were made, this one included.
        tried_at: when the first attempt began, where it may have posted already; else None.
        update_ts: the message to change.
        thread_ts: the message to reply to.
        notification_id: of what it says.
        incident: what people answered, where it asks them to.
        is_refresh: whether it only shows anew what stands there.
        address: of the lane, for which the values of the message's buttons are signed.
    """

    delivery_id: int
    team_id: str
    channel_id: str
    content: Mapping[str, Any]
    mark: str
    number: int
    on_unknown: str
    send_at: datetime
    tried_at: datetime | None = None
    update_ts: str | None = None
    thread_ts: str | None = None
    notification_id: str = ""
    incident: ShownIncident | None = None
    is_refresh: bool = False
    address: str = ""


@dataclass(frozen=True)
class Job:
    """What comes next in a lane; without an attempt, to find where its address leads."""

    lane: LeasedLane
    attempt: Attempt | None = None


def untouched(attempt: Attempt | None) -> Outcome:
    """Return the outcome of an attempt that was begun, and then not made."""
    return Outcome("waiting" if attempt is None or attempt.tried_at is None else "sending")


@dataclass(frozen=True)
class Found:
    """Where the address of a lane leads: a channel's or person's id."""

    address: str


@dataclass(frozen=True)
class Done:
    """A job, what came of it, and when."""

    job: Job
    result: Outcome | Found
    at: datetime

    @property
    def outcome(self) -> Outcome:
        """What came of it, where it was not to find something that was found."""
        return self.result if isinstance(self.result, Outcome) else Outcome("found")
