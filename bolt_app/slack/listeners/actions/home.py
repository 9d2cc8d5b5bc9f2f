"""The buttons of the App Home, and the modal behind one of them."""

from __future__ import annotations

from typing import Any

from slack_bolt import Ack, App, BoltContext

from bolt_app.access.authorization import AccessDeniedError, Action
from bolt_app.blockkit.elements import info_modal, plain_answer, section
from bolt_app.blockkit.signed_values import OutdatedError
from bolt_app.notifications.content.topics import normal_pattern
from bolt_app.notifications.history.errors import NothingToRetryError
from bolt_app.notifications.subscriptions.filters import parse_typed_filter
from bolt_app.services import Services
from bolt_app.slack import ids
from bolt_app.slack.credentials.actions import CredentialActions
from bolt_app.slack.home.blocks import FILTER_BLOCK, TOPIC_BLOCK, subscribe_modal
from bolt_app.slack.home.refresh import shown_anyway
from bolt_app.slack.home.view import publish_home
from bolt_app.slack.modals import open_modal, reading_form, text_of
from bolt_app.slack.profile.actions import ProfileActions
from bolt_app.slack.respond import show_at_home
from bolt_app.slack.signed_actions import is_at_home, signed_text
from bolt_app.slack.subscriptions.actions import SubscriptionActions, attempt


def register_home_actions(app: App, services: Services) -> None:
    """Listen for the buttons and the modal."""

    @app.action(ids.HOME_TEST)
    def send_test(ack: Ack, context: BoltContext) -> None:
        ack()
        SubscriptionActions.own(services, context).test()

    @app.action(ids.RETRY_NOTIFICATION)
    def retry(ack: Ack, body: dict[str, Any], context: BoltContext) -> None:
        ack()
        notification_id = signed_text(context, "notification")
        if not is_at_home(body):
            raise OutdatedError
        own = ProfileActions.of(services, context)
        try:
            answer = CredentialActions.of(services, context).retry(notification_id, own.viewer())
        except (AccessDeniedError, NothingToRetryError) as error:
            answer = plain_answer(str(error))
        publish_home(own, failed_notice=answer)

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
        own, subscribing = (
            ProfileActions.of(services, context),
            SubscriptionActions.own(services, context),
        )
        with shown_anyway(own):
            outcome = attempt(
                lambda: subscribing.subscribe(
                    normal_pattern(topic), str(parse_typed_filter(filter_)), None
                )
            )
        ack()
        show_at_home(own, outcome.answer)


def _errors(topic: str, filter_: str) -> dict[str, str]:
    """Return what is wrong with what was typed, by the block it was typed into."""
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
