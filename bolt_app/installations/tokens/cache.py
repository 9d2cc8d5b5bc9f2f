"""What was found in the store, remembered while it holds.

What was found is remembered for a minute at most, for each asker apart, and used only while the
installation's revision in the database is the same, by which an uninstall, a revocation, a
re-install or a rotation in any process is seen at once: one indexed read for all who ask meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial

from bolt_app.installations.records import Grant
from bolt_app.installations.tokens.grants import Grants, TokenRequest
from bolt_app.single_flight import SingleFlight

CACHE_LIFETIME_SECONDS = 60.0
CACHE_SIZE = 10_000


class GrantCache:
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
        self._remembered: OrderedDict[TokenRequest, tuple[float, Grant]] = OrderedDict()
        self._revisions: dict[TokenRequest, SingleFlight[int]] = {}

    def find(self, asker: TokenRequest) -> Grant | None:
        """Return what `asker` may use, as `Grants.find` does.

        Raises:
            SlackCallError: the bot's token has expired, and Slack does not refresh it now.
        """
        remembered = self._usable(asker)
        if remembered is not None and remembered.revision == self._revision(asker):
            return remembered
        return self._read_again(asker)

    def find_unchanged(self, askers: Collection[TokenRequest]) -> dict[TokenRequest, Grant]:
        """Return what is remembered of `askers` and has not changed, in one read for all.

        Nothing is refreshed, and Slack is not called.
        """
        usable = {asker: grant for asker in askers if (grant := self._usable(asker)) is not None}
        revisions = self._grants.revisions(usable) if usable else {}
        return {
            asker: grant for asker, grant in usable.items() if grant.revision == revisions[asker]
        }

    def find_for_request(
        self, asker: TokenRequest, workspace_id: str
    ) -> tuple[Grant | None, bool | None]:
        """Return what a request may use, and whether the asker's account is deactivated.

        One read answers both where the grant is remembered and has not changed.

        Returns: the grant, as `find` does; `InstallationStatus.is_deactivated`.

        Raises:
            SlackCallError: the bot's token has expired, and Slack does not refresh it now.
        """
        status = self._grants.status(asker, workspace_id)
        grant = self._usable(asker)
        if grant is None or grant.revision != status.revision:
            grant = self._read_again(asker)
        return grant, status.is_deactivated

    def _usable(self, asker: TokenRequest) -> Grant | None:
        """Return what is remembered and neither too old nor expired, whatever its revision."""
        with self._lock:
            since, remembered = self._remembered.get(asker, (0.0, None))
        if remembered is None or self._monotonic() - since >= self._lifetime:
            return None
        return None if self._grants.is_stale(remembered) else remembered

    def _read_again(self, asker: TokenRequest) -> Grant | None:
        grant = self._grants.find(asker)
        if grant is not None:
            self._remember(asker, grant)
        return grant

    def _revision(self, asker: TokenRequest) -> int:
        place = replace(asker, user_id=None)
        reading = self._revisions.get(place)
        if reading is None:
            fresh = SingleFlight(partial(self._grants.revision, place))
            reading = self._revisions.setdefault(place, fresh)
        return reading.get()

    def _remember(self, asker: TokenRequest, grant: Grant) -> None:
        with self._lock:
            self._remembered[asker] = (self._monotonic(), grant)
            self._remembered.move_to_end(asker)
            while len(self._remembered) > CACHE_SIZE:
                self._remembered.popitem(last=False)
