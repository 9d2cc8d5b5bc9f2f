"""A cache of grants, validated by the revision of their installation.

A grant is cached for at most a minute, per token request, and used only while the installation's
revision in the database is unchanged: an uninstall, revocation, reinstall or rotation in any
process takes effect immediately. Concurrent requests share one indexed read of the revision.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial

from bolt_app.batching import Batcher
from bolt_app.installations.records import Grant
from bolt_app.installations.tokens.grants import Grants, TokenRequest

CACHE_LIFETIME_SECONDS = 60.0
CACHE_SIZE = 10_000


class GrantCache:
    """Finds grants, from memory if the installation is unchanged."""

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
        self._revisions: dict[TokenRequest, Batcher[None, int]] = {}

    def find(self, request: TokenRequest) -> Grant | None:
        """Return the grant of a token request, like `Grants.find`.

        Raises:
            SlackCallError: the bot's token has expired, and the refresh failed.
        """
        remembered = self._usable(request)
        if remembered is not None and remembered.revision == self._revision(request):
            return remembered
        return self._read_again(request)

    def find_unchanged(self, requests: Collection[TokenRequest]) -> dict[TokenRequest, Grant]:
        """Return the cached grants that are unchanged, with one read for all requests.

        Does not refresh tokens or call Slack.
        """
        usable = {
            request: grant for request in requests if (grant := self._usable(request)) is not None
        }
        revisions = self._grants.revisions(usable) if usable else {}
        return {
            request: grant
            for request, grant in usable.items()
            if grant.revision == revisions[request]
        }

    def find_for_request(
        self, request: TokenRequest, workspace_id: str
    ) -> tuple[Grant | None, bool | None]:
        """Return the grant of a request, and whether the person's account is deactivated.

        One read answers both if the grant is cached and unchanged.

        Returns: the grant, like `find`; `InstallationStatus.is_deactivated`.

        Raises:
            SlackCallError: the bot's token has expired, and the refresh failed.
        """
        status = self._grants.status(request, workspace_id)
        grant = self._usable(request)
        if grant is None or grant.revision != status.revision:
            grant = self._read_again(request)
        return grant, status.is_deactivated

    def _usable(self, request: TokenRequest) -> Grant | None:
        """Return the cached grant if it is recent and not expired, whatever its revision."""
        with self._lock:
            since, remembered = self._remembered.get(request, (0.0, None))
        if remembered is None or self._monotonic() - since >= self._lifetime:
            return None
        return None if self._grants.is_stale(remembered) else remembered

    def _read_again(self, request: TokenRequest) -> Grant | None:
        grant = self._grants.find(request)
        if grant is not None:
            self._remember(request, grant)
        return grant

    def _revision(self, request: TokenRequest) -> int:
        installation = replace(request, user_id=None)
        batcher = self._revisions.get(installation)
        if batcher is None:
            new = Batcher(partial(self._read_revision, installation), splits=_is_ordinary)
            batcher = self._revisions.setdefault(installation, new)
        return batcher.call(None)

    def _read_revision(self, installation: TokenRequest, calls: Sequence[None]) -> Sequence[int]:
        return [self._grants.revision(installation)] * len(calls)

    def _remember(self, request: TokenRequest, grant: Grant) -> None:
        with self._lock:
            self._remembered[request] = (self._monotonic(), grant)
            self._remembered.move_to_end(request)
            while len(self._remembered) > CACHE_SIZE:
                self._remembered.popitem(last=False)


def _is_ordinary(error: BaseException) -> bool:
    """Whether each waiting request reads again by itself after an error."""
    return isinstance(error, Exception)
