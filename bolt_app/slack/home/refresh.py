"""App Homes are published anew when what they show has changed, by whatever way in.

In the background, and as well as can be: who opens their home sees it as it is anyway.
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
# After these nobody sees that home (https://docs.slack.dev/reference/methods/views.publish).
_GONE = frozenset({"user_not_found", "not_enabled"})
_suppressed: ContextVar[ChangeSignal | None] = ContextVar("suppress_home_refresh", default=None)


@contextmanager
def suppress_home_refresh(owner: ProfileActions) -> Iterator[None]:
    """Publish nothing for what is changed here of this person's own: it is shown with a notice."""
    token = _suppressed.set(ChangeSignal(owner.team_id, owner.user_id))
    try:
        yield
    finally:
        _suppressed.reset(token)


@dataclass(frozen=True)
class _Refresh:
    """Homes to publish; `shown` is the one person who is shown what was done anyway."""

    concerned: ChangeSignal
    shown: ChangeSignal | None = None


class HomeRefresher:
    """Publishes homes anew, each once for all that has changed meanwhile."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = Lock()
        self._waiting: set[_Refresh] = set()

    def hear(self, concerned: ChangeSignal) -> None:
        """Have the homes of those whom a change concerns published soon."""
        shown = _suppressed.get()
        if concerned != shown:
            self._queue(_Refresh(concerned, shown), 1)

    def _queue(self, refresh: _Refresh, number: int) -> None:
        with self._lock:
            if refresh in self._waiting:
                return
            self._waiting.add(refresh)
        try:
            self._services.background.submit(self._refresh, refresh, number)
        except RuntimeError:
            # The app is being closed.
            logger.debug("a home is no longer refreshed")

    def _refresh(self, refresh: _Refresh, number: int) -> None:
        with self._lock:
            # What changes from here on is published once more.
            self._waiting.discard(refresh)
        concerned = refresh.concerned
        if concerned.is_deleted_person:
            self._publish(concerned, str(concerned.user_id), number)
            return
        try:
            people = self._services.home_tabs.of(concerned)
        except DATABASE_UNAVAILABLE as error:
            logger.warning("homes cannot be looked up", extra={"error": describe_error(error)})
            return
        # Here and not queued: a command ends as soon as what it has queued is done.
        for user_id in people:
            person = ChangeSignal(concerned.team_id, user_id)
            if person != refresh.shown:
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
            logger.warning("a home could not be refreshed", extra={"error": describe_error(error)})
        except Exception:
            logger.exception("a home could not be refreshed")

    def _failed(
        self, person: ChangeSignal, user_id: str, error: SlackCallError, number: int
    ) -> None:
        if error.code in _GONE:
            self._services.home_tabs.forget(person.team_id, user_id)
            return
        if error.is_permanent or number >= MOST_TRIES:
            logger.warning("a home could not be refreshed", extra={"error": error.code})
            return
        backoff = FIRST_WAIT_SECONDS * 2 ** (number - 1)
        wait = min(max(backoff, error.retry_after or 0), LONGEST_WAIT_SECONDS)
        timer = Timer(wait, self._queue, (_Refresh(person), number + 1))
        timer.daemon = True
        timer.start()
