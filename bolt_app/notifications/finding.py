"""Finds the channel or person that a name or an e-mail address stands for."""

from __future__ import annotations

from bolt_app.delays import Delays
from bolt_app.notifications.channels import Channels
from bolt_app.notifications.jobs import Found, LeasedLane
from bolt_app.notifications.outcomes import Outcome, dead_installation, outcome_of
from bolt_app.notifications.people import People
from bolt_app.oauth.calls import InstallationCalls, NotInstalledError
from bolt_app.slack_api import SlackCallError


class Finding:
    """Asks Slack where lanes lead that have a name for an address."""

    def __init__(
        self, calls: InstallationCalls, channels: Channels, people: People, delays: Delays
    ) -> None:
        self._delays = delays
        self._calls = calls
        self._channels = channels
        self._people = people

    def find(self, lane: LeasedLane, attempts: int = 1) -> Found | Outcome:
        """Return where `lane` leads, or what keeps us from knowing; nothing is raised."""
        try:
            place = self._calls.find_place(lane.team_id)
            if lane.address.startswith("@"):
                return Found(self._people.find(place, lane.address.removeprefix("@")))
            channel_id = self._channels.find_for_sender(place, lane.address)
        except NotInstalledError:
            return dead_installation("not_installed", self._delays)
        except SlackCallError as error:
            return outcome_of(error, attempts, self._delays)
        return Outcome("dead", "channel_not_found") if channel_id is None else Found(channel_id)
