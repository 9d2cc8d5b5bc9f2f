"""Outcomes of attempts: the next state of the delivery, and when to try again."""

from __future__ import annotations

from dataclasses import dataclass, field

from bolt_app.delays import Delays
from bolt_app.notifications.content.states import DeliveryState
from bolt_app.notifications.delivery.retry_schedule import MOST_INTERNAL_ERRORS, backoff
from bolt_app.slack_api import SlackCallError
from bolt_app.workspaces.lookup_budgets import LookupLimitError

INTERNAL_ERROR = "internal_error"
RECIPIENT_DENIED = "recipient_denied"
MESSAGE_GONE = "message_not_found"
# The methods of attempts that change a message and post none.
CHANGING = ("chat.update", "chat.delete", "reactions.add")


@dataclass(frozen=True)
class Outcome:
    """The outcome of an attempt.

    Attributes:
        state: the delivery's new state; SENDING means that it may have been posted.
        error: Slack's code, after an error.
        wait: seconds before the next attempt.
        pause: seconds for which nothing is posted in the workspace.
        pause_reason: Slack's code, if the installation is dead.
        requested: whether a request was made that changed, or may have changed, something in Slack.
        is_failure: whether it counts towards `RETRY_HOURS`, unless the delivery has ended.
        is_undone: whether the attempt was not made after all, and does not count.
        is_deferred: whether only deliveries with its key wait, not the others of its lane: Slack
            limits its method apart from new messages.
        is_reply: whether the message is in a thread; None if that did not change. Slack posts a
            reply in the channel itself if the thread is gone.
        replaced_ts: the deleted message that this message replaces.
        recipient_id: the person with the e-mail address that the delivery is for, or `NOBODY`; None
            if that was not found out.
    """

    state: DeliveryState
    error: str | None = None
    channel_id: str | None = None
    ts: str | None = None
    wait: float = 0.0
    pause: float | None = None
    pause_reason: str | None = None
    requested: bool = True
    is_failure: bool = True
    is_undone: bool = False
    is_deferred: bool = False
    is_reply: bool | None = None
    replaced_ts: str | None = None
    recipient_id: str | None = field(default=None, repr=False)

    @property
    def is_final(self) -> bool:
        """Whether the delivery has ended."""
        return self.state not in (DeliveryState.WAITING, DeliveryState.SENDING)


def sent(channel_id: str, ts: str, *, is_reply: bool | None = None) -> Outcome:
    """Return the outcome of a posted message."""
    return Outcome(DeliveryState.SENT, channel_id=channel_id, ts=ts, is_reply=is_reply)


def classify_error(
    error: SlackCallError, attempts: int, delays: Delays, *, is_repeat: bool = False
) -> Outcome:
    """Return the outcome of a call that failed.

    Args:
        attempts: how many were made, this one included.
        is_repeat: whether an earlier attempt may have been posted, so that the delivery stays
            `sending` unless it has ended.
    """
    state = DeliveryState.SENDING if is_repeat else DeliveryState.WAITING
    if error.is_dead_token:
        return dead_installation(error.code, delays, is_repeat=is_repeat)
    if isinstance(error, LookupLimitError):
        wait = float(error.retry_after or 1)
        return Outcome(state, error.code, wait=wait, requested=False, is_failure=False)
    if error.retry_after is not None:
        wait = float(error.retry_after)
        # Other methods have separate limits, which do not affect posting.
        pause = wait if error.method == "chat.postMessage" else None
        is_deferred = error.method in CHANGING and not is_repeat
        return Outcome(
            state, error.code, wait=wait, pause=pause, requested=False, is_deferred=is_deferred
        )
    if error.ambiguous and error.method in ("chat.postMessage", "chat.update"):
        return Outcome(
            DeliveryState.SENDING, error.code, wait=max(delays.settling, backoff(attempts, delays))
        )
    if error.is_permanent:
        return Outcome(DeliveryState.DEAD, error.code, requested=False)
    return Outcome(state, error.code, wait=backoff(attempts, delays), requested=False)


def recipient_denied(*, by_subscription: bool) -> Outcome:
    """Return the outcome for a person who may no longer receive the message.

    A delivery that only a subscription addressed is cancelled, as at the subscription's end.
    """
    state = DeliveryState.CANCELLED if by_subscription else DeliveryState.DEAD
    return Outcome(state, RECIPIENT_DENIED, requested=False)


def dead_installation(code: str, delays: Delays, *, is_repeat: bool = False) -> Outcome:
    """Return the outcome in a workspace that must be installed again before anything is posted."""
    state = DeliveryState.SENDING if is_repeat else DeliveryState.WAITING
    return Outcome(state, code, pause=delays.dead_installation, pause_reason=code, requested=False)


def internal_error(errors: int, delays: Delays, *, may_have_posted: bool = False) -> Outcome:
    """Return the outcome of an attempt that failed with an internal error.

    Args:
        errors: consecutive internal errors, this one included.
    """
    if errors >= MOST_INTERNAL_ERRORS:
        return Outcome(
            DeliveryState.UNKNOWN if may_have_posted else DeliveryState.DEAD,
            INTERNAL_ERROR,
            requested=False,
        )
    state = DeliveryState.SENDING if may_have_posted else DeliveryState.WAITING
    wait = backoff(errors, delays)
    return Outcome(state, INTERNAL_ERROR, wait=wait, requested=may_have_posted)


def not_made(*, is_repeat: bool, wait: float = 0.0) -> Outcome:
    """Return the outcome of an attempt that was begun but not made.

    Args:
        wait: seconds before the next one.
    """
    state = DeliveryState.SENDING if is_repeat else DeliveryState.WAITING
    return Outcome(state, wait=wait, requested=False, is_undone=True)
