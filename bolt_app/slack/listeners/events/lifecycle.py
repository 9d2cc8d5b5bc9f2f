"""Events about installations, people and workspaces."""

from __future__ import annotations

from typing import Any

from slack_bolt import App, BoltContext

from bolt_app.services import Services
from bolt_app.slack.listeners.events.origin import origin_of


def register_lifecycle_events(app: App, services: Services) -> None:
    """Register the events that change stored data."""
    lifecycle = services.lifecycle

    def check() -> None:
        """Check installations in the background; the worker retries failed checks."""
        services.installation_checks.run_in_background(services.background)

    @app.event("tokens_revoked")
    def tokens_revoked(body: dict[str, Any], event: dict[str, Any], context: BoltContext) -> None:
        tokens = event.get("tokens") or {}
        lifecycle.installations.tokens_revoked(
            origin_of(body, context),
            user_ids=tokens.get("oauth") or [],
            bot_ids=tokens.get("bot") or [],
        )
        check()

    @app.event("app_uninstalled")
    def app_uninstalled(body: dict[str, Any], context: BoltContext) -> None:
        lifecycle.installations.app_uninstalled(origin_of(body, context))
        check()

    def team_access_changed(
        body: dict[str, Any], event: dict[str, Any], context: BoltContext
    ) -> None:
        lifecycle.installations.team_access_changed(
            origin_of(body, context), event.get("team_ids") or []
        )
        check()

    app.event("team_access_granted")(team_access_changed)
    app.event("team_access_revoked")(team_access_changed)

    @app.event("user_change")
    def user_change(body: dict[str, Any], event: dict[str, Any], context: BoltContext) -> None:
        # First, so that it takes effect even if the database fails and Slack retries the event.
        services.access.profile_changed(context.team_id or "", event["user"])
        lifecycle.profiles.user_changed(origin_of(body, context), event["user"])

    @app.event("team_rename")
    def team_rename(body: dict[str, Any], event: dict[str, Any], context: BoltContext) -> None:
        lifecycle.profiles.team_changed(origin_of(body, context), "name", event["name"])

    @app.event("team_domain_change")
    def team_domain_change(
        body: dict[str, Any], event: dict[str, Any], context: BoltContext
    ) -> None:
        lifecycle.profiles.team_changed(origin_of(body, context), "domain", event["domain"])
