"""The button, the modal and the Undo button of notification preferences."""

from __future__ import annotations

from datetime import time
from typing import Any

from slack_bolt import Ack, App, BoltContext, Respond

from bolt_app.notifications.digests.preferences import NOW, NotificationPreferences
from bolt_app.notifications.subscriptions.schedules import DAILY, HOURLY, OFF, QuietHours, Schedule
from bolt_app.services import Services
from bolt_app.slack import ids
from bolt_app.slack.home.refresh import suppress_home_refresh
from bolt_app.slack.home.view import publish_home
from bolt_app.slack.modals import input_of, open_modal, reading_form
from bolt_app.slack.preferences.actions import PreferenceActions
from bolt_app.slack.preferences.blocks import (
    DAILY_BLOCK,
    DIRECT_BLOCK,
    FROM_BLOCK,
    QUIET_BLOCK,
    UNTIL_BLOCK,
    home_notice,
    preferences_modal,
    read_undo_preference_fields,
)
from bolt_app.slack.profile.actions import ProfileActions
from bolt_app.slack.respond import update_home
from bolt_app.slack.signed_actions import is_home_click, signed_fields


def register_preference_actions(app: App, services: Services) -> None:
    """Register the buttons and the modal."""

    @app.action(ids.HOME_PREFERENCES)
    def ask(ack: Ack, body: dict[str, Any], context: BoltContext) -> None:
        ack()
        current = PreferenceActions.of(services, context).find()
        open_modal(services, context, body, preferences_modal(current))

    @app.view(ids.PREFERENCES_VIEW)
    def choose(ack: Ack, view: dict[str, Any], context: BoltContext) -> None:
        with reading_form():
            wanted = _read(view)
        quiet = wanted.quiet
        if quiet is not None and quiet.start == quiet.end:
            error = "The quiet hours start and end at the same time. Choose two different times."
            ack(response_action="errors", errors={UNTIL_BLOCK: error})
            return
        requester = ProfileActions.of(services, context)
        preferences = PreferenceActions.of(services, context)
        with suppress_home_refresh(requester):
            reply = preferences.choose(wanted)
        ack()
        update_home(requester, home_notice(reply))

    @app.action(ids.UNDO_PREFERENCES)
    def undo(
        ack: Ack,
        respond: Respond,
        body: dict[str, Any],
        context: BoltContext,
    ) -> None:
        ack()
        preferences = PreferenceActions.of(services, context)
        change = read_undo_preference_fields(preferences.user_id, signed_fields(context))
        if not is_home_click(body):
            reply = preferences.undo(change)
            respond(text=reply.text, blocks=reply.blocks, replace_original=True)
            return
        requester = ProfileActions.of(services, context)
        with suppress_home_refresh(requester):
            reply = preferences.undo(change)
        publish_home(requester, home_notice(reply))


def _read(view: dict[str, Any]) -> NotificationPreferences:
    """Return the preferences in a submitted modal."""
    start, end, daily_at = (
        time.fromisoformat(input_of(view, name)["selected_time"])
        for name in (FROM_BLOCK, UNTIL_BLOCK, DAILY_BLOCK)
    )
    keeps_quiet = bool(input_of(view, QUIET_BLOCK).get("selected_options"))
    direct = input_of(view, DIRECT_BLOCK)["selected_option"]["value"]
    if direct not in (NOW, HOURLY, DAILY, OFF):
        raise ValueError("must be one of the options")
    return NotificationPreferences(
        QuietHours(start, end) if keeps_quiet else None,
        str(Schedule(daily_at)) if direct == DAILY else direct,
    )
