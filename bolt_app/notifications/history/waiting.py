"""Waits until nothing of some notifications can change any more."""

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
    tell: Callable[[int], None],
    pause: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> bool:
    """Wait until every delivery of the notifications has come to its end.

    Args:
        timeout: how many seconds to wait at most.
        tell: is told again and again how many of the notifications are done.
        pause: waits for so many seconds.
        monotonic: tells seconds that only ever go up.

    Returns: whether they are all done.
    """
    ends = monotonic() + timeout
    still_open = set(notification_ids)
    while True:
        still_open = history.still_open(still_open)
        tell(len(notification_ids) - len(still_open))
        if not still_open or monotonic() >= ends:
            return not still_open
        pause(POLL_SECONDS)
