"""Failed deliveries as Block Kit: their list in the App Home."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bolt_app.blockkit.elements import (
    Block,
    Reply,
    button,
    moment,
    plain_reply,
    section,
)
from bolt_app.blockkit.mrkdwn import escape, link
from bolt_app.blockkit.text import cut
from bolt_app.notifications.content.page_urls import page_url
from bolt_app.notifications.content.states import STATE_WORDS
from bolt_app.notifications.history.views import FailedNotification, ViewedDelivery
from bolt_app.severity import SIGNS, Severity
from bolt_app.slack import ids

# A view has at most a hundred blocks.
MOST_FAILED = 5
MOST_DELIVERIES = 5


def failed_blocks(
    failed: Sequence[FailedNotification],
    public_url: str,
    *,
    may_retry: bool,
    notice: Reply | None = None,
) -> Iterator[Block]:
    """Yield the failed deliveries that a person may see.

    Args:
        notice: the result of a retry.
    """
    if notice is not None:
        yield from notice.blocks
    if failed:
        yield section("*Failed deliveries*")
    for notification in failed:
        retry = button("Retry", ids.RETRY_NOTIFICATION, value={"notification": notification.id})
        yield section(_text(notification, public_url), retry if may_retry else None)


def retried_reply(user_id: str) -> Reply:
    """Report that the failed deliveries of a notification are retried."""
    return plain_reply(f"<@{user_id}> retried a notification. It is being delivered.")


def _text(notification: FailedNotification, public_url: str) -> str:
    page = link(page_url(public_url, notification.id), notification.headline)
    lines = [_delivery(delivery) for delivery in notification.deliveries[:MOST_DELIVERIES]]
    more = len(notification.deliveries) - MOST_DELIVERIES
    if more > 0:
        lines.append(f"… and {more} more")
    return "\n".join([f"{SIGNS[Severity.WARNING]} {page}", *lines])


def _delivery(delivery: ViewedDelivery) -> str:
    report = delivery.report
    at = f" {moment(report.finished_at)}" if report.finished_at else ""
    reason = f": {cut(report.error.sentence, 200)}" if report.error else ""
    return f"→ {escape(delivery.place)}, {STATE_WORDS[report.state]}{at}{escape(reason)}"
