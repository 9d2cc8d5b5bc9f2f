"""Security headers of every response.

https://cheatsheetseries.owasp.org/cheatsheets/HTTP_Headers_Cheat_Sheet.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask

from bolt_app.config import SLACK_ORIGIN, Settings

# Hosts of people's pictures: Slack's own, and Gravatar with its WordPress backend.
PICTURE_HOSTS = ("https://*.slack-edge.com", "https://secure.gravatar.com", "https://*.wp.com")


def register_headers(app: Flask, settings: Settings) -> None:
    """Add the headers to every response, unless a view has set them."""
    fixed = {
        "Content-Security-Policy": _content_security_policy(settings.slack_base_url),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Cache-Control": "no-store",
    }
    if settings.uses_https:
        fixed["Strict-Transport-Security"] = "max-age=31536000"

    app.wsgi_app = _with_headers(app.wsgi_app, fixed)  # type: ignore[assignment, method-assign]


def _with_headers(application: WSGIApplication, fixed: Mapping[str, str]) -> WSGIApplication:
    """Return the application with headers that its responses do not set themselves."""
    by_lower_name = {name.lower(): (name, value) for name, value in fixed.items()}

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            missing = dict(by_lower_name)
            for name, _ in headers:
                missing.pop(name.lower(), None)
            return start_response(status, [*headers, *missing.values()], *exc_info)

        return application(environ, start)

    return serve


def _content_security_policy(slack_base_url: str) -> str:
    pictures = list(PICTURE_HOSTS)
    if slack_base_url != SLACK_ORIGIN:
        pictures.append(slack_base_url)
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src 'self' data: {' '.join(pictures)}",
            "connect-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        )
    )
