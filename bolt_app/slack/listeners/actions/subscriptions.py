"""The Undo button of changed subscriptions, and the menus in their list."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from slack_bolt import Ack, App, BoltContext, Respond

from bolt_app.blockkit.elements import Block
from bolt_app.notifications.subscriptions.schedules import Schedule
from bolt_app.services import Services
from bolt_app.slack import ids
from bolt_app.slack.home.refresh import suppress_home_refresh
from bolt_app.slack.home.view import publish_home
from bolt_app.slack.profile.actions import ProfileActions
from bolt_app.slack.signed_actions import (
    is_ephemeral,
    is_home_click,
    signed_blocks,
    signed_fields,
    signed_text,
)
from bolt_app.slack.subscriptions.actions import SubscriptionActions, SubscriptionResult, attempt
from bolt_app.slack.subscriptions.blocks import (
    DAILY_AT,
    Choice,
    read_choice,
    read_undo_fields,
)
from bolt_app.slack_api import SlackCallError
from bolt_app.slack_ids import is_person

logger = logging.getLogger(__name__)


def register_subscription_actions(app: App, services: Services) -> None:
    """Register the button and the menus."""

    @app.action(ids.UNDO_SUBSCRIPTIONS)
    def undo(
        ack: Ack,
        respond: Respond,
        body: dict[str, Any],
        context: BoltContext,
    ) -> None:
        ack()
        changes = read_undo_fields(signed_fields(context))
        subscriptions = SubscriptionActions.of(services, context)
        show(respond, body, context, subscriptions, lambda: subscriptions.undo(changes))

    @app.action(ids.CHANGE_SUBSCRIPTION)
    def change(
        ack: Ack,
        respond: Respond,
        body: dict[str, Any],
        action: dict[str, Any],
        context: BoltContext,
    ) -> None:
        ack()
        choice = read_choice((action.get("selected_option") or {}).get("value"))
        topic = signed_text(context, "topic")
        subscriptions = SubscriptionActions.of(services, context)
        do = partial(_change, subscriptions, choice, topic)
        show(respond, body, context, subscriptions, do)

    def show(
        respond: Respond,
        body: dict[str, Any],
        context: BoltContext,
        subscriptions: SubscriptionActions,
        do: Callable[[], SubscriptionResult],
    ) -> None:
        """Run the action and show its result in the App Home or in place of the message."""
        if not is_home_click(body):
            result = attempt(do)
            if result.is_change and is_ephemeral(body) and not is_person(subscriptions.address):
                _announce(respond, subscriptions, result)
                return
            blocks = signed_blocks(
                services, context, body, result.reply.blocks, is_beside=not result.is_change
            )
            _respond(respond, result, blocks)
            return
        requester = ProfileActions.of(services, context)
        with suppress_home_refresh(requester):
            result = attempt(do)
        publish_home(requester, result.reply)


def _change(subscriptions: SubscriptionActions, choice: Choice, topic: str) -> SubscriptionResult:
    match choice:
        case Choice.MUTE_HOUR:
            return subscriptions.mute(timedelta(hours=1), topic)
        case Choice.MUTE_DAY:
            return subscriptions.mute(timedelta(days=1), topic)
        case Choice.UNMUTE:
            return subscriptions.mute(None, topic)
        case Choice.DIGEST_HOURLY:
            return subscriptions.digest(Schedule(), topic)
        case Choice.DIGEST_DAILY:
            return subscriptions.digest(Schedule(DAILY_AT), topic)
        case Choice.DIGEST_OFF:
            return subscriptions.digest(None, topic)
        case Choice.UNSUBSCRIBE:
            return subscriptions.unsubscribe(topic)


def _announce(
    respond: Respond, subscriptions: SubscriptionActions, result: SubscriptionResult
) -> None:
    """Post a change to the channel if it was made in a list that only one person sees.

    Everyone there may undo it, like a change made with a command.
    """
    services, blocks = subscriptions.services, result.reply.blocks
    respond(
        text=result.reply.text,
        blocks=services.signer.sign_blocks(blocks, subscriptions.team_id, subscriptions.address),
        response_type="in_channel",
        replace_original=False,
    )
    try:
        respond(delete_original=True)
    except SlackCallError as error:
        # The change is done. A second choice in the same list finds the list deleted.
        logger.info("a list was not removed", extra={"error": error.code})


def _respond(respond: Respond, result: SubscriptionResult, blocks: list[Block]) -> None:
    """Replace the message with the result; post a refusal as a separate reply."""
    text = result.reply.text
    if result.is_change:
        respond(text=text, blocks=blocks, replace_original=True)
        return
    respond(text=text, blocks=blocks, response_type="ephemeral", replace_original=False)
