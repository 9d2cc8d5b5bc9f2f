"""A worker that a test drives step by step, with the test's clock."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

from sqlalchemy import delete, func, insert, select, update

from bolt_app.db.models import SHARD_COUNT, Delivery, Lane, Shard
from bolt_app.notifications.content.schema import read_one
from bolt_app.notifications.content.states import DeliveryState, shown_state
from bolt_app.notifications.delivery.ownership import UNCHANGED, Changes, Ownership
from bolt_app.notifications.intake.sender import Sender
from bolt_app.notifications.queue.shards import OwnedShard
from bolt_app.worker import create_dispatcher
from tests.people import ACME
from tests.running import Bellhop

T = TypeVar("T")
# Real time, in which one step must be over.
STEP_SECONDS = 60
# Rounds after the last delivery, in which nothing more may be sent.
CALM_ROUNDS = 3
BUSY = (
    *(DeliveryState.WAITING, DeliveryState.SENDING),
    *(DeliveryState.SCHEDULED, DeliveryState.HELD),
)


class HeldOwnership(Ownership):
    """Ownership of all shards, until another owner takes them: the latest tokens count."""

    def __init__(self, bellhop: Bellhop) -> None:
        token = secrets.token_hex(16)
        self._owned = {number: OwnedShard(number, token) for number in range(SHARD_COUNT)}
        self._changes = Changes(gained=tuple(self._owned.values()))
        with bellhop.services.database.writing_connection() as connection:
            taken = connection.execute(update(Shard).values(token=token))
            if taken.rowcount < SHARD_COUNT:
                connection.execute(delete(Shard))
                rows = [{"number": number, "token": token} for number in self._owned]
                connection.execute(insert(Shard), rows)
        self.is_lost = False
        # Called right before each request that changes something.
        self.before_request: Callable[[], None] = lambda: None

    @property
    def owned(self) -> Mapping[int, OwnedShard]:
        return self._owned

    @property
    def next_at(self) -> float:
        return float("inf") if self._changes == UNCHANGED else float("-inf")

    async def step(self, now: float) -> Changes:
        changes, self._changes = self._changes, UNCHANGED
        return changes

    async def confirm(self, shard: OwnedShard) -> bool:
        if not self.is_lost:
            await asyncio.to_thread(self.before_request)
        return not self.is_lost

    async def leave(self) -> None:
        self.is_lost = True
        self._owned.clear()

    def unowned_seconds(self, now: float) -> float:
        return 0.0


class Hand:
    """One worker, which does all work that is due when it is told to."""

    def __init__(self, bellhop: Bellhop, **changed: Any) -> None:
        """Replace the owner before it.

        Args:
            changed: services other than the app's.
        """
        self.bellhop = bellhop
        self._began_at = bellhop.clock()
        self.ownership = HeldOwnership(bellhop)
        self.executor = ThreadPoolExecutor(4)
        self.dispatcher = create_dispatcher(
            replace(bellhop.services, **changed),
            self.ownership,
            self.executor,
            self._monotonic,
        )

    def _monotonic(self) -> float:
        seconds: float = (self.bellhop.clock() - self._began_at).total_seconds()
        return seconds

    def deliver(self) -> int:
        """Do all due work; return the number of requests that changed a message in Slack."""
        before = self._posts()
        self.run(self._settle())
        return self._posts() - before

    def run(self, doing: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the worker's loop."""
        return self.bellhop.services.http.run(doing, STEP_SECONDS)

    def die_before_request(self) -> None:
        """Let the worker die after it has begun an attempt, before the request."""
        self._die_instead_of("send", self.dispatcher._sender)

    def die_after_request(self) -> None:
        """Let the worker die after Slack's answer, before the outcome is written."""
        sender = self.dispatcher._sender
        self._die_instead_of("send", sender, after=sender.send)

    def _die_instead_of(
        self, name: str, owner: object, after: Callable[..., Awaitable[object]] | None = None
    ) -> None:
        async def die(*given: Any) -> None:
            if after is not None:
                await after(*given)
            self.ownership.is_lost = True
            raise asyncio.CancelledError

        setattr(owner, name, die)

    def _posts(self) -> int:
        counts = self.bellhop.slack.call_log.counts()
        return sum(
            counts.get(method, 0) for method in ("chat.postMessage", "chat.update", "chat.delete")
        )

    async def _settle(self) -> None:
        self.dispatcher.poll_now()
        while True:
            wait = await self.dispatcher.cycle()
            if self.ownership.is_lost:
                return
            if self.dispatcher.is_busy:
                await self.dispatcher.wait(1)
            elif wait > 0:
                return


def accept(bellhop: Bellhop, to: str | list[str], text: str = "", **given: Any) -> str:
    """Accept a notification and return its id."""
    team_id = given.pop("team_id", ACME)
    request = read_one({"to": to, "text": text, **given}, bellhop.clock())
    answer = bellhop.services.intake.submit(Sender(team_id, "command"), [request])
    return answer.notifications[0].id


def deliveries(bellhop: Bellhop, notification_id: str) -> list[Delivery]:
    """Return the rows of a notification's deliveries."""
    statement = (
        select(Delivery).where(Delivery.notification_id == notification_id).order_by(Delivery.id)
    )
    with bellhop.services.database.reading() as session:
        return list(session.scalars(statement))


def is_calm(bellhop: Bellhop) -> bool:
    """Whether no delivery is waiting, held or in progress."""
    busy = select(func.count()).where(Delivery.state.in_(BUSY))
    with bellhop.services.database.reading() as session:
        return session.scalar(busy) == 0


def states(bellhop: Bellhop, *notification_ids: str) -> list[str]:
    """Return the states of notifications' deliveries, as people see them."""
    return [shown_state(one.state) for id_ in notification_ids for one in deliveries(bellhop, id_)]


def lane_of(bellhop: Bellhop, address: str) -> Lane:
    """Return the lane of an address."""
    with bellhop.services.database.reading() as session:
        return session.scalars(select(Lane).where(Lane.address == address)).one()


def texts(bellhop: Bellhop, channel_id: str) -> list[str]:
    """Return the texts in a channel, oldest first."""
    return [one.text for one in bellhop.slack.messages(channel_id)]
