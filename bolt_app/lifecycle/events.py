"""Events from Slack: each takes effect once, in the transaction that stores its receipt.

They may arrive repeatedly and in any order.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from bolt_app.clock import Clock
from bolt_app.db import Database
from bolt_app.db.models import Team
from bolt_app.db.receipts import CLOCK_SKEW, is_latest, take_receipt

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class EventOrigin:
    """An event, and the installation that it concerns.

    Attributes:
        team_id: the workspace; None only if the event concerns a whole organization.
        is_enterprise_install: whether it concerns the organization's installation.
        at: the time of the event according to Slack.
        names_installation: whether Slack states the installation; otherwise the event may concern
            the one of the workspace's organization as well.
    """

    event_id: str
    enterprise_id: str | None
    team_id: str | None
    is_enterprise_install: bool
    at: datetime | None = None
    names_installation: bool = True

    @property
    def installed_team_id(self) -> str | None:
        """The installed workspace; None for an organization-wide installation."""
        return None if self.is_enterprise_install else self.team_id

    @property
    def latest(self) -> datetime | None:
        """The latest time of data that the event may concern; None if unknown."""
        return None if self.at is None else self.at + CLOCK_SKEW


class Events:
    """Transactions in which events take effect."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def is_of_earlier_install(self, origin: EventOrigin) -> bool:
        """Whether the workspace was uninstalled after an event, and installed again.

        An uninstall deletes the workspace's row, and the next install records another one.
        """
        recorded = select(Team.created_at).where(Team.team_id == origin.team_id)
        with self._database.reading() as session:
            recorded_at = session.scalar(recorded)
        if recorded_at is None or origin.latest is None:
            return False
        return recorded_at > origin.latest

    @contextmanager
    def once(self, origin: EventOrigin) -> Iterator[Session | None]:
        """Yield a session, or None if the event took effect before."""
        with self._database.writing() as session:
            if not take_receipt(session, origin.event_id, self._clock()):
                logger.info("an event was repeated", extra={"event_id": origin.event_id})
                yield None
                return
            yield session

    def follow(
        self, origin: EventOrigin, subject: str | None, change: Callable[[Session, str], T]
    ) -> T | None:
        """Apply an event's change to its workspace, once, unless the event is outdated.

        Args:
            subject: the fact that changes; None if it changes only once, such as the id of a
                deleted channel.

        Returns: the result of `change`; None if it was not called.
        """
        with self.once(origin) as session:
            if session is None or origin.team_id is None:
                return None
            now = self._clock()
            if subject and not is_latest(session, origin.team_id, subject, origin.at, now):
                logger.info("an event is outdated", extra={"event_id": origin.event_id})
                return None
            return change(session, origin.team_id)
