"""Web sessions: a signed cookie that names an installation."""

from __future__ import annotations

import hmac
import secrets
from datetime import timedelta

from flask import Flask, abort, request, session

from bolt_app.oauth.installation_store import SQLAlchemyInstallationStore, StoredInstallation

SESSION_LIFETIME = timedelta(days=30)
_INSTALLATION = "installation_id"
_CSRF = "csrf_token"
_WANTED = "wanted_page"


def configure_sessions(app: Flask) -> None:
    """Let sessions last, and let templates write the token that guards forms."""
    app.permanent_session_lifetime = SESSION_LIFETIME
    app.jinja_env.globals["csrf_token"] = csrf_token


def sign_in(installation_id: int) -> None:
    """Begin a session of its own for the person of an installation."""
    session.clear()
    session.permanent = True
    session[_INSTALLATION] = installation_id


def remember_wanted_page() -> None:
    """Let the next sign-in lead to the page of this request."""
    session[_WANTED] = request.path


def wanted_page() -> str | None:
    """Return the page for which somebody was asked to sign in."""
    wanted = session.get(_WANTED)
    return wanted if isinstance(wanted, str) else None


def sign_out() -> None:
    """End the session."""
    session.clear()


def signed_in_installation(store: SQLAlchemyInstallationStore) -> StoredInstallation | None:
    """Return the installation of the person who is signed in.

    One that was deleted (unlinked, revoked, uninstalled) ends the session everywhere.
    """
    installation_id = session.get(_INSTALLATION)
    if not isinstance(installation_id, int):
        return None
    return store.find_installation_by_id(installation_id)


def csrf_token() -> str:
    """Return the token that a form of this session must carry."""
    if _CSRF not in session:
        session[_CSRF] = secrets.token_urlsafe(32)
    return str(session[_CSRF])


def require_csrf_token() -> None:
    """Refuse a form that this session was not shown.

    Raises:
        werkzeug.exceptions.BadRequest: the form's token is missing or another one.
    """
    given = request.form.get("csrf_token", "")
    expected = session.get(_CSRF, "")
    if not expected or not hmac.compare_digest(given.encode(), str(expected).encode()):
        abort(400, "This form is out of date. Reload the page and try again.")
