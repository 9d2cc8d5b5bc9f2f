"""A load of notifications for a hundred channels, and its result."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import func, select

from bolt_app.clock import utc_now
from bolt_app.db.models import Delivery, Notification
from bolt_app.delays import Delays
from bolt_app.notifications.content.schema import NotificationRequest
from bolt_app.notifications.content.states import DeliveryState
from bolt_app.notifications.intake.sender import Sender
from tests.people import ACME, ANN
from tests.running import Bellhop

CHANNELS = 100
MESSAGES_EACH = 5
# For tests in which more happens before everything is sent.
MANY_EACH = 10
LOOK_SECONDS = 0.1
MOST_SECONDS = 180
POST = "chat.postMessage"
# The time scale of the fault tests: waits for Slack and for retries are a fifth of production's,
# and second looks, which many tests wait for, a tenth. A worker that is only slow, on a busy
# machine, must not count as suspended.
DELAYS = replace(
    Delays().scaled(1 / 5),
    owner_poll=0.5,
    owner_answer=2.0,
    owner_silence=4.0,
    second_look=Delays().second_look / 10,
)
_SENT = select(func.count()).where(Delivery.state == DeliveryState.SENT)
_LAST_SECOND_LOOK = select(func.max(Delivery.second_look_at))


@dataclass(frozen=True)
class Result:
    """The problems of a load; it should always be `Result()`.

    Attributes:
        missing: notifications without a delivery.
        unsent: how many deliveries are in which state, except those that are sent.
        lost: messages that do not stand in their channel.
        extra: duplicate messages.
        disordered: channels whose messages are not in the order of acceptance.
        misplaced: deliveries that name another place than their message's.
    """

    missing: int = 0
    unsent: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    extra: int = 0
    disordered: int = 0
    misplaced: int = 0


class Load:
    """Installs Bellhop, creates the channels with the bot in each, and sends to them in turn.

    Attributes:
        numbers: the batches, each of one notification for every channel.
        total: the number of notifications.
    """

    def __init__(self, bellhop: Bellhop, *, messages_each: int = MESSAGES_EACH) -> None:
        """Prepare the load.

        Args:
            messages_each: how many notifications each channel gets.
        """
        self.total = CHANNELS * messages_each
        self._bellhop = bellhop
        self.numbers = range(messages_each)
        bellhop.slack.limits.enabled = False
        bellhop.install(ANN)
        [installation] = bellhop.slack.installations.values()
        members = [str(installation.bot_user_id)]
        self.channels = [
            bellhop.slack.add_channel(ACME, f"load-{number}", members=members).id
            for number in range(CHANNELS)
        ]

    def accept(self) -> None:
        """Accept everything, in batches of one message for every channel."""
        for number in self.numbers:
            self.accept_batch(number)

    def accept_batch(self, number: int) -> None:
        """Accept one message for every channel; a repetition changes nothing."""
        requests = [
            NotificationRequest.model_validate({"to": one, "text": _text(one, number)})
            for one in self.channels
        ]
        self._bellhop.services.intake.submit(
            Sender(ACME, "command"), requests, idempotency_key=str(number)
        )

    def states(self) -> dict[str, int]:
        """Return the number of deliveries by state."""
        counted = select(Delivery.state, func.count()).group_by(Delivery.state)
        with self._bellhop.services.database.reading() as session:
            return {state: number for state, number in session.execute(counted)}

    def sent(self) -> int:
        """Return the number of deliveries in the state `sent`."""
        with self._bellhop.services.database.reading_connection() as connection:
            return connection.scalar(_SENT) or 0

    def has_sent(self, number: int) -> bool:
        """Return whether so many deliveries are in the state `sent`.

        The database is asked only after as many requests: the workers under test need it too.
        """
        return posts(self._bellhop) >= number and self.sent() >= number

    def wait_until_sent(self, number: int | None = None, *, seconds: float = MOST_SECONDS) -> None:
        """Wait until a number of deliveries, or all of them, are in the state `sent`."""
        enough = self.total if number is None else number
        wait_until(lambda: self.has_sent(enough), seconds=seconds)

    def wait_until_settled(self) -> None:
        """Wait until everything is sent, and all second looks have ended."""
        self.wait_until_sent()
        ends = time.monotonic() + MOST_SECONDS
        while (due := self._last_second_look()) is not None:
            assert time.monotonic() < ends, "a second look did not end"
            time.sleep(max(LOOK_SECONDS, (due - utc_now()).total_seconds()))

    def _last_second_look(self) -> datetime | None:
        with self._bellhop.services.database.reading_connection() as connection:
            return connection.scalar(_LAST_SECOND_LOOK)

    def result(self) -> Result:
        """Return the result of the load."""
        lost = extra = disordered = 0
        places = set()
        for channel in self.channels:
            messages = self._bellhop.slack.messages(channel)
            expected = [_text(channel, number) for number in self.numbers]
            # The first message of each.
            seen = list(dict.fromkeys(one.text for one in messages))
            lost += len(set(expected) - set(seen))
            extra += len(messages) - len(seen)
            disordered += seen != [one for one in expected if one in seen]
            places |= {(channel, one.ts, one.text) for one in messages}
        misplaced = len(self._places() - places)
        states = self.states()
        missing = self.total - sum(states.values())
        unsent = {state: count for state, count in states.items() if state != DeliveryState.SENT}
        return Result(missing, unsent, lost, extra, disordered, misplaced)

    def _places(self) -> set[tuple[str | None, str | None, str]]:
        """Return the stored positions of deliveries."""
        sent = (
            select(Delivery.channel_id, Delivery.ts, Notification.content)
            .join(Notification)
            .where(Delivery.state == "sent")
        )
        with self._bellhop.services.database.reading() as session:
            return {(channel, ts, said["text"]) for channel, ts, said in session.execute(sent)}


def _text(channel: str, number: int) -> str:
    return f"{channel} {number}"


def posts(bellhop: Bellhop) -> int:
    """Return the number of requests to post a message."""
    return bellhop.slack.call_log.counts().get(POST, 0)


def wait_until(happened: Callable[[], bool], *, seconds: float = MOST_SECONDS) -> None:
    """Poll until it has happened."""
    ends = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(LOOK_SECONDS)
