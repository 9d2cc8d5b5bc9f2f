"""`/notify`: the subscriptions of a channel or a person."""

from __future__ import annotations

from slack_bolt import Ack, App, BoltContext

from bolt_app.blockkit.signed_values import shown_to
from bolt_app.services import Services
from bolt_app.slack import ids
from bolt_app.slack.preferences.actions import PreferenceActions
from bolt_app.slack.respond import respond_privately
from bolt_app.slack.subscriptions.actions import SubscriptionActions, SubscriptionResult, attempt
from bolt_app.slack.subscriptions.blocks import help_reply
from bolt_app.slack.subscriptions.parsing import (
    Digest,
    ListHere,
    Mute,
    NotifyHelp,
    NotifyRequest,
    ParseError,
    Quiet,
    SendTest,
    Subscribe,
    Unmute,
    Unsubscribe,
    parse_notify_command,
)


def register_notify_command(app: App, services: Services) -> None:
    """Register `/notify`."""

    @app.command(ids.NOTIFY_COMMAND)
    def answer_notify_command(ack: Ack, command: dict[str, str], context: BoltContext) -> None:
        request = parse_notify_command(command.get("text", ""))
        subscriptions = SubscriptionActions.of(services, context)
        result = attempt(lambda: answer_notify_request(subscriptions, request))
        is_private = not result.is_change or subscriptions.address == subscriptions.user_id
        address = subscriptions.address
        if is_private:
            address = shown_to(subscriptions.user_id, address)
        blocks = services.signer.sign_blocks(result.reply.blocks, subscriptions.team_id, address)
        ack(
            text=result.reply.text,
            blocks=blocks,
            response_type="ephemeral" if is_private else "in_channel",
        )
        if result.private_note is not None:
            respond_privately(services, command["response_url"], result.private_note)


def answer_notify_request(
    subscriptions: SubscriptionActions, request: NotifyRequest
) -> SubscriptionResult:
    """Run a request, and return its result."""
    match request:
        case Subscribe(topic, filter_, mode, schedule):
            return subscriptions.subscribe(topic, filter_, mode, schedule)
        case Unsubscribe(topic):
            return subscriptions.unsubscribe(topic)
        case ListHere():
            return subscriptions.show()
        case Mute(duration, topic):
            return subscriptions.mute(duration, topic)
        case Unmute(topic):
            return subscriptions.mute(None, topic)
        case Digest(schedule, topic):
            return subscriptions.digest(schedule, topic)
        case Quiet(hours):
            # Quiet hours are private: the channel does not see the reply.
            preferences = PreferenceActions(
                subscriptions.services, subscriptions.team_id, subscriptions.user_id
            )
            return SubscriptionResult(preferences.set_quiet_hours(hours))
        case SendTest():
            return subscriptions.test()
        case ParseError(reason, nearest):
            return SubscriptionResult(help_reply(reason, nearest))
        case NotifyHelp():
            return SubscriptionResult(help_reply())
