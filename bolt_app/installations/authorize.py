"""Authorization of requests from Slack with stored tokens, without a call to Slack.

Bolt's authorize calls `auth.test` for every request. Requests from Slack are signed, and the store
follows revocations and uninstalls, so the stored tokens are current; a token that Slack rejects is
marked when it is used (`workspaces.client`).
"""

from __future__ import annotations

from slack_bolt import BoltContext
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.authorization.authorize import Authorize

from bolt_app.installations.records import Grant
from bolt_app.installations.tokens.cache import GrantCache
from bolt_app.installations.tokens.grants import TokenRequest


class InstallationAuthorize(Authorize):
    """Finds the tokens for a request."""

    def __init__(self, grants: GrantCache) -> None:
        self._grants = grants

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
        """Return the tokens for a request; none if the installation does not work.

        Sets `context["grant"]` to the `Grant`, `context["is_deactivated"]` to whether the person's
        account is deactivated (None if not linked), and, if no token is usable,
        `context["installation_problem"]` to the reason: `not_installed`, or Slack's error code.
        """
        token_request = TokenRequest(
            enterprise_id, None if context.is_enterprise_install else team_id, user_id
        )
        found, is_deactivated = self._grants.find_for_request(token_request, team_id or "")
        grant = found or Grant(revision=0)
        context["grant"] = grant
        context["is_deactivated"] = is_deactivated
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
