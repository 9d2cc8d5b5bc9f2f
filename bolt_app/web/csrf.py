"""Protection of forms against cross-site request forgery, for every view that is not exempt.

https://flask-wtf.readthedocs.io/en/1.3.x/csrf/
"""

from __future__ import annotations

from flask import Flask
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError, CSRFProtect
from werkzeug.exceptions import BadRequest

from bolt_app.config import Settings
from bolt_app.derived_keys import derive_key

# Requests to these carry a key, a secret URL or a signature instead of a browser's cookie.
EXEMPT = ("api", "methods", "uploads", "webhooks", "slack")
_PURPOSE = "bellhop: tokens of forms"
_OUTDATED = "This form is out of date. Go back, reload the page and try again."


def register_csrf_protection(app: Flask, settings: Settings) -> None:
    """Reject forms without the session's token with 400; templates call `csrf_token()`.

    Call it after the blueprints are registered.
    """
    app.config.update(
        # Flask-WTF signs with HMAC-SHA-1: not with the key of the session cookie.
        WTF_CSRF_SECRET_KEY=derive_key(settings.session_secret, _PURPOSE),
        # A token is valid as long as its session.
        WTF_CSRF_TIME_LIMIT=None,
        # Our pages send no Referer; the cookie is SameSite and the token proves the origin.
        WTF_CSRF_SSL_STRICT=False,
        WTF_CSRF_HEADERS=[],
    )
    protection = CSRFProtect(app)
    for name in EXEMPT:
        protection.exempt(app.blueprints[name])

    @app.errorhandler(CSRFError)
    def answer_forged(error: CSRFError) -> ResponseReturnValue:
        return app.handle_user_exception(BadRequest(_OUTDATED))
