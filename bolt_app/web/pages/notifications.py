"""The page of a notification: its content, deliveries and answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from flask import Blueprint, render_template

from bolt_app.installations.records import StoredInstallation
from bolt_app.notifications.content.meaning import link_of, severity_of, title_of
from bolt_app.notifications.content.page_urls import PAGES_PATH, is_notification_id
from bolt_app.notifications.content.states import STATE_WORDS
from bolt_app.notifications.content.summaries import headline
from bolt_app.notifications.history.views import ViewedNotification, Viewer
from bolt_app.notifications.incidents.resolved_content import content_in_state
from bolt_app.profiles.view import Profile
from bolt_app.services import Services
from bolt_app.web.html.content_html import content_html
from bolt_app.web.html.mrkdwn_html import Reader
from bolt_app.web.pages.profile import active_installation, recorded_profile
from bolt_app.web.sessions import remember_wanted_page


def create_blueprint(services: Services) -> Blueprint:
    """Return the blueprint of the pages of notifications."""
    blueprint = Blueprint("notifications", __name__)

    @blueprint.get(f"{PAGES_PATH}/<notification_id>")
    def notification(notification_id: str) -> str | tuple[str, int]:
        installation = active_installation(services)
        if installation is None:
            _remember(notification_id)
            # Without a session, the response does not reveal whether the notification exists.
            return render_template("sign_in.html"), 403
        # The profile of a person who just signed in may not be recorded yet.
        profile, _ = recorded_profile(services, installation)
        # If Slack does not report what the person may see, its error is the response.
        found = services.visibility.find(viewers_of(services, installation), notification_id)
        if found is None:
            _remember(notification_id)
            return render_template("notification_missing.html"), 404
        return _render(services, profile, found)

    return blueprint


def _remember(notification_id: str) -> None:
    # Any other text has no page, and may be too long for the cookie.
    if is_notification_id(notification_id):
        remember_wanted_page()


def viewers_of(services: Services, installation: StoredInstallation) -> list[Viewer]:
    """Return all accounts of a signed-in person."""
    return [
        Viewer(account.team_id, account.user_id)
        for account in services.profiles.accounts_of(installation)
    ]


def _render(services: Services, profile: Profile | None, found: ViewedNotification) -> str:
    local = _clock_of(profile)
    found = replace(found, content=content_in_state(found.content, found.incident))
    return render_template(
        "notification.html",
        notification=found,
        headline=headline(found.content),
        title=title_of(found.content),
        severity=severity_of(found.content),
        link=link_of(found.content),
        content_html=content_html(found.content, Reader(found.people, found.channels, local)),
        state_words=STATE_WORDS,
        local=local,
        now=services.clock(),
    )


def _clock_of(profile: Profile | None) -> Callable[[datetime], datetime]:
    """Return a function that converts a moment to the viewer's time zone."""

    def local(at: datetime) -> datetime:
        known = None if profile is None else profile.local_time(at)
        return at if known is None else known

    return local
