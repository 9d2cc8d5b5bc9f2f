"""What was found in the store, remembered while it holds.

What was found is remembered for a minute at most, for each asker apart, and used only while the
installation's revision in the database is the same, by which an uninstall, a revocation, a
re-install or a rotation in any process is seen at once: one indexed read for all who ask meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from bolt_app.oauth.grants import Asker, Grants
from bolt_app.oauth.installation_store import Grant
from bolt_app.oauth.shared_reading import SharedReading

CACHE_LIFETIME_SECONDS = 60.0
CACHE_SIZE = 10_000


class RememberedGrants:
    """Finds grants, from memory where nothing has changed."""

    def __init__(
        self,
        grants: Grants,
        *,
        lifetime_seconds: float = CACHE_LIFETIME_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._grants = grants
        self._lifetime = lifetime_seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._remembered: OrderedDict[Asker, tuple[float, Grant]] = OrderedDict()
        self._revisions: dict[Asker, SharedReading[int]] = {}

    def find(self, asker: Asker) -> Grant | None:
        """Return what `asker` may use, as `Grants.find` does.

        Raises:
            SlackCallError: the bot's token has expired, and Slack does not refresh it now.
        """
        with self._lock:
            since, remembered = self._remembered.get(asker, (0.0, None))
        if (
            remembered is not None
            and self._monotonic() - since < self._lifetime
            and not self._grants.is_stale(remembered)
            and remembered.revision == self._revision(asker)
        ):
            return remembered
        grant = self._grants.find(asker)
        if grant is not None:
            self._remember(asker, grant)
        return grant

    def _revision(self, asker: Asker) -> int:
        place = replace(asker, user_id=None)
        reading = self._revisions.get(place)
        if reading is None:
            fresh = SharedReading(partial(self._grants.revision, place))
            reading = self._revisions.setdefault(place, fresh)
        return reading.get()

    def _remember(self, asker: Asker, grant: Grant) -> None:
        with self._lock:
            self._remembered[asker] = (self._monotonic(), grant)
            self._remembered.move_to_end(asker)
            while len(self._remembered) > CACHE_SIZE:
                self._remembered.popitem(last=False)
