"""Somebody opens the App Home."""

from __future__ import annotations

from typing import Any

from slack_bolt import App, BoltContext

from bolt_app.services import Services
from bolt_app.slack.home import publish_home
from bolt_app.slack.own_profile import OwnProfile


def register_home_events(app: App, services: Services) -> None:
    """Listen for `app_home_opened` (https://docs.slack.dev/reference/events/app_home_opened)."""

    @app.event("app_home_opened")
    def show_home(event: dict[str, Any], context: BoltContext) -> None:
        if event.get("tab") == "home":
            publish_home(OwnProfile.of(services, context))
