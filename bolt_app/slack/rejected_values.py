"""The log of clicks and forms whose values are forged or outdated."""

from __future__ import annotations

import logging
from itertools import count

from slack_bolt import BoltContext

logger = logging.getLogger(__name__)


class RejectedValues:
    """Logs and counts them, without what they carried."""

    def __init__(self) -> None:
        self._counter = count(1)

    def log(self, context: BoltContext) -> None:
        """Log one, with the person and the number of all in this process."""
        logger.warning(
            "rejected a button or form that is forged or outdated",
            extra={
                "team_id": context.team_id,
                "user_id": context.user_id,
                "rejected": next(self._counter),
            },
        )
