"""What a person sees when they come back from Slack."""

from __future__ import annotations

from flask import render_template, url_for
from slack_bolt.response import BoltResponse

from bolt_app.oauth.failures import InstallFailure
from bolt_app.web.sessions import sign_in, wanted_page


class InstallPages:
    """Pages of the OAuth callbacks; they run inside a Flask request."""

    def installed(self, installation_id: int) -> BoltResponse:
        """Sign the person in and take them on, away from the code in the address.

        That is to their profile, or back to the page that asked them to sign in.
        """
        wanted = wanted_page()
        sign_in(installation_id)
        return BoltResponse(status=303, headers={"Location": wanted or url_for("pages.profile")})

    def failed(self, failure: InstallFailure) -> BoltResponse:
        """Say why it did not work out, with a way on."""
        return BoltResponse(
            status=failure.status,
            body=render_template("install_failed.html", failure=failure),
            headers={"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"},
        )
