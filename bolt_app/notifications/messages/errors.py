"""Errors of the Slack-compatible Web API's messages."""

from __future__ import annotations


class MessageNotFoundError(Exception):
    """The sender has no such message, or it was deleted or never posted."""


class MessageChangedError(Exception):
    """Others changed what an edit keeps of the message, at the same time."""
