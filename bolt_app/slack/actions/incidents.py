"""The buttons by which people answer notifications."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, cast

from slack_bolt import Ack, App, BoltContext

from bolt_app.notifications.incident_blocks import PREFIX, notification_of
from bolt_app.notifications.incidents import Answer
from bolt_app.services import Services

_ANSWERS = re.compile(
    re.escape(PREFIX) + "(acknowledge|assign|resolve|reopen|snooze|wake|mute|unmute)"
)


def register_incident_actions(app: App, services: Services) -> None:
    """Listen for the buttons; the message shows what came of it."""

    @app.action(_ANSWERS)
    def answer(ack: Ack, action: dict[str, Any], context: BoltContext) -> None:
        ack()
        given = cast(Answer, action["action_id"].removeprefix(PREFIX))
        duration = None
        if given == "snooze":
            duration = timedelta(minutes=int(action["selected_option"]["value"]))
        changed = services.incidents.answer(
            context.team_id or "",
            notification_of(action["block_id"]),
            context.user_id or "",
            given,
            duration,
        )
        if changed:
            services.background.submit(services.callback_sender.start)
