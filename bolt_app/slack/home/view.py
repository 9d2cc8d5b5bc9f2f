"""The App Home tab of one person: made, and shown."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from bolt_app.access.authorization import Action, Person
from bolt_app.blockkit.elements import Answer, Block
from bolt_app.blockkit.signed_values import home_of
from bolt_app.notifications.history.statistics import Health
from bolt_app.notifications.history.visibility import FailedNotification
from bolt_app.services import Services
from bolt_app.slack.credentials.blocks import credential_blocks
from bolt_app.slack.home.blocks import home_view
from bolt_app.slack.home.failed_deliveries import MOST_FAILED, failed_blocks
from bolt_app.slack.profile.actions import ProfileActions
from bolt_app.slack_api import SlackCallError

logger = logging.getLogger(__name__)


def publish_home(
    own: ProfileActions,
    notice: Answer | None = None,
    *,
    admin_notice: Answer | None = None,
    failed_notice: Answer | None = None,
    is_opened: bool = True,
) -> None:
    """Show a person their App Home as it is now, and remember that they have opened it.

    https://docs.slack.dev/reference/methods/views.publish

    Args:
        notice: what was done just now.
        admin_notice: the same, where it is about what only admins see.
        failed_notice: the same, where it is about failed deliveries.
        is_opened: whether the person is there; else the home is only kept up to date, and nothing
            is remembered that was not before.

    Raises:
        NotInstalledError: there is no bot there.
        SlackCallError: Slack refused or did not answer.
    """
    services = own.services
    workspace = services.client.find_workspace(own.team_id)
    person = _person(own)
    if person is not None and not person.may(Action.USE):
        services.home_tabs.forget(own.team_id, own.user_id)
        return
    if is_opened:
        services.home_tabs.opened(own.team_id, own.user_id)
    for_admin = person is not None and person.may(Action.ADMINISTER)
    profile = own.show()
    health = _health(services, person)
    view = home_view(
        profile,
        services.preferences.find(own.team_id, own.user_id),
        services.subscriptions.of_address(own.team_id, own.user_id),
        health,
        services.clock(),
        public_url=services.settings.public_url,
        notice=notice,
        failed=_failed(own, person, health, failed_notice),
        for_admin=_admin_blocks(services, own.team_id, admin_notice) if for_admin else (),
        may_subscribe=person is None or person.may(Action.SUBSCRIBE_SELF),
        stand_in="" if services.settings.is_slack else services.settings.slack_base_url,
    )
    view["blocks"] = services.signer.sign_blocks(view["blocks"], own.team_id, home_of(own.user_id))
    services.client.as_bot(workspace, "views.publish", user_id=own.user_id, view=view)
    is_known = services.home_tabs.published(own.team_id, own.user_id, for_admin=for_admin)
    if is_opened and not is_known:
        # The person was forgotten meanwhile, and this view may show them as they were.
        own = ProfileActions.find(services, own.team_id, own.user_id)
        publish_home(own, is_opened=False)


def _person(own: ProfileActions) -> Person | None:
    """Return the person with their role; None where Slack does not say what they are."""
    try:
        return own.services.access.person(own.team_id, own.user_id)
    except SlackCallError as error:
        logger.info("a person's role is unknown", extra={"error": error.code})
        return None


def _health(services: Services, person: Person | None) -> Health | None:
    """Return the workspace's status, as the person may see it; None while Slack does not answer."""
    if person is None:
        return None
    try:
        if not person.may(Action.SEE_WORKSPACE):
            return services.statistics.of_team(person.team_id, channels=person.memberships().keys())
        # Notifications to public channels are shown, so the public ones must be known.
        services.channels.names_of_public(person.team_id, ())
        return services.statistics.of_team(person.team_id)
    except SlackCallError as error:
        logger.info("a person's channels are unknown", extra={"error": error.code})
        return None


def _failed(
    own: ProfileActions, person: Person | None, health: Health | None, notice: Answer | None
) -> list[Block]:
    """Return the failed deliveries that the person may see."""
    if person is None or health is None:
        return []
    # The count for a guest leaves out their direct messages.
    may_have_failed = health.troubled > 0 or not person.may(Action.SEE_WORKSPACE)
    failed = _find_failed(own, person) if may_have_failed else []
    may_retry, public_url = person.may(Action.RETRY_FAILED), own.services.settings.public_url
    return [*failed_blocks(failed, public_url, may_retry=may_retry, notice=notice)]


def _find_failed(own: ProfileActions, person: Person) -> Sequence[FailedNotification]:
    try:
        return own.services.visibility.failed(own.viewer(), person, MOST_FAILED)
    except SlackCallError as error:
        logger.info("a person's channels are unknown", extra={"error": error.code})
        return []


def _admin_blocks(services: Services, team_id: str, notice: Answer | None) -> list[Block]:
    keys, hooks = services.api_keys.of_team(team_id), services.webhooks.of_team(team_id)
    return credential_blocks(keys, hooks, services.clock(), notice)
