"""Web sessions at the edge: the cookie, which carries the session's token, and forms.

The cookie is signed and has beside the token only what belongs to this browser: the token of
forms, the page to come back to. Whether the session is still good is a row's business
(`bolt_app.access.sessions`).
"""

from __future__ import annotations

import hashlib
from urllib.parse import quote

from flask import Flask, Request, Response, g, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin

from bolt_app.access.sessions import ABSOLUTE_TIMEOUT
from bolt_app.config import Settings
from bolt_app.installations.flow import MAX_COOKIES_LENGTH
from bolt_app.installations.records import StoredInstallation
from bolt_app.installations.state import hash_of_state
from bolt_app.services import Services

# So long after signing in with a second account a person is asked whether the first is theirs too.
JOIN_SECONDS = 600
_SESSION = "session"
_CSRF = "csrf_token"
_WANTED = "wanted_page"
_STATE = "oauth_state"
_EARLIER = "earlier_account"
_INSTALLED = "has_installed"


class CookieSessions(SecureCookieSessionInterface):
    """Flask's signed cookie, with SHA-256 in place of SHA-1.

    It costs nothing where a request has no cookie, as Slack's and those of programs, or where a
    view does not look at the session.
    """

    digest_method = staticmethod(hashlib.sha256)

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the session of a request, an empty one where no browser of ours sent a cookie."""
        cookies = request.environ.get("HTTP_COOKIE", "")
        if not cookies or len(cookies) > MAX_COOKIES_LENGTH:
            return self.session_class()
        return super().open_session(app, request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Set the cookie where the session has changed."""
        if session.accessed or session.modified:
            super().save_session(app, session, response)


def configure_sessions(app: Flask, settings: Settings) -> None:
    """Set up the cookie, and let templates write the token that guards forms."""
    app.session_interface = CookieSessions()
    app.config.update(
        # The prefix makes browsers take it over https alone and from this host alone
        # (https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Set-Cookie#cookie_prefixes).
        SESSION_COOKIE_NAME="__Host-bellhop" if settings.uses_https else "bellhop",
        SESSION_COOKIE_SECURE=settings.uses_https,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_PATH="/",
        PERMANENT_SESSION_LIFETIME=ABSOLUTE_TIMEOUT,
        # Set where it changes alone: an answer that comes late must not bring an old one back.
        SESSION_REFRESH_EACH_REQUEST=False,
    )
    app.jinja_env.globals.update(offers_sign_out=offers_sign_out)


def sign_in(
    services: Services, installation_id: int, state: str, *, has_installed: bool = False
) -> None:
    """Begin a session with a new token for the person of an installation.

    Args:
        state: the OAuth state by which they signed in.
        has_installed: whether they installed the bot by it.
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
    """Return the account that this browser was signed in with right before the present one."""
    earlier = session.get(_EARLIER)
    if earlier is None or earlier["until"] <= services.clock().timestamp():
        return None
    return services.installations.find_by_id(earlier["installation_id"])


def forget_earlier_account() -> None:
    """Forget it: the person has answered."""
    session.pop(_EARLIER, None)


def remember_wanted_page() -> None:
    """Let the next sign-in lead to the page of this request."""
    session[_WANTED] = request.path


def wanted_page() -> str | None:
    """Return the page for which somebody was asked to sign in, as a header may have it."""
    wanted = session.get(_WANTED)
    return quote(wanted) if isinstance(wanted, str) else None


def sign_out(services: Services, response: Response) -> None:
    """End the session, expire its cookie, and clear what the browser keeps of our pages."""
    token = _token()
    if token is not None:
        services.sessions.sign_out(token)
    session.clear()
    # Not "cookies", which would clear those of every host of the domain.
    response.headers["Clear-Site-Data"] = '"cache", "storage"'


def signed_in_installation(services: Services) -> StoredInstallation | None:
    """Return the installation of the person who is signed in.

    None where the session has ended: signed out, expired, unlinked, revoked, uninstalled.
    """
    token = _token()
    installation_id = None if token is None else services.sessions.find(token)
    g.has_session = installation_id is not None
    if installation_id is None:
        return None
    return services.installations.find_by_id(installation_id)


def offers_sign_out() -> bool:
    """Whether the page being rendered has a *Sign out* button.

    A page that did not look the session up, such as one about an error, goes by the cookie.
    """
    has_session: bool = g.get("has_session", _token() is not None)
    return has_session


def _token() -> str | None:
    token = session.get(_SESSION)
    return token if isinstance(token, str) else None
