"""Errors of the delivery engine."""

from __future__ import annotations


class OwnershipError(Exception):
    """The setup cannot keep two workers from owning one shard; the text says how to change it."""


class UploadsBusyError(Exception):
    """Enough messages of the workspace upload files now, or it is another sender's turn.

    Attributes:
        wait: seconds until the message asks again.
    """

    def __init__(self, wait: float) -> None:
        super().__init__()
        self.wait = wait


class SessionLostError(Exception):
    """The session does not answer or has ended: its locks are lost."""
