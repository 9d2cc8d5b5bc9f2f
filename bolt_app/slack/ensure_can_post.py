"""Whether the bot can post where somebody wants something to come."""

from __future__ import annotations

from bolt_app.services import Services
from bolt_app.slack_api import SlackCallError
from bolt_app.slack_ids import is_person


class NotInvitedError(Exception):
    """The bot is not in the private channel."""

    def __init__(self) -> None:
        super().__init__("Bellhop is not in this channel: type `/invite @Bellhop` there first.")


def ensure_can_post(services: Services, team_id: str, address: str) -> bool:
    """Make sure that the bot can post to a channel or person, as far as it may know.

    Returns: whether people of other organisations may read there.

    Raises:
        NotInvitedError: it cannot post there.
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
