"""Finds the channel or person that a name or an e-mail address stands for."""

from __future__ import annotations

from sqlalchemy import func, select

from bolt_app.db import Database
from bolt_app.db.models import Membership, User
from bolt_app.notifications.channels import Channels
from bolt_app.notifications.jobs import Found, LeasedLane
from bolt_app.notifications.outcomes import Outcome, dead_installation, outcome_of
from bolt_app.oauth.calls import BotPlace, InstallationCalls, NotInstalledError
from bolt_app.slack_api import SlackCallError


class Finding:
    """Asks Slack where lanes lead that have a name for an address."""

    def __init__(self, database: Database, calls: InstallationCalls, channels: Channels) -> None:
        self._database = database
        self._calls = calls
        self._channels = channels

    def find(self, lane: LeasedLane, attempts: int = 1) -> Found | Outcome:
        """Return where `lane` leads, or what keeps us from knowing; nothing is raised."""
        try:
            place = self._calls.find_place(lane.team_id)
            if lane.address.startswith("@"):
                return Found(self._find_person(place, lane.address.removeprefix("@")))
            channel_id = self._channels.find(place, lane.address)
        except NotInstalledError:
            return dead_installation("not_installed")
        except SlackCallError as error:
            return outcome_of(error, attempts)
        return Outcome("dead", "channel_not_found") if channel_id is None else Found(channel_id)

    def _find_person(self, place: BotPlace, email: str) -> str:
        """Return the person's id: from their linked profile, else from Slack.

        https://docs.slack.dev/reference/methods/users.lookupByEmail
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
