"""Pages after the return from Slack's OAuth page."""

from __future__ import annotations

from collections.abc import Mapping

from flask import render_template, url_for
from slack_bolt.response import BoltResponse

from bolt_app.installations.errors import InstallFailure
from bolt_app.services import Services
from bolt_app.web.sessions import has_signed_in_by, sign_in, signed_in_installation, wanted_page

# Errors of a callback whose state was already used, which also removes its cookie.
_REPEATED = frozenset({"invalid_browser", "invalid_state"})


class InstallPages:
    """Responses of the OAuth callback, created inside a Flask request."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def installed(self, installation_id: int, state: str, *, has_installed: bool) -> BoltResponse:
        """Sign the person in, and redirect away from the URL that has the OAuth code.

        They get to their profile, or back to the page that asked them to sign in.
        """
        wanted = wanted_page()
        sign_in(self._services, installation_id, state, has_installed=has_installed)
        return _redirect(wanted or url_for("pages.profile"))

    def failed(
        self, failure: InstallFailure, state: str, start_again: Mapping[str, str]
    ) -> BoltResponse:
        """Explain the failure, with a link to start again.

        Reloading a successful callback redirects to the profile.
        """
        repeated = failure.code in _REPEATED and has_signed_in_by(state)
        if repeated and signed_in_installation(self._services) is not None:
            return _redirect(url_for("pages.profile"))
        return BoltResponse(
            status=failure.status,
            body=render_template(
                "install_failed.html", failure=failure, start_again=dict(start_again)
            ),
            headers={"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"},
        )


def _redirect(location: str) -> BoltResponse:
    return BoltResponse(status=303, headers={"Location": location})
