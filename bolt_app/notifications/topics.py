"""Topics: names to send to, and who gets what is sent to them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from bolt_app.clock import Clock, utc_now
from bolt_app.db import Database
from bolt_app.db.models import Subscription
from bolt_app.notifications.addresses import normal_address, normal_topic, topic_of


class TopicLoopError(ValueError):
    """A topic cannot be subscribed to a topic."""

    def __init__(self) -> None:
        super().__init__("A topic cannot be sent on to a topic: give a channel or a person.")


@dataclass(frozen=True)
class TopicSubscription:
    """Where a topic leads."""

    topic: str
    address: str


class Topics:
    """The topics of all workspaces. A topic is there as soon as it is named."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    def subscribe(self, team_id: str, topic: str, address: str) -> bool:
        """Let `address` get what is sent to `topic`; return whether it did not already.

        Raises:
            ValueError: `topic` is no topic's name, or `address` no address of a channel or person.
        """
        where = normal_address(address)
        if topic_of(where) is not None:
            raise TopicLoopError
        row = {
            "team_id": team_id,
            "topic": normal_topic(topic),
            "address": where,
            "created_at": self._clock(),
        }
        dialect = sqlite if self._database.is_sqlite else postgresql
        statement = dialect.insert(Subscription).values(row).on_conflict_do_nothing()
        with self._database.writing() as session:
            return session.execute(statement.returning(Subscription.id)).first() is not None

    def unsubscribe(self, team_id: str, topic: str, address: str) -> bool:
        """Let `address` get nothing more of `topic`; return whether it did until now.

        Raises:
            ValueError: `topic` is no topic's name, or `address` no address.
        """
        statement = (
            delete(Subscription)
            .where(
                Subscription.team_id == team_id,
                Subscription.topic == normal_topic(topic),
                Subscription.address == normal_address(address),
            )
            .returning(Subscription.id)
        )
        with self._database.writing() as session:
            return session.execute(statement).first() is not None

    def of_team(self, team_id: str) -> list[TopicSubscription]:
        """Return every subscription of a workspace, by topic."""
        statement = (
            select(Subscription.topic, Subscription.address)
            .where(Subscription.team_id == team_id)
            .order_by(Subscription.topic, Subscription.id)
        )
        with self._database.reading() as session:
            return [TopicSubscription(*row) for row in session.execute(statement)]
