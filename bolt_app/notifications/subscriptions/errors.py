"""Errors of subscriptions and filters."""

from __future__ import annotations


class TopicLoopError(ValueError):
    """A topic cannot be subscribed to a topic."""

    def __init__(self) -> None:
        super().__init__("A topic cannot subscribe to a topic: give a channel or a person.")


class TooManySubscriptionsError(Exception):
    """The channel, the person or the workspace has as many subscriptions as it may have."""

    def __init__(self, where: str, limit: int) -> None:
        super().__init__(
            f"{where} has reached the limit of {limit:,} subscriptions: end one first. A "
            "subscription to `name/*` can replace many."
        )


class TooManyDeliveriesError(Exception):
    """Several notifications have more deliveries than one transaction may accept."""

    def __init__(self, most: int) -> None:
        super().__init__(
            f"These notifications have more than {most:,} deliveries together: send fewer at once."
        )


class FilterError(ValueError):
    """A text is not a filter; the message says how to correct it."""
