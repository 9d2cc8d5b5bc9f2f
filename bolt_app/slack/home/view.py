"""Publishing of one person's App Home."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from bolt_app.access.authorization import Action, Person
from bolt_app.blockkit.elements import Block, Reply
from bolt_app.blockkit.signed_values import home_of
from bolt_app.notifications.history.statistics import Health
from bolt_app.notifications.history.views import FailedNotification
from bolt_app.services import Services
from bolt_app.slack.credentials.blocks import credential_blocks
from bolt_app.slack.home.blocks import home_view
from bolt_app.slack.notifications.failed_blocks import MOST_FAILED, failed_blocks
from bolt_app.slack.profile.actions import ProfileActions
from bolt_app.slack_api import SlackCallError

logger = logging.getLogger(__name__)


def publish_home(
    owner: ProfileActions,
    notice: Reply | None = None,
    *,
    admin_notice: Reply | None = None,
    failed_notice: Reply | None = None,
    is_opened: bool = True,
) -> None:
    """Publish a person's App Home in its current state, and record that they opened it.

    https://docs.slack.dev/reference/methods/views.publish

    Args:
        notice: the result of the latest action.
        admin_notice: a notice for the section for admins.
        failed_notice: a notice for the failed deliveries.
        is_opened: whether the person has it open. Otherwise it is only refreshed, and not
            recorded as opened.

    Raises:
        NotInstalledError: the bot is not installed in the workspace.
        SlackCallError: Slack refused or did not answer.
    """
    services = owner.services
    workspace = services.client.find_workspace(owner.team_id)
    person = _person(owner)
    if person is not None and not person.may(Action.USE):
        services.home_tabs.forget(owner.team_id, owner.user_id)
        return
    if is_opened:
        services.home_tabs.opened(owner.team_id, owner.user_id)
    for_admin = person is not None and person.may(Action.ADMINISTER)
    profile = owner.show()
    health = _health(services, person)
    view = home_view(
        profile,
        services.preferences.find(owner.team_id, owner.user_id),
        services.subscriptions.of_address(owner.team_id, owner.user_id),
        health,
        services.clock(),
        public_url=services.settings.public_url,
        notice=notice,
        failed=_failed(owner, person, health, failed_notice),
        for_admin=_admin_blocks(services, owner.team_id, admin_notice) if for_admin else (),
        may_subscribe=person is None or person.may(Action.SUBSCRIBE_SELF),
        stand_in="" if services.settings.is_slack else services.settings.slack_base_url,
    )
    view["blocks"] = services.signer.sign_blocks(
        view["blocks"], owner.team_id, home_of(owner.user_id)
    )
    services.client.as_bot(workspace, "views.publish", user_id=owner.user_id, view=view)
    is_known = services.home_tabs.published(owner.team_id, owner.user_id, for_admin=for_admin)
    if is_opened and not is_known:
        # The person was deleted meanwhile, and this view may show their earlier data.
        owner = ProfileActions.find(services, owner.team_id, owner.user_id)
        publish_home(owner, is_opened=False)


def _person(owner: ProfileActions) -> Person | None:
    """Return the person with their role; None for a linked person if Slack does not report it.

    Raises:
        SlackCallError: Slack does not report it, and the person may be of another organization.
    """
    try:
        return owner.services.access.person(owner.team_id, owner.user_id)
    except SlackCallError as error:
        if not owner.is_linked():
            raise
        logger.info("a person's role is unknown", extra={"error": error.code})
        return None


def _health(services: Services, person: Person | None) -> Health | None:
    """Return the status that the person may see; None while Slack does not answer."""
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
    owner: ProfileActions,
    person: Person | None,
    health: Health | None,
    notice: Reply | None,
) -> list[Block]:
    """Return the failed deliveries that the person may see."""
    if person is None or health is None:
        return []
    # A guest's count leaves out their direct messages.
    may_have_failed = health.troubled > 0 or not person.may(Action.SEE_WORKSPACE)
    failed = _find_failed(owner, person) if may_have_failed else []
    may_retry, public_url = (
        person.may(Action.RETRY_FAILED),
        owner.services.settings.public_url,
    )
    return [*failed_blocks(failed, public_url, may_retry=may_retry, notice=notice)]


def _find_failed(owner: ProfileActions, person: Person) -> Sequence[FailedNotification]:
    try:
        return owner.services.visibility.failed(owner.viewer(), person, MOST_FAILED)
    except SlackCallError as error:
        logger.info("a person's channels are unknown", extra={"error": error.code})
        return []


def _admin_blocks(services: Services, team_id: str, notice: Reply | None) -> list[Block]:
    keys, webhooks = services.api_keys.of_team(team_id), services.webhooks.of_team(team_id)
    return credential_blocks(
        keys, webhooks, services.clock(), notice, public_url=services.settings.public_url
    )
