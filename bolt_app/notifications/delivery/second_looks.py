"""Second looks: after a repeated attempt, one message with the latest content is kept."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from random import SystemRandom
from typing import Any

from bolt_app.clock import Clock
from bolt_app.logs import describe_error
from bolt_app.notifications.delivery.attempts import mark_of
from bolt_app.notifications.delivery.sender import Check, MessageSender
from bolt_app.notifications.delivery.store import SecondLook, Store
from bolt_app.notifications.delivery.transitions import Transitions
from bolt_app.slack_api import SlackCallError
from bolt_app.workspaces.client import NotInstalledError

logger = logging.getLogger(__name__)

_RANDOM = SystemRandom()


class SecondLooks:
    """Deletes duplicates that Slack accepted late, and repairs messages reset by a late update."""

    def __init__(
        self,
        store: Store,
        transitions: Transitions,
        sender: MessageSender,
        run: Callable[..., Awaitable[Any]],
        *,
        notice: Callable[[str], None],
        wait: float,
        clock: Clock,
    ) -> None:
        """Create the second looks.

        Args:
            run: runs a function in a thread.
            notice: called with a workspace that has changed.
            wait: seconds from a repeated attempt to the second look.
        """
        self._store = store
        self._transitions = transitions
        self._sender = sender
        self._run = run
        self._notice = notice
        self._wait = wait
        self._clock = clock

    def due(self) -> datetime:
        """Return the time of the second look after a repeated attempt that ends now."""
        wait = self._wait * _RANDOM.uniform(1.0, 1.5)
        return self._clock() + timedelta(seconds=wait)

    async def look(self, delivery_id: int, check: Check) -> datetime | None:
        """Look at the messages of a delivery.

        Args:
            check: awaited right before each request that changes something.

        Returns: when to look again, if a call to Slack failed.

        Raises:
            NotSentError: the workspace may have another owner by now.
        """
        found = await self._run(self._store.ended_attempt, delivery_id)
        again_at, known, refused = None, None, None
        if found is not None:
            row, attempt = found
            try:
                is_deleted = await self._run(self._store.is_deleted, row.lane_id, row.key)
                known, refused = await self._sender.look_again(
                    attempt, row.ts, check, is_deleted=is_deleted
                )
                if row.ts is not None and row.key is not None:
                    await self._repair_content(row)
            except (NotInstalledError, SlackCallError) as error:
                again_at = None if _is_over(error) else self.due()
                logger.info("no second look", extra={"error": describe_error(error)})
        if refused is not None:
            shown = {"delivery": delivery_id, "error": refused}
            logger.warning("a duplicate cannot be deleted", extra=shown)
        ended = SecondLook(delivery_id, again_at, refused, known)
        await self._run(self._store.end_second_look, ended)
        return again_at

    async def _repair_content(self, row: Any) -> None:
        """Refresh a message that a late, older update changed."""
        place = row.lane_id, row.channel_id, row.ts
        latest = await self._run(self._transitions.find_latest_shown, *place)
        mark = await self._sender.mark_at(row.team_id, row.channel_id, row.ts)
        if latest is not None and mark is not None and mark != mark_of(latest):
            logger.warning("a message showed an older content", extra={"delivery": row.id})
            await self._run(self._transitions.show_again, row.team_id, *place)
            self._notice(row.team_id)


def _is_over(error: NotInstalledError | SlackCallError) -> bool:
    if isinstance(error, NotInstalledError):
        return False
    return error.is_permanent and not error.is_dead_token
