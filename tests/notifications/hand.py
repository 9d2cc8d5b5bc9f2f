"""A worker that a test leads by the hand: no threads, and the time is the test's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import select

from bolt_app.db.models import Delivery, Lane
from bolt_app.delivery import create_rounds
from bolt_app.notifications.acceptance import Sender
from bolt_app.notifications.finding import Finding
from bolt_app.notifications.jobs import Done, Found, Job
from bolt_app.notifications.lanes import LaneKeeper
from bolt_app.notifications.outcomes import Outcome
from bolt_app.notifications.requests import NotificationRequest
from bolt_app.notifications.sending import Sending
from bolt_app.oauth.calls import InstallationCalls
from tests.people import ACME
from tests.running import Bellhop

PLENTY = 1000


class Hand:
    """One worker's work, step by step."""

    def __init__(
        self,
        bellhop: Bellhop,
        worker_id: str = "hand",
        *,
        calls: InstallationCalls | None = None,
    ) -> None:
        services, delays = bellhop.services, bellhop.settings.delays
        self.bellhop = bellhop
        self.worker_id = worker_id
        self.rounds = create_rounds(services)
        self._sending = Sending(
            calls or services.calls, services.channels, services.people, services.signer, delays
        )
        self._finding = Finding(services.calls, services.channels, services.people, delays)

    def begin(self, most: int = PLENTY) -> list[Job]:
        """Lease what is due, and begin it."""
        return self._round([], most)

    def carry_out(self, job: Job) -> Done:
        """Do a job, without writing down what came of it."""
        result: Outcome | Found
        if job.attempt is None:
            result = self._finding.find(job.lane)
        else:
            result = self._sending.make(job.attempt)
        return Done(job, result, self.bellhop.clock())

    def write(self, done: Iterable[Done]) -> None:
        """Write down what came of jobs."""
        self._round(list(done), 0)

    def deliver(self) -> int:
        """Do all that is due at this moment; return how many jobs that was."""
        count = 0
        while jobs := self.begin():
            self.write([self.carry_out(job) for job in jobs])
            count += len(jobs)
        return count

    def die(self) -> None:
        """Let another worker find out that this one is dead."""
        LaneKeeper(self.bellhop.services.database).take_back([self.worker_id], self.bellhop.clock())

    def _round(self, done: list[Done], most: int) -> list[Job]:
        made = self.rounds.run(self.worker_id, done, most=most, at_most_each=PLENTY, room={})
        return made.jobs


def accept(bellhop: Bellhop, to: str | list[str], text: str = "", **given: Any) -> str:
    """Accept a notification and return its id."""
    team_id = given.pop("team_id", ACME)
    request = NotificationRequest.model_validate({"to": to, "text": text, **given})
    answer = bellhop.services.acceptance.accept(Sender(team_id, "command"), [request])
    return answer.notifications[0].id


def deliveries(bellhop: Bellhop, notification_id: str) -> list[Delivery]:
    """Return a notification's deliveries, as they stand in the database."""
    statement = (
        select(Delivery).where(Delivery.notification_id == notification_id).order_by(Delivery.id)
    )
    with bellhop.services.database.reading() as session:
        return list(session.scalars(statement))


def states(bellhop: Bellhop, *notification_ids: str) -> list[str]:
    """Return the states of notifications' deliveries."""
    return [one.state for id_ in notification_ids for one in deliveries(bellhop, id_)]


def lane_of(bellhop: Bellhop, address: str) -> Lane:
    """Return the lane of an address."""
    with bellhop.services.database.reading() as session:
        return session.scalars(select(Lane).where(Lane.address == address)).one()


def texts(bellhop: Bellhop, channel_id: str) -> list[str]:
    """Return what stands in a channel, oldest first."""
    return [one.text for one in bellhop.slack.messages(channel_id)]
