"""Results of submitting notifications."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bolt_app.notifications.content.states import ShownState


@dataclass(frozen=True)
class NewDelivery:
    """A delivery, its recipient, and its state at acceptance: WAITING, HELD or MUTED.

    Attributes:
        provisional_ts: of a message of the Slack-compatible Web API.
        is_subscribed: whether a subscription named the recipient, not the sender.
    """

    id: int
    to: str = field(repr=False)
    state: ShownState
    provisional_ts: str | None = None
    is_subscribed: bool = False


@dataclass(frozen=True)
class NewNotification:
    """An accepted notification and its deliveries."""

    id: str
    deliveries: Sequence[NewDelivery]

    @property
    def is_unrouted(self) -> bool:
        """Whether it has no delivery: no subscription to its topics matches."""
        return not self.deliveries


@dataclass(frozen=True)
class SubmitResult:
    """Accepted notifications, in the order of the requests.

    Attributes:
        is_replay: whether an earlier request with the same idempotency key created them.
    """

    notifications: Sequence[NewNotification]
    is_replay: bool = False
