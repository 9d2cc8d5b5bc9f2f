"""The event that a person opens the App Home."""

from __future__ import annotations

import logging
from typing import Any

from slack_bolt import App, BoltContext

from bolt_app.services import Services
from bolt_app.slack.home.view import publish_home
from bolt_app.slack.profile.actions import ProfileActions
from bolt_app.workspaces.client import NotInstalledError

logger = logging.getLogger(__name__)


def register_home_events(app: App, services: Services) -> None:
    """Register `app_home_opened` (https://docs.slack.dev/reference/events/app_home_opened)."""

    @app.event("app_home_opened")
    def show_home(event: dict[str, Any], context: BoltContext) -> None:
        if event.get("tab") != "home":
            return
        try:
            publish_home(ProfileActions.of(services, context))
        except NotInstalledError:
            # A retry would not help.
            logger.info("an App Home was not published: Bellhop is not installed there")
