"""The buttons under what was changed about subscriptions, and in their list."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from slack_bolt import Ack, App, BoltContext, Respond

from bolt_app.services import Services
from bolt_app.slack import ids
from bolt_app.slack.blocks.subscriptions import read_undo_value
from bolt_app.slack.subscribing import (
    NotAllowedError,
    NotInvitedError,
    Outcome,
    Subscribing,
    refused_answer,
)


def register_subscription_actions(app: App, services: Services) -> None:
    """Listen for the buttons."""

    @app.action(ids.UNDO_SUBSCRIPTIONS)
    def undo(ack: Ack, respond: Respond, action: dict[str, Any], context: BoltContext) -> None:
        ack()
        address, changes = read_undo_value(action["value"])
        subscribing = replace(Subscribing.here(services, context), address=address)
        _answer(respond, lambda: subscribing.undo(changes))

    @app.action(ids.END_SUBSCRIPTION)
    def end(ack: Ack, respond: Respond, action: dict[str, Any], context: BoltContext) -> None:
        ack()
        value = json.loads(action["value"])
        subscribing = replace(Subscribing.here(services, context), address=value["address"])
        _answer(respond, lambda: subscribing.unsubscribe(value["topic"]))


def _answer(respond: Respond, do: Callable[[], Outcome]) -> None:
    """Put what was done in the place of the message; why it was not, beside it."""
    try:
        outcome = do()
    except (NotAllowedError, NotInvitedError) as error:
        outcome = Outcome(refused_answer(error))
    answer = outcome.answer
    if outcome.is_change:
        respond(text=answer.text, blocks=answer.blocks, replace_original=True)
    else:
        respond(
            text=answer.text,
            blocks=answer.blocks,
            response_type="ephemeral",
            replace_original=False,
        )
