"""Waiting until all deliveries of some notifications have ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from bolt_app.notifications.history.service import History

POLL_SECONDS = 0.1


def wait_until_done(
    history: History,
    notification_ids: Sequence[str],
    *,
    timeout: float,
    report: Callable[[int], None],
    pause: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> bool:
    """Wait until every delivery of the notifications has ended.

    Args:
        timeout: in seconds.
        report: called after each poll with the number of notifications that are done.
        pause: sleeps for a number of seconds.
        monotonic: returns seconds on a monotonic clock.

    Returns: whether all are done.
    """
    ends = monotonic() + timeout
    still_open = set(notification_ids)
    while True:
        still_open = history.still_open(still_open)
        report(len(notification_ids) - len(still_open))
        if not still_open or monotonic() >= ends:
            return not still_open
        pause(POLL_SECONDS)
