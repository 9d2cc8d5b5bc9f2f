"""Failed deliveries as Block Kit: their list in the App Home."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bolt_app.blockkit.elements import (
    Answer,
    Block,
    button,
    moment,
    plain_answer,
    section,
)
from bolt_app.blockkit.mrkdwn import escape, link
from bolt_app.blockkit.text import cut
from bolt_app.notifications.content.message import SIGNS
from bolt_app.notifications.content.page_urls import page_url
from bolt_app.notifications.content.states import STATE_WORDS
from bolt_app.notifications.history.views import FailedNotification, ViewedDelivery
from bolt_app.slack import ids

# Of the hundred blocks that Slack takes.
MOST_FAILED = 5
MOST_DELIVERIES = 5


def failed_blocks(
    failed: Sequence[FailedNotification],
    public_url: str,
    *,
    may_retry: bool,
    notice: Answer | None = None,
) -> Iterator[Block]:
    """Yield the failed deliveries that a person may see.

    Args:
        notice: shows the result of a retry.
    """
    if notice is not None:
        yield from notice.blocks
    if failed:
        yield section("*Failed deliveries*")
    for one in failed:
        retry = button("Retry", ids.RETRY_NOTIFICATION, value={"notification": one.id})
        yield section(_text(one, public_url), retry if may_retry else None)


def retried_answer(user_id: str) -> Answer:
    """Report that a notification is delivered again."""
    return plain_answer(f"<@{user_id}> retried a notification. Its delivery begins now.")


def _text(one: FailedNotification, public_url: str) -> str:
    page = link(page_url(public_url, one.id), one.headline)
    lines = [_delivery(each) for each in one.deliveries[:MOST_DELIVERIES]]
    more = len(one.deliveries) - MOST_DELIVERIES
    if more > 0:
        lines.append(f"… and {more} more")
    return "\n".join([f"{SIGNS['warning']} {page}", *lines])


def _delivery(one: ViewedDelivery) -> str:
    report = one.report
    at = f" {moment(report.finished_at)}" if report.finished_at else ""
    reason = f": {cut(report.error.sentence, 200)}" if report.error else ""
    return f"→ {escape(one.place)}, {STATE_WORDS[report.state]}{at}{escape(reason)}"
