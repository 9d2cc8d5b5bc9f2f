"""``oauth.v2.access``: exchange of authorization codes and refresh tokens for access tokens."""

from __future__ import annotations

from slack_sandbox import installs
from slack_sandbox.errors import ApiError
from slack_sandbox.limits import Tier
from slack_sandbox.oauth import check_client, redeem
from slack_sandbox.web_api.call import Call
from slack_sandbox.web_api.registry import method
from slack_sandbox.world import JsonDict


@method("oauth.v2.access", Tier.FOUR, needs_token=False)
def access(call: Call) -> JsonDict:
    """Redeem a code or a refresh token
    (https://docs.slack.dev/reference/methods/oauth.v2.access).
    """
    _check_client(call)
    grant_type = call.text("grant_type", "authorization_code")
    if grant_type == "refresh_token":
        issued = call.core.tokens.refresh(call.text("refresh_token"), call.core.clock())
        return installs.refreshed(call.core, issued)
    if grant_type != "authorization_code":
        raise ApiError("invalid_grant_type")
    code = redeem(call.core, call.text("code"), call.text("redirect_uri"))
    return installs.install(call.core, code)


def _check_client(call: Call) -> None:
    client_id, client_secret = call.basic or (
        call.text("client_id"),
        call.text("client_secret"),
    )
    check_client(call.core.config, client_id, client_secret)
