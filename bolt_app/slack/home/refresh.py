"""Background refresh of App Homes after changes that they show.

A refresh may fail: opening the App Home always shows its current state.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Lock, Timer

from bolt_app.db import DATABASE_UNAVAILABLE
from bolt_app.logs import describe_error
from bolt_app.services import Services
from bolt_app.signals import ChangeSignal
from bolt_app.slack.home.view import publish_home
from bolt_app.slack.profile.actions import ProfileActions
from bolt_app.slack_api import SlackCallError
from bolt_app.workspaces.client import NotInstalledError

logger = logging.getLogger(__name__)

MOST_TRIES = 4
FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 60.0
# Errors after which nobody sees that App Home (https://docs.slack.dev/reference/methods/views.publish).
_GONE = frozenset({"user_not_found", "not_enabled"})
_suppressed: ContextVar[ChangeSignal | None] = ContextVar("suppress_home_refresh", default=None)


@contextmanager
def suppress_home_refresh(owner: ProfileActions) -> Iterator[None]:
    """Skip the refresh of this person's home inside the block, whose caller publishes it."""
    token = _suppressed.set(ChangeSignal(owner.team_id, owner.user_id))
    try:
        yield
    finally:
        _suppressed.reset(token)


@dataclass(frozen=True)
class _Refresh:
    """Homes to publish for a change, other than that of the person `skipped`."""

    change: ChangeSignal
    skipped: ChangeSignal | None = None


class HomeRefresher:
    """Publishes App Homes after changes; changes that arrive meanwhile share one refresh."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = Lock()
        self._waiting: set[_Refresh] = set()

    def on_change(self, change: ChangeSignal) -> None:
        """Queue a refresh of the homes that show a change."""
        skipped = _suppressed.get()
        if change != skipped:
            self._queue(_Refresh(change, skipped), 1)

    def _queue(self, refresh: _Refresh, number: int) -> None:
        with self._lock:
            if refresh in self._waiting:
                return
            self._waiting.add(refresh)
        try:
            self._services.background.submit(self._refresh, refresh, number)
        except RuntimeError:
            # The app is shutting down.
            logger.debug("an App Home was not refreshed: the app is shutting down")

    def _refresh(self, refresh: _Refresh, number: int) -> None:
        with self._lock:
            # A change from here on queues another refresh.
            self._waiting.discard(refresh)
        change = refresh.change
        if change.is_deleted_person:
            self._publish(change, str(change.user_id), number)
            return
        try:
            people = self._services.home_tabs.of(change)
        except DATABASE_UNAVAILABLE as error:
            logger.warning(
                "App Homes could not be looked up", extra={"error": describe_error(error)}
            )
            return
        # Published here rather than queued, because a command exits when its queue is empty.
        for user_id in people:
            person = ChangeSignal(change.team_id, user_id)
            if person != refresh.skipped:
                self._publish(person, user_id, number)

    def _publish(self, person: ChangeSignal, user_id: str, number: int) -> None:
        try:
            owner = ProfileActions.find(self._services, person.team_id, user_id)
            publish_home(owner, is_opened=False)
        except SlackCallError as error:
            self._failed(person, user_id, error, number)
        except NotInstalledError:
            self._services.home_tabs.forget(person.team_id, user_id)
        except DATABASE_UNAVAILABLE as error:
            logger.warning(
                "an App Home could not be refreshed", extra={"error": describe_error(error)}
            )
        except Exception:
            logger.exception("an App Home could not be refreshed")

    def _failed(
        self, person: ChangeSignal, user_id: str, error: SlackCallError, number: int
    ) -> None:
        if error.code in _GONE:
            self._services.home_tabs.forget(person.team_id, user_id)
            return
        if error.is_permanent or number >= MOST_TRIES:
            logger.warning("an App Home could not be refreshed", extra={"error": error.code})
            return
        backoff = FIRST_WAIT_SECONDS * 2 ** (number - 1)
        wait = min(max(backoff, error.retry_after or 0), LONGEST_WAIT_SECONDS)
        timer = Timer(wait, self._queue, (_Refresh(person), number + 1))
        timer.daemon = True
        timer.start()
