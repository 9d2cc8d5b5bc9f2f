"""Log of clicks and forms with forged or outdated values."""

from __future__ import annotations

import logging
from itertools import count

from slack_bolt import BoltContext

logger = logging.getLogger(__name__)


class RejectedValues:
    """Logs and counts rejected clicks and forms, without their values."""

    def __init__(self) -> None:
        self._counter = count(1)

    def log(self, context: BoltContext) -> None:
        """Log one rejection, with the person and the total in this process."""
        logger.warning(
            "rejected a button or form that is forged or outdated",
            extra={
                "team_id": context.team_id,
                "user_id": context.user_id,
                "rejected": next(self._counter),
            },
        )
