"""`/notify`: which topics come to this channel, or to me."""

from __future__ import annotations

from slack_bolt import Ack, App, BoltContext

from bolt_app.blockkit.signed_values import shown_to
from bolt_app.services import Services
from bolt_app.slack import ids
from bolt_app.slack.preferences.actions import PreferenceActions
from bolt_app.slack.respond import tell_aside
from bolt_app.slack.subscriptions.actions import Outcome, SubscriptionActions, attempt
from bolt_app.slack.subscriptions.blocks import help_answer
from bolt_app.slack.subscriptions.parsing import (
    Digest,
    Help,
    ListHere,
    Mute,
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
    """Listen for `/notify`."""

    @app.command(ids.NOTIFY_COMMAND)
    def answer_notify_command(ack: Ack, command: dict[str, str], context: BoltContext) -> None:
        request = parse_notify_command(command.get("text", ""))
        subscribing = SubscriptionActions.here(services, context)
        outcome = attempt(lambda: answer_notify_request(subscribing, request))
        is_private = not outcome.is_change or subscribing.address == subscribing.user_id
        address = subscribing.address
        if is_private:
            address = shown_to(subscribing.user_id, address)
        blocks = services.signer.sign_blocks(outcome.answer.blocks, subscribing.team_id, address)
        ack(
            text=outcome.answer.text,
            blocks=blocks,
            response_type="ephemeral" if is_private else "in_channel",
        )
        if outcome.aside is not None:
            tell_aside(services, command["response_url"], outcome.aside)


def answer_notify_request(subscribing: SubscriptionActions, request: NotifyRequest) -> Outcome:
    """Do what was asked, and return what to answer."""
    match request:
        case Subscribe(topic, filter_, mode, schedule):
            return subscribing.subscribe(topic, filter_, mode, schedule)
        case Unsubscribe(topic):
            return subscribing.unsubscribe(topic)
        case ListHere():
            return subscribing.show()
        case Mute(duration, topic):
            return subscribing.mute(duration, topic)
        case Unmute(topic):
            return subscribing.mute(None, topic)
        case Digest(schedule, topic):
            return subscribing.digest(schedule, topic)
        case Quiet(hours):
            person = subscribing.services, subscribing.team_id, subscribing.user_id
            # It is nobody else's business: the channel is not told.
            return Outcome(PreferenceActions(*person).set_quiet_hours(hours))
        case SendTest():
            return subscribing.test()
        case ParseError(reason, nearest):
            return Outcome(help_answer(reason, nearest))
        case Help():
            return Outcome(help_answer())
