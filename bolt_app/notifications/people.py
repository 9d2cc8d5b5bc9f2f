"""Finds the people that e-mail addresses stand for."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from sqlalchemy import func, select

from bolt_app.db import Database
from bolt_app.db.models import Membership, User
from bolt_app.notifications.addresses import is_person
from bolt_app.oauth.calls import BotPlace, InstallationCalls
from bolt_app.slack_api import SlackCallError

logger = logging.getLogger(__name__)


class People:
    """Knows people by their linked profiles, and asks Slack for the others."""

    def __init__(self, database: Database, calls: InstallationCalls) -> None:
        self._database = database
        self._calls = calls

    def find(self, place: BotPlace, email: str) -> str:
        """Return a person's id: from their linked profile, else from Slack.

        https://docs.slack.dev/reference/methods/users.lookupByEmail

        Raises:
            SlackCallError: nobody has that address, or Slack does not say.
        """
        linked = (
            select(User.user_id)
            .join(Membership, Membership.user_id == User.id)
            .where(
                Membership.team_id == place.team_id,
                func.lower(User.email) == email,
                ~User.is_deleted,
            )
            .limit(1)
        )
        with self._database.reading() as session:
            user_id = session.scalar(linked)
        if user_id is not None:
            return user_id
        answer = self._calls.as_bot(
            place, "users.lookupByEmail", email=email, team_id=place.team_id
        )
        return str(answer["user"]["id"])

    def find_all(self, place: BotPlace, addresses: Iterable[str]) -> list[str]:
        """Return the ids of those people who can be found, each once.

        Args:
            addresses: ids, or e-mail addresses with an `@` in front.

        Raises:
            SlackCallError: Slack does not say now, but may later.
        """
        found = dict.fromkeys(self._find_or_skip(place, one) for one in addresses)
        return [one for one in found if one is not None]

    def _find_or_skip(self, place: BotPlace, address: str) -> str | None:
        if is_person(address):
            return address
        try:
            return self.find(place, address.removeprefix("@"))
        except SlackCallError as error:
            if error.is_dead_token or not error.is_permanent:
                raise
            logger.warning("somebody is not mentioned", extra={"error": error.code})
            return None
