"""The Bolt app and its listeners."""

from __future__ import annotations

import logging

from slack_bolt import App

from bolt_app.installations.authorize import InstallationAuthorize
from bolt_app.installations.flow import InstallFlow
from bolt_app.services import Services
from bolt_app.slack.error_replies import register_error_replies
from bolt_app.slack.home.refresh import HomeRefresher
from bolt_app.slack.listeners.actions.credentials import register_credential_actions
from bolt_app.slack.listeners.actions.home import register_home_actions
from bolt_app.slack.listeners.actions.incidents import register_incident_actions
from bolt_app.slack.listeners.actions.preferences import register_preference_actions
from bolt_app.slack.listeners.actions.profile import register_profile_actions
from bolt_app.slack.listeners.actions.subscriptions import register_subscription_actions
from bolt_app.slack.listeners.commands.notify import register_notify_command
from bolt_app.slack.listeners.commands.profile import register_profile_command
from bolt_app.slack.listeners.events.channels import register_channel_events
from bolt_app.slack.listeners.events.home import register_home_events
from bolt_app.slack.listeners.events.lifecycle import register_lifecycle_events
from bolt_app.slack.listeners.events.links import register_link_events
from bolt_app.slack.listeners.functions.send import register_send_step
from bolt_app.slack.listeners.shortcuts.notification import register_notification_shortcut
from bolt_app.slack.organization_workspaces import register_organization_workspaces
from bolt_app.slack.rejected_values import RejectedValues
from bolt_app.slack.signed_actions import register_signature_checks


def create_bolt_app(services: Services, flow: InstallFlow, authorize: InstallationAuthorize) -> App:
    """Return the Bolt app with all middleware and listeners."""
    app = App(
        name="bellhop",
        # Outside Bellhop's own loggers, because Bolt's messages quote requests.
        logger=logging.getLogger("slack_bolt"),
        signing_secret=services.settings.slack_signing_secret,
        # `slack.endpoint` verifies every request and passes it on without headers.
        request_verification_enabled=False,
        client=flow.client,
        authorize=authorize,
        oauth_flow=flow,
        # The listener runs in the request's thread, so nothing polls for its acknowledgement and
        # nothing is acknowledged before it is done. `slack.endpoint` enforces the deadline.
        process_before_response=True,
        # `app.error` replies to the person.
        raise_error_for_unhandled_request=False,
    )
    rejected = RejectedValues()
    # Authorization runs before anything takes effect.
    register_error_replies(app, services, rejected)
    register_organization_workspaces(app, services)
    register_signature_checks(app, services, rejected)
    register_listeners(app, services)
    services.signals.connect(HomeRefresher(services).on_change)
    return app


def register_listeners(app: App, services: Services) -> None:
    """Register all listeners; Bolt tries them in order, so the most frequent come first."""
    register_profile_command(app, services)
    register_notify_command(app, services)
    register_home_events(app, services)
    register_incident_actions(app, services)
    register_profile_actions(app, services)
    register_subscription_actions(app, services)
    register_notification_shortcut(app, services)
    register_channel_events(app, services)
    register_home_actions(app, services)
    register_credential_actions(app, services)
    register_send_step(app, services)
    register_link_events(app, services)
    register_preference_actions(app, services)
    register_lifecycle_events(app, services)
