"""What Slack tells of installations, people and workspaces."""

from __future__ import annotations

from typing import Any

from slack_bolt import App, BoltContext

from bolt_app.services import Services
from bolt_app.slack.events.origin import origin_of


def register_lifecycle_events(app: App, services: Services) -> None:
    """Listen for the events that stored facts follow."""
    lifecycle, calls = services.lifecycle, services.calls

    @app.event("tokens_revoked")
    def tokens_revoked(body: dict[str, Any], event: dict[str, Any], context: BoltContext) -> None:
        tokens, origin = event.get("tokens") or {}, origin_of(body, context)
        lifecycle.tokens_revoked(
            origin,
            user_ids=tokens.get("oauth") or [],
            bot_ids=tokens.get("bot") or [],
        )
        calls.forget_place(origin.installed_team_id)

    @app.event("app_uninstalled")
    def app_uninstalled(body: dict[str, Any], context: BoltContext) -> None:
        origin = origin_of(body, context)
        lifecycle.app_uninstalled(origin)
        # API keys and hooks are refused from now on.
        calls.forget_place(origin.installed_team_id)

    @app.event("user_change")
    def user_change(body: dict[str, Any], event: dict[str, Any], context: BoltContext) -> None:
        # Also where the database fails, and Slack sends the event again.
        services.access.person_changed(str(event["user"]["id"]))
        lifecycle.user_changed(origin_of(body, context), event["user"])

    @app.event("team_rename")
    def team_rename(body: dict[str, Any], event: dict[str, Any], context: BoltContext) -> None:
        lifecycle.team_changed(origin_of(body, context), {"name": event["name"]})

    @app.event("team_domain_change")
    def team_domain_change(
        body: dict[str, Any], event: dict[str, Any], context: BoltContext
    ) -> None:
        lifecycle.team_changed(origin_of(body, context), {"domain": event["domain"]})
