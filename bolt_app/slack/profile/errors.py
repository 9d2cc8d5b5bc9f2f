"""Errors of requests about profiles."""

from __future__ import annotations

from bolt_app.access.authorization import AccessDeniedError


class TooManyRefreshesError(AccessDeniedError):
    """The person had their profile read from Slack too often within a minute."""

    def __init__(self) -> None:
        super().__init__("You have refreshed your profile many times. Try again in a minute.")
