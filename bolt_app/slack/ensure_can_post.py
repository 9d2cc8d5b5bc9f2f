"""The check that the bot can post to the destination a person chose."""

from __future__ import annotations

from bolt_app.services import Services
from bolt_app.slack.errors import NotInvitedError
from bolt_app.slack_api import SlackCallError
from bolt_app.slack_ids import is_person


def ensure_can_post(services: Services, team_id: str, address: str) -> bool:
    """Check that the bot can post to a channel or person, as far as Slack reports it.

    Returns: whether people of other organizations may read there.

    Raises:
        NotInvitedError: the bot is not in the private channel.
        SlackCallError: the channel is archived.
    """
    if is_person(address):
        return False
    try:
        return services.channels.ensure_can_post(services.client.find_workspace(team_id), address)
    except SlackCallError as error:
        if error.code == "channel_not_found":
            raise NotInvitedError from None
        raise
