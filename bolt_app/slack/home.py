"""The App Home tab of one person: made, and shown."""

from __future__ import annotations

import logging

from slack_bolt import BoltContext

from bolt_app.services import Services
from bolt_app.slack.blocks.elements import Answer
from bolt_app.slack.blocks.home import home_view
from bolt_app.slack.own_profile import OwnProfile
from bolt_app.slack_api import SlackCallError

logger = logging.getLogger(__name__)


def publish_home(services: Services, context: BoltContext, notice: Answer | None = None) -> None:
    """Show the person of a request their App Home as it is now.

    https://docs.slack.dev/reference/methods/views.publish

    Args:
        notice: what was done just now.

    Raises:
        NotInstalledError: there is no bot there.
        SlackCallError: Slack refused or did not answer.
    """
    own = OwnProfile.of(services, context)
    place = services.calls.find_place(own.team_id)
    try:
        # Only what went to public channels is for everybody to see.
        services.channels.search(place, limit=1)
    except SlackCallError as error:
        logger.info("the channels are not listed anew", extra={"error": error.code})
    view = home_view(
        own.show(),
        services.subscriptions.of_address(own.team_id, own.user_id),
        services.health.of_team(own.team_id),
        services.clock(),
        notice=notice,
    )
    services.calls.as_bot(place, "views.publish", user_id=own.user_id, view=view)
