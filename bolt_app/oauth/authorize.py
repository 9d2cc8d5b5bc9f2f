"""What a request from Slack may use, without asking Slack each time.

Bolt's own authorize calls `auth.test` for every request. A request from Slack is signed, and the
store follows revocations and uninstalls, so that what is stored is what holds; a token that turns
out to be dead is marked when it is used (`oauth.calls`).
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from slack_bolt import BoltContext
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.authorization.authorize import Authorize

from bolt_app.oauth.grants import Asker, Grants
from bolt_app.oauth.installation_store import Grant

CACHE_LIFETIME_SECONDS = 60.0
CACHE_SIZE = 10_000


class InstallationAuthorize(Authorize):
    """Finds the tokens of a request.

    What was found is remembered for a minute at most, for each person apart, and used only while
    the installation's revision in the database is the same: one indexed read for a request, by
    which an uninstall, a revocation, a re-install or a rotation in any process is seen at once.
    """

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

    def __call__(
        self,
        *,
        context: BoltContext,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str | None,
        actor_enterprise_id: str | None = None,
        actor_team_id: str | None = None,
        actor_user_id: str | None = None,
    ) -> AuthorizeResult:
        """Return the tokens of a request; none at all where there is no working installation.

        Puts the `Grant` into `context["grant"]`, and where there is no usable token the reason
        into `context["installation_problem"]`: `not_installed`, or Slack's error code.
        """
        asker = Asker(enterprise_id, None if context.is_enterprise_install else team_id, user_id)
        grant = self._find(asker) or Grant(revision=0)
        context["grant"] = grant
        if grant.bot_token is None and grant.user_token is None:
            reason = grant.bot_invalid_reason or grant.user_invalid_reason
            context["installation_problem"] = reason or "not_installed"
        return AuthorizeResult(
            enterprise_id=enterprise_id,
            team_id=team_id,
            bot_user_id=grant.bot_user_id,
            bot_id=grant.bot_id,
            bot_token=grant.bot_token,
            bot_scopes=grant.bot_scopes,
            user_id=user_id,
            user_token=grant.user_token,
            user_scopes=grant.user_scopes,
        )

    def _find(self, asker: Asker) -> Grant | None:
        with self._lock:
            since, remembered = self._remembered.get(asker, (0.0, None))
        if (
            remembered is not None
            and self._monotonic() - since < self._lifetime
            and not self._grants.is_stale(remembered)
            and remembered.revision == self._grants.revision(asker)
        ):
            return remembered
        grant = self._grants.find(asker)
        if grant is not None:
            self._remember(asker, grant)
        return grant

    def _remember(self, asker: Asker, grant: Grant) -> None:
        with self._lock:
            self._remembered[asker] = (self._monotonic(), grant)
            self._remembered.move_to_end(asker)
            while len(self._remembered) > CACHE_SIZE:
                self._remembered.popitem(last=False)
