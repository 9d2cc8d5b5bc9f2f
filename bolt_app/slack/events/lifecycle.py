"""What Slack tells of installations, people and workspaces."""

from __future__ import annotations

from typing import Any

from slack_bolt import App, BoltContext

from bolt_app.lifecycle import EventOrigin, Lifecycle


def register_lifecycle_events(app: App, lifecycle: Lifecycle) -> None:
    """Listen for the events that stored facts follow."""

    @app.event("tokens_revoked")
    def tokens_revoked(body: dict[str, Any], event: dict[str, Any], context: BoltContext) -> None:
        tokens = event.get("tokens") or {}
        lifecycle.tokens_revoked(
            _origin(body, context),
            user_ids=tokens.get("oauth") or [],
            bot_ids=tokens.get("bot") or [],
        )

    @app.event("app_uninstalled")
    def app_uninstalled(body: dict[str, Any], context: BoltContext) -> None:
        lifecycle.app_uninstalled(_origin(body, context))

    @app.event("user_change")
    def user_change(body: dict[str, Any], event: dict[str, Any], context: BoltContext) -> None:
        lifecycle.user_changed(_origin(body, context), event["user"])

    @app.event("team_rename")
    def team_rename(body: dict[str, Any], event: dict[str, Any], context: BoltContext) -> None:
        lifecycle.team_changed(_origin(body, context), {"name": event["name"]})

    @app.event("team_domain_change")
    def team_domain_change(
        body: dict[str, Any], event: dict[str, Any], context: BoltContext
    ) -> None:
        lifecycle.team_changed(_origin(body, context), {"domain": event["domain"]})


def _origin(body: dict[str, Any], context: BoltContext) -> EventOrigin:
    return EventOrigin(
        event_id=body["event_id"],
        enterprise_id=context.enterprise_id,
        team_id=context.team_id,
        is_enterprise_install=bool(context.is_enterprise_install),
    )
