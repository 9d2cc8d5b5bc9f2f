"""Buttons of the App Home, and the modal that subscribes to a topic."""

from __future__ import annotations

from typing import Any

from slack_bolt import Ack, App, BoltContext

from bolt_app.access.authorization import AccessDeniedError, Action
from bolt_app.blockkit.elements import info_modal, plain_reply, section
from bolt_app.blockkit.signed_values import OutdatedError
from bolt_app.notifications.content.topics import normal_pattern
from bolt_app.notifications.history.errors import NothingToRetryError
from bolt_app.notifications.subscriptions.filters import parse_typed_filter
from bolt_app.services import Services
from bolt_app.slack import ids
from bolt_app.slack.home.blocks import FILTER_BLOCK, TOPIC_BLOCK, subscribe_modal
from bolt_app.slack.home.refresh import suppress_home_refresh
from bolt_app.slack.home.view import publish_home
from bolt_app.slack.modals import open_modal, reading_form, text_of
from bolt_app.slack.notifications.actions import NotificationActions
from bolt_app.slack.profile.actions import ProfileActions
from bolt_app.slack.respond import update_home
from bolt_app.slack.signed_actions import is_home_click, signed_text
from bolt_app.slack.subscriptions.actions import SubscriptionActions, attempt


def register_home_actions(app: App, services: Services) -> None:
    """Register the buttons and the modal."""

    @app.action(ids.HOME_TEST)
    def send_test(ack: Ack, context: BoltContext) -> None:
        ack()
        SubscriptionActions.of_person(services, context).test()

    @app.action(ids.RETRY_NOTIFICATION)
    def retry(ack: Ack, body: dict[str, Any], context: BoltContext) -> None:
        ack()
        notification_id = signed_text(context, "notification")
        if not is_home_click(body):
            raise OutdatedError
        requester = ProfileActions.of(services, context)
        try:
            reply = NotificationActions.of(services, context).retry(
                notification_id, requester.viewer()
            )
        except (AccessDeniedError, NothingToRetryError) as error:
            reply = plain_reply(str(error))
        publish_home(requester, failed_notice=reply)

    @app.action(ids.HOME_SUBSCRIBE)
    def ask(ack: Ack, body: dict[str, Any], context: BoltContext) -> None:
        ack()
        person = services.access.person(context.team_id or "", context.user_id or "")
        if not person.may(Action.SUBSCRIBE_SELF):
            denial = services.access.denial(person, Action.SUBSCRIBE_SELF)
            view = info_modal("For members", [section(str(denial))])
        else:
            is_member = person.may(Action.SEE_WORKSPACE)
            topics = services.previews.recent(person.team_id).topics if is_member else []
            view = subscribe_modal(topics)
        open_modal(services, context, body, view)

    @app.view(ids.SUBSCRIBE_VIEW)
    def subscribe(ack: Ack, view: dict[str, Any], context: BoltContext) -> None:
        with reading_form():
            topic, filter_ = text_of(view, TOPIC_BLOCK), text_of(view, FILTER_BLOCK)
        errors = _errors(topic, filter_)
        if errors:
            ack(response_action="errors", errors=errors)
            return
        requester = ProfileActions.of(services, context)
        subscriptions = SubscriptionActions.of_person(services, context)
        with suppress_home_refresh(requester):
            result = attempt(
                lambda: subscriptions.subscribe(
                    normal_pattern(topic), str(parse_typed_filter(filter_)), None
                )
            )
        ack()
        update_home(requester, result.reply)


def _errors(topic: str, filter_: str) -> dict[str, str]:
    """Return the error of each invalid input, by its block id."""
    errors = {}
    try:
        normal_pattern(topic)
    except ValueError as error:
        errors[TOPIC_BLOCK] = str(error)
    try:
        parse_typed_filter(filter_)
    except ValueError as error:
        errors[FILTER_BLOCK] = str(error).replace("`", "")
    return errors
