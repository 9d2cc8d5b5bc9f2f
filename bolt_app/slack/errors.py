"""Errors of requests from Slack."""

from __future__ import annotations


class MalformedRequestError(Exception):
    """The body of a signed request has no form that Slack sends."""


class NotInvitedError(Exception):
    """The bot is not in the private channel."""

    def __init__(self) -> None:
        super().__init__("Bellhop is not in this channel. Type `/invite @Bellhop` there first.")
