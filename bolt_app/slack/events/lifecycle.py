"""What Slack tells of installations, people and workspaces."""

from __future__ import annotations

from typing import Any

from slack_bolt import App, BoltContext

from bolt_app.lifecycle import Lifecycle
from bolt_app.oauth.calls import InstallationCalls
from bolt_app.slack.events.origin import origin_of


def register_lifecycle_events(app: App, lifecycle: Lifecycle, calls: InstallationCalls) -> None:
    """Listen for the events that stored facts follow."""

    @app.event("tokens_revoked")
    def tokens_revoked(body: dict[str, Any], event: dict[str, Any], context: BoltContext) -> None:
        tokens = event.get("tokens") or {}
        lifecycle.tokens_revoked(
            origin_of(body, context),
            user_ids=tokens.get("oauth") or [],
            bot_ids=tokens.get("bot") or [],
        )
        calls.forget_place(context.team_id)

    @app.event("app_uninstalled")
    def app_uninstalled(body: dict[str, Any], context: BoltContext) -> None:
        lifecycle.app_uninstalled(origin_of(body, context))
        # API keys and hooks are refused from now on.
        calls.forget_place(context.team_id)

    @app.event("user_change")
    def user_change(body: dict[str, Any], event: dict[str, Any], context: BoltContext) -> None:
        lifecycle.user_changed(origin_of(body, context), event["user"])

    @app.event("team_rename")
    def team_rename(body: dict[str, Any], event: dict[str, Any], context: BoltContext) -> None:
        lifecycle.team_changed(origin_of(body, context), {"name": event["name"]})

    @app.event("team_domain_change")
    def team_domain_change(
        body: dict[str, Any], event: dict[str, Any], context: BoltContext
    ) -> None:
        lifecycle.team_changed(origin_of(body, context), {"domain": event["domain"]})
