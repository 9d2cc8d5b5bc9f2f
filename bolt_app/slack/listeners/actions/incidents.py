"""Buttons with which people answer incidents."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from slack_bolt import Ack, App, BoltContext

from bolt_app.blockkit.signed_values import OutdatedError
from bolt_app.notifications.incidents.blocks import PREFIX, SNOOZES, IncidentAnswer
from bolt_app.notifications.incidents.errors import NotOfferedError
from bolt_app.notifications.incidents.messages import ClickedMessage
from bolt_app.services import Services
from bolt_app.slack.signed_actions import addresses_of, signed_text

_ANSWERS = re.compile(f"{re.escape(PREFIX)}({'|'.join(IncidentAnswer)})")


def register_incident_actions(app: App, services: Services) -> None:
    """Register the buttons; the message is updated with the result."""

    @app.action(_ANSWERS)
    def answer(
        ack: Ack, body: dict[str, Any], action: dict[str, Any], context: BoltContext
    ) -> None:
        ack()
        given = IncidentAnswer(action["action_id"].removeprefix(PREFIX))
        try:
            changed = services.incidents.answer(
                context.team_id or "",
                signed_text(context, "notification"),
                context.user_id or "",
                given,
                _duration(action) if given == IncidentAnswer.SNOOZE else None,
                clicked=_clicked(body),
            )
        except NotOfferedError:
            raise OutdatedError from None
        if changed:
            services.background.submit(services.callback_sender.start)


def _duration(action: dict[str, Any]) -> timedelta:
    minutes = (action.get("selected_option") or {}).get("value")
    if minutes not in SNOOZES:
        raise OutdatedError
    return timedelta(minutes=int(minutes))


def _clicked(body: dict[str, Any]) -> ClickedMessage:
    container = body.get("container") or {}
    ts = container.get("message_ts")
    if not isinstance(ts, str):
        raise OutdatedError
    return ClickedMessage(body["channel"]["id"], ts, addresses_of(body))
