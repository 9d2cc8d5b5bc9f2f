"""Errors of the history."""

from __future__ import annotations


class NothingToRetryError(Exception):
    """No delivery of the notification is dead or unknown."""

    def __init__(
        self,
        message: str = (
            "Nothing to retry: no delivery of this notification is in the state dead or unknown."
        ),
    ) -> None:
        super().__init__(message)


class ReplacedMessageError(NothingToRetryError):
    """Every failed delivery would show outdated content in a message."""

    def __init__(self) -> None:
        super().__init__(
            "Nothing to retry: a later notification with the same key has updated the message."
        )


class AnsweredIncidentError(NothingToRetryError):
    """Every failed delivery was to follow an incident that was answered since."""

    def __init__(self) -> None:
        super().__init__("Nothing to retry: the incident has been answered since.")


class ErasedRecipientError(NothingToRetryError):
    """Every failed delivery was for a person whose data has been deleted."""

    def __init__(self) -> None:
        super().__init__(
            "Nothing to retry: the recipient unlinked their profile, and their address was deleted."
        )
