"""Errors of the modals for API keys and webhooks."""

from __future__ import annotations


class MissingNameError(Exception):
    """The new API key or webhook has no name."""

    def __init__(self) -> None:
        super().__init__("Enter a name, so that others know what it is for.")
