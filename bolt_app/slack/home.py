"""The App Home tab of one person: made, and shown."""

from __future__ import annotations

import logging

from bolt_app.blockkit.signed_values import home_of
from bolt_app.services import Services
from bolt_app.slack.blocks.elements import Answer, Block
from bolt_app.slack.blocks.home import home_view
from bolt_app.slack.blocks.keys_and_hooks import keys_and_hooks_blocks
from bolt_app.slack.own_profile import OwnProfile
from bolt_app.slack.roles import look_up_role
from bolt_app.slack_api import SlackCallError

logger = logging.getLogger(__name__)


def publish_home(
    own: OwnProfile,
    notice: Answer | None = None,
    *,
    admin_notice: Answer | None = None,
    is_opened: bool = True,
) -> None:
    """Show a person their App Home as it is now, and remember that they have opened it.

    https://docs.slack.dev/reference/methods/views.publish

    Args:
        notice: what was done just now.
        admin_notice: the same, where it is about what only admins see.
        is_opened: whether the person is there; else the home is only kept up to date, and nothing
            is remembered that was not before.

    Raises:
        NotInstalledError: there is no bot there.
        SlackCallError: Slack refused or did not answer.
    """
    services = own.services
    place = services.calls.find_place(own.team_id)
    try:
        # Only what went to public channels is for everybody to see.
        services.channels.search(place, limit=1)
    except SlackCallError as error:
        logger.info("the channels are not listed anew", extra={"error": error.code})
    profile, for_admin = own.show(), is_shown_to(own)
    view = home_view(
        profile,
        services.preferences.find(own.team_id, own.user_id),
        services.subscriptions.of_address(own.team_id, own.user_id),
        services.health.of_team(own.team_id),
        services.clock(),
        public_url=services.settings.public_url,
        notice=notice,
        for_admin=_admin_blocks(services, own.team_id, admin_notice) if for_admin else (),
        stand_in="" if services.settings.is_slack else services.settings.slack_base_url,
    )
    view["blocks"] = services.signer.sign_blocks(view["blocks"], own.team_id, home_of(own.user_id))
    services.calls.as_bot(place, "views.publish", user_id=own.user_id, view=view)
    services.home_tabs.published(own.team_id, own.user_id, for_admin=for_admin, is_opened=is_opened)


def is_shown_to(own: OwnProfile) -> bool:
    """Whether to show a person what only admins see: as recorded with their profile, or asked.

    What is done with it is decided by what Slack says at that moment.
    """
    profile = own.services.profiles.find(own.team_id, own.user_id, own.enterprise_id)
    for workspace in profile.workspaces if profile else ():
        if workspace.team_id == own.team_id:
            return workspace.is_admin or workspace.is_owner
    try:
        return look_up_role(own.services, own.team_id, own.user_id).is_admin
    except SlackCallError as error:
        logger.info("nobody says whether this is an admin", extra={"error": error.code})
        return False


def _admin_blocks(services: Services, team_id: str, notice: Answer | None) -> list[Block]:
    keys, hooks = services.api_keys.of_team(team_id), services.hooks.of_team(team_id)
    return keys_and_hooks_blocks(keys, hooks, services.clock(), notice)
