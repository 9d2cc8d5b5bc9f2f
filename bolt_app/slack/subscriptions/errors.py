"""Errors of requests about subscriptions."""

from __future__ import annotations

from bolt_app.access.authorization import AccessDeniedError


class TooManyTestsError(AccessDeniedError):
    """The person sent too many test notifications within a minute."""

    def __init__(self) -> None:
        super().__init__("You have sent many test notifications. Try again in a minute.")
