"""Cookies of web sessions.

The cookie is signed. Beside the session token it has only data of this browser, such as the page
to return to. The row in the database decides whether the session is valid
(`bolt_app.access.sessions`).
"""

from __future__ import annotations

import hashlib
from urllib.parse import quote

from flask import Flask, Request, Response, g, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin

from bolt_app.config import Settings
from bolt_app.db.web_sessions import ABSOLUTE_TIMEOUT
from bolt_app.installations.records import StoredInstallation
from bolt_app.installations.state import hash_of_state
from bolt_app.services import Services

# After signing in with a second account, a person can join the first one for this long.
JOIN_SECONDS = 600
_SESSION = "session"
_CSRF = "csrf_token"
_WANTED = "wanted_page"
_STATE = "oauth_state"
_EARLIER = "earlier_account"
_INSTALLED = "has_installed"


class CookieSessions(SecureCookieSessionInterface):
    """Flask's signed cookie, with SHA-256 instead of SHA-1.

    It costs nothing if a request has no cookie, such as those of Slack and of programs, or if a
    view does not use the session.
    """

    digest_method = staticmethod(hashlib.sha256)

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the session of a request, or an empty one without a valid cookie."""
        if self.get_cookie_name(app) not in request.cookies:
            return self.session_class()
        return super().open_session(app, request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Set the cookie if the session was used."""
        if session.accessed or session.modified:
            super().save_session(app, session, response)


def configure_sessions(app: Flask, settings: Settings) -> None:
    """Configure the cookie, and `offers_sign_out()` for templates."""
    app.session_interface = CookieSessions()
    app.config.update(
        # The prefix makes browsers accept it only over https and only from this host
        # (https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Set-Cookie#cookie_prefixes).
        SESSION_COOKIE_NAME="__Host-bellhop" if settings.uses_https else "bellhop",
        SESSION_COOKIE_SECURE=settings.uses_https,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_PATH="/",
        PERMANENT_SESSION_LIFETIME=ABSOLUTE_TIMEOUT,
        # Sent only after a change, so that a late response does not restore an old cookie.
        SESSION_REFRESH_EACH_REQUEST=False,
    )
    app.jinja_env.globals.update(offers_sign_out=offers_sign_out)


def sign_in(
    services: Services, installation_id: int, state: str, *, has_installed: bool = False
) -> None:
    """Begin a session with a new token for the person of an installation.

    Args:
        state: the OAuth state of the sign-in.
        has_installed: whether the sign-in installed the bot.
    """
    token, earlier = _token(), signed_in_installation(services)
    new = services.sessions.begin(installation_id, replaces=token)
    session.clear()
    session.permanent = True
    session[_SESSION] = new
    session[_STATE] = hash_of_state(state)
    if has_installed:
        session[_INSTALLED] = True
    if earlier is not None and earlier.id != installation_id:
        until = int(services.clock().timestamp()) + JOIN_SECONDS
        session[_EARLIER] = {"installation_id": earlier.id, "until": until}


def has_signed_in_by(state: str) -> bool:
    """Whether this browser's session began with the OAuth state `state`."""
    return bool(state) and session.get(_STATE) == hash_of_state(state)


def has_installed() -> bool:
    """Whether the person signed in by installing the bot."""
    return session.get(_INSTALLED) is True


def earlier_account(services: Services) -> StoredInstallation | None:
    """Return the account that this browser was signed in with before the current one."""
    earlier = session.get(_EARLIER)
    if earlier is None or earlier["until"] <= services.clock().timestamp():
        return None
    return services.installations.find_by_id(earlier["installation_id"])


def forget_earlier_account() -> None:
    """Forget the earlier account, after the person has answered."""
    session.pop(_EARLIER, None)


def remember_wanted_page() -> None:
    """Make the next sign-in return to the page of this request."""
    session[_WANTED] = request.path


def wanted_page() -> str | None:
    """Return the page that asked for the sign-in, quoted for a header."""
    wanted = session.get(_WANTED)
    return quote(wanted) if isinstance(wanted, str) else None


def sign_out(services: Services, response: Response) -> None:
    """End the session, expire its cookie, and clear the browser's copies of pages."""
    token = _token()
    if token is not None:
        services.sessions.sign_out(token)
    session.clear()
    # Not "cookies", which would clear those of every host in the domain.
    response.headers["Clear-Site-Data"] = '"cache", "storage"'


def signed_in_installation(services: Services) -> StoredInstallation | None:
    """Return the installation of the signed-in person.

    None if the session has ended: by sign-out, expiry, unlink, revocation or uninstall.
    """
    token = _token()
    installation_id = None if token is None else services.sessions.find(token)
    g.has_session = installation_id is not None
    if installation_id is None:
        return None
    return services.installations.find_by_id(installation_id)


def offers_sign_out() -> bool:
    """Whether the page being rendered has a *Sign out* button.

    A page that did not look up the session, such as an error page, goes by the cookie.
    """
    has_session: bool = g.get("has_session", _token() is not None)
    return has_session


def _token() -> str | None:
    token = session.get(_SESSION)
    return token if isinstance(token, str) else None
