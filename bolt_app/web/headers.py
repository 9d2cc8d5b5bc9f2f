"""Security headers of every answer.

https://cheatsheetseries.owasp.org/cheatsheets/HTTP_Headers_Cheat_Sheet.html
"""

from __future__ import annotations

from flask import Flask, Response

from bolt_app.config import SLACK_ORIGIN, Settings

# Where Slack keeps people's pictures: its own hosts, and Gravatar with WordPress's behind it.
PICTURE_HOSTS = ("https://*.slack-edge.com", "https://secure.gravatar.com", "https://*.wp.com")


def register_headers(app: Flask, settings: Settings) -> None:
    """Send the headers with every answer; one that a view has set stays."""
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

    @app.after_request
    def add_headers(response: Response) -> Response:
        for name, value in fixed.items():
            response.headers.setdefault(name, value)
        return response


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
